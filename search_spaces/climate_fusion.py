"""Climate and Weather, Table 3: audio, text and emotion as three modalities of depression detection, and their fusion.

    python -m orchestrator.sweep climate_fusion --seeds 20

Every late fusion recombines the predictions of the three modalities, which are stored: no training is repeated. Early fusion is one
more training, of the three modalities' features joined turn by turn. The last row chooses among all of them on the development
participants.
"""

from search_spaces._climate import (
    DEPRESSION_COLUMNS,
    RULES,
    RUNS,
    audio,
    depression,
    emotion,
    emotion_features,
    guesses,
    inputs,
    printed,
    text,
)
from search_spaces.study import Chain, study
from search_spaces.table import Published, Row, TableSpec
from trainables.fusion import Fusion
from trainables.nested_selection import NestedSelection
from trainables.turn_statistics import TurnStatistics

MODALITIES = (audio, text, emotion("mosei", "A+T"))
"""Section 3.4: 'the last row in Table 2 extracted from MOSEI-based model' is the emotion modality."""

RULES_OF_FUSION = {
    "majority_vote": "majority vote",
    "mean_probability": "mean probability",
    "weighted": "weighted mean",
    "stacking": "stacking",
}


def fused(rule: str) -> Chain:
    """Late fusion of the three modalities' predictions."""
    return lambda seed: Fusion(members=tuple(modality(seed) for modality in MODALITIES), rule=rule, seed=seed)


early = depression(
    TurnStatistics(filterbanks=inputs("daic_woz", "A")["filterbanks"]),
    inputs("daic_woz", "T")["sentences"],
    emotion_features("mosei", "A+T"),
)
"""The three modalities' features of each turn joined, into one bi-LSTM."""

FUSIONS: dict[str, Chain] = {**{rule: fused(rule) for rule in RULES_OF_FUSION}, "early": early}
"""The search space."""


def chosen(seed: int) -> NestedSelection:
    """The fusion that is best on the development participants."""
    return NestedSelection(members=tuple(chain(seed) for chain in FUSIONS.values()), seed=seed)


def _row(key: str, *label: str, published: dict[str, Published] | None = None, **params: str) -> Row:
    return Row(key=key, label=label, params=params, published=published or {})


def _of_three(highest: float, mean: float, std: float) -> dict[str, Published]:
    return {"dev_f1_positive": printed(mean, std), "dev_f1_positive_max": printed(highest)}


# fmt: off
ROWS = [
    *guesses(),
    (_row("audio", "one modality", "direct audio", published=_of_three(69.6, 60.8, 3.3)), audio),
    (_row("text", "one modality", "direct text", published=_of_three(72.7, 60.0, 7.0)), text),
    (_row("emotion", "one modality", "emotion", published=_of_three(82.8, 77.1, 2.7)), MODALITIES[2]),
    *(
        (_row(rule, "late fusion", title, published={"dev_f1_positive_max": printed(86.9)} if rule == "majority_vote" else None,
              fusion=rule), FUSIONS[rule])
        for rule, title in RULES_OF_FUSION.items()
    ),
    (_row("early", "early fusion", "joined features", fusion="early"), early),
    (Row(key="chosen", label=("", "chosen on dev"), compared=False), chosen),
]
# fmt: on

STUDY = study(
    TableSpec(
        study="climate_fusion",
        title="Depression detection on DAIC-WOZ from three modalities and by their fusion",
        source="Climate and Weather, Table 3",
        row_titles=("", "Modality"),
        rows=(),
        columns=DEPRESSION_COLUMNS,
        headline="f1_positive",
        baseline="emotion",
    ),
    rows=ROWS,
    protocol=f"one emotion model, whose own variation the intervals do not cover; {RULES}",
    seeds=RUNS,
)
