"""Attention-residual network, Figure 15: beside classical algorithms on the same segments; Figures 13 and 17: their pictures.

    python -m orchestrator.sweep cbam_algorithms

Every row leaves a confusion matrix and ROC curves (``figures/``) of segments and of subjects, under both divisions.
"""

from search_spaces._cbam import ALGORITHMS, COLUMNS, REMARKS, algorithm, majority_row, network_row
from search_spaces.study import study
from search_spaces.table import Row, TableSpec

STUDY = study(
    TableSpec(
        study="cbam_algorithms",
        title="Depression detection by algorithm",
        source="Speech depression recognition based on attentional residual network, Figures 13, 15 and 17",
        row_titles=("Algorithm",),
        rows=(),
        columns=COLUMNS,
        headline="f1_micro",
        baseline="logistic_regression",
    ),
    rows=[
        majority_row("majority", ("majority",)),
        *((Row(key=model, label=(title,), params={"model": model}), algorithm(model)) for model, title in ALGORITHMS.items()),
        *(network_row(f"resnet{depth}", (f"ResNet{depth} + CBAM",), depth) for depth in (18, 50)),
    ],
    protocol=(
        f"{REMARKS}; segments of all tasks and valences together; the algorithms see mean and deviation of each coefficient over a "
        "segment, and search their settings on parts of the training set"
    ),
)
