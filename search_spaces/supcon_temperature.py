"""Supervised contrastive fine-tuning over the temperature τ of equation (2); the paper sets 0.07.

    python -m orchestrator.sweep supcon_temperature

The baseline is the paper's value; the axis is logarithmic, as τ divides the similarities.
"""

from search_spaces._supcon import COLUMNS, REMARKS, rows_over
from search_spaces.study import study
from search_spaces.table import Curve, TableSpec

VALUES = [0.02, 0.05, 0.07, 0.1, 0.2, 0.5]

STUDY = study(
    TableSpec(
        study="supcon_temperature",
        title="Emotion recognition on IEMOCAP (4 classes) over the temperature",
        source="Supervised contrastive learning across corpora, equation 2",
        row_titles=("Method",),
        rows=(),
        columns=COLUMNS,
        headline="uar",
        baseline="temperature_0.07",
        curve=Curve(parameter="temperature", title="temperature τ", log=True),
    ),
    rows=rows_over("temperature", "τ", VALUES),
    protocol=REMARKS,
)
