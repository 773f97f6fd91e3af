"""Supervised contrastive fine-tuning over the margin m of equation (4); the paper sets 0.4.

    python -m orchestrator.sweep supcon_margin

Negative pairs with a cosine below m are left alone; at m = 1 all are.
"""

from search_spaces._supcon import COLUMNS, REMARKS, rows_over
from search_spaces.study import study
from search_spaces.table import Curve, TableSpec

VALUES = [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]

STUDY = study(
    TableSpec(
        study="supcon_margin",
        title="Emotion recognition on IEMOCAP (4 classes) over the margin",
        source="Supervised contrastive learning across corpora, equation 4",
        row_titles=("Method",),
        rows=(),
        columns=COLUMNS,
        headline="uar",
        baseline="margin_0.4",
        curve=Curve(parameter="margin", title="margin m, a cosine"),
    ),
    rows=rows_over("margin", "m", VALUES),
    protocol=REMARKS,
)
