"""Climate and Weather, Figures 2 and 3: which emotions the models hear and read in depressed and in healthy participants.

    python -m orchestrator.sweep climate_emotion_analysis
    python -m orchestrator.cases                              # the case studies of section 4

The figures are of DAIC-WOZ's training participants, as the paper's; a participant counts once, however much he says. Every
difference is tested over participants and over emotion models of several seeds.
"""

from search_spaces._climate import FIRST_FOLD, SOURCES, TITLES, Corpus, Modality, emotion_features
from search_spaces.climate_emotion_models import key
from search_spaces.study import Chain, study
from search_spaces.table import Bars, Column, Panel, Row, TableSpec
from trainables.emotion_expression import EmotionExpression
from trainables.protocols.catalogue import DAIC_OFFICIAL

OUTPUTS: dict[Corpus, tuple[str, ...]] = {
    "iemocap": ("angry", "happy", "sad", "neutral", "valence", "activation", "dominance"),
    "mosei": ("negative",),
}
ATTRIBUTES = ("valence", "activation", "dominance")


def expressed(corpus: Corpus, modality: Modality, output: str) -> Chain:
    """How strongly each participant expresses something, by the emotion model of this seed."""
    return lambda seed: EmotionExpression(
        features=emotion_features(corpus, modality, seed), output=output, protocol=DAIC_OFFICIAL, seed=seed
    )


def scale(output: str) -> str:
    """On which axis an output is drawn."""
    return "1 to 5" if output in ATTRIBUTES else "probability"


def _number(metric: str, null: float | None = None) -> Column:
    return Column(metric=metric, title=metric, percent=False, higher_is_better=None, bounded=False, decimals=3, null=null)


def _row(corpus: Corpus, modality: Modality, output: str) -> Row:
    return Row(
        key=f"{key(corpus, modality)}_{output}",
        label=(TITLES[corpus], modality, output),
        params={"model": TITLES[corpus], "modality": modality, "output": output, "scale": scale(output)},
        compared=False,
    )


STUDY = study(
    TableSpec(
        study="climate_emotion_analysis",
        title="Emotion of DAIC-WOZ's healthy and depressed participants by emotion model and modality",
        source="Climate and Weather, Figures 2 and 3",
        row_titles=("Model", "Mod.", "Output"),
        rows=(),
        columns=(
            _number("healthy"),
            _number("depressed"),
            _number("difference", null=0.0),
        ),
        headline="difference",
        bars=Bars(
            picture="model",
            group="modality",
            bar="output",
            panel="scale",
            panels=(
                Panel(value="probability", title="mean probability (%)", percent=True),
                Panel(value="1 to 5", title="mean, 1 (low) to 5 (high)", low=1.0, high=5.0),
            ),
            columns=("healthy", "depressed"),
            test="difference",
        ),
    ),
    rows=[
        (_row(corpus, modality, output), expressed(corpus, modality, output))
        for corpus, modality in SOURCES
        for output in OUTPUTS[corpus]
    ],
    protocol=(
        "measured of the training participants: means over participants of their mean over turns, probabilities of classes and "
        "attributes from 1 to 5; difference: depressed less healthy; every seed has an emotion model of its own; "
        f"{FIRST_FOLD}"
    ),
)
