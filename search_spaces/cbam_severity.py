"""Attention-residual network, Figure 18: levels of severity by gender and valence of the material.

    python -m orchestrator.sweep cbam_severity

The classes are the BDI-II's levels: minimal, mild, moderate, severe. The paper admitted subjects up to a score of 28 (section 4.1)
and yet shows severe ones in Figure 18; where a corpus has none, that class is asked of no set. '24 depression severity levels'
(section 3.1) are nowhere else spoken of. Every row leaves its confusion matrices (``figures/``).
"""

from search_spaces._cbam import GENDERS, REMARKS, SUBJECT_COLUMNS, VALENCES, algorithm, gap, majority_row, network_row
from search_spaces.study import Chain, study
from search_spaces.table import Column, Row, TableSpec

COLUMNS = (
    Column(metric="uar", title="UAR", percent=True, higher_is_better=True),
    Column(metric="f1_micro", title="Acc", percent=True, higher_is_better=True),
    Column(metric="subject_uar", title="UAR subj", percent=True, higher_is_better=True),
    *SUBJECT_COLUMNS,
    Column(metric="mixed_uar", title="UAR mixed", percent=True, higher_is_better=True),
    Column(metric="mixed_f1_micro", title="Acc mixed", percent=True, higher_is_better=True),
    Column(metric="mixed_subject_uar", title="UAR subj mixed", percent=True, higher_is_better=True),
    gap("uar", "UAR gap"),
)


def _rows(key: str, label: tuple[str, str], only: dict[str, str]) -> list[tuple[Row, Chain]]:
    bar, linear = f"{key}_majority", f"{key}_logistic_regression"
    return [
        majority_row(bar, (*label, "majority"), only, task="severity"),
        (
            Row(key=linear, label=(*label, "logistic regression"), params=dict(only), against=bar),
            algorithm("logistic_regression", only, task="severity"),
        ),
        network_row(f"{key}_resnet18", (*label, "ResNet18 + CBAM"), 18, only, against=bar, task="severity"),
    ]


PANELS = [
    (f"{gender}_{valence}", (title, valence), {"gender": gender, "stimulus": valence})
    for gender, title in GENDERS.items()
    for valence in VALENCES
]

STUDY = study(
    TableSpec(
        study="cbam_severity",
        title="Severity of depression (BDI-II levels) by gender and emotional valence of the material",
        source="Speech depression recognition based on attentional residual network, Figure 18",
        row_titles=("Subjects", "Valence", "Model"),
        rows=(),
        columns=COLUMNS,
        headline="uar",
    ),
    rows=[*_rows("all", ("all", "all"), {}), *(row for panel in PANELS for row in _rows(*panel))],
    protocol=REMARKS,
)
