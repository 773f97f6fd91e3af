"""Supervised contrastive fine-tuning over the weight α of equation (4); the paper sets 0.5.

    python -m orchestrator.sweep supcon_alpha

α = 0 leaves positive pairs to the contrastive loss alone.
"""

from search_spaces._supcon import COLUMNS, REMARKS, rows_over
from search_spaces.study import study
from search_spaces.table import Curve, TableSpec

VALUES = [0.0, 0.25, 0.5, 1.0, 2.0]

STUDY = study(
    TableSpec(
        study="supcon_alpha",
        title="Emotion recognition on IEMOCAP (4 classes) over the weight of positive pairs in the margin loss",
        source="Supervised contrastive learning across corpora, equation 4",
        row_titles=("Method",),
        rows=(),
        columns=COLUMNS,
        headline="uar",
        baseline="alpha_0.5",
        curve=Curve(parameter="alpha", title="α, weight of positive pairs in the cosine margin loss"),
    ),
    rows=rows_over("alpha", "α", VALUES),
    protocol=REMARKS,
)
