"""Climate and Weather, Table 2: depression detection on DAIC-WOZ from the features of six emotion models.

    python -m orchestrator.sweep climate_emotion_features --seeds 20

The last row is the clean rule's answer to 'the best performing emotion features were selected' (section 3.4): for every seed the
source is chosen on the development participants, and only the chosen one's test participants are scored.
"""

from search_spaces._climate import DEPRESSION_COLUMNS, FIRST_FOLD, RULES, RUNS, SOURCES, TITLES, emotion, guesses, printed
from search_spaces.climate_emotion_models import key
from search_spaces.study import study
from search_spaces.table import Row, TableSpec
from trainables.nested_selection import NestedSelection

# F1 on the development participants: maximum, average and deviation over 20 seeds.
PUBLISHED = {
    ("iemocap", "A"): (55.8, 52.9, 1.8),
    ("iemocap", "T"): (62.1, 56.2, 2.2),
    ("iemocap", "A+T"): (60.0, 55.4, 2.5),
    ("mosei", "A"): (55.8, 53.4, 1.4),
    ("mosei", "T"): (75.0, 71.8, 1.8),
    ("mosei", "A+T"): (82.8, 77.1, 2.7),
}


def chosen(seed: int) -> NestedSelection:
    """The source that is best on the development participants."""
    return NestedSelection(members=tuple(emotion(*source)(seed) for source in SOURCES), seed=seed)


def _row(source: tuple) -> Row:
    highest, mean, std = PUBLISHED[source]
    return Row(
        key=key(*source),
        label=(TITLES[source[0]], source[1]),
        params={"corpus": source[0], "modality": source[1]},
        published={"dev_f1_positive": printed(mean, std), "dev_f1_positive_max": printed(highest)},
    )


STUDY = study(
    TableSpec(
        study="climate_emotion_features",
        title="Depression detection on DAIC-WOZ by source of the emotion features",
        source="Climate and Weather, Table 2",
        row_titles=("Emotion model", "Mod."),
        rows=(),
        columns=DEPRESSION_COLUMNS,
        headline="f1_positive",
        baseline="mosei_a_t",
    ),
    rows=[
        *guesses(),
        *((_row(source), emotion(*source)) for source in SOURCES),
        (Row(key="chosen", label=("", "chosen on dev"), compared=False), chosen),
    ],
    protocol=f"one emotion model per row, whose own variation the intervals do not cover; {FIRST_FOLD}; {RULES}",
    seeds=RUNS,
)
