"""Contrastive predictive coding over how far ahead it predicts.

    python -m orchestrator.sweep cpc_steps

The slides write k steps and do not say how many; van den Oord et al. (2018) take 12, of 10 ms each.
"""

from search_spaces._cpc import COLUMNS, EACH_PRETRAINED, REMARKS, sweep_rows
from search_spaces.study import study
from search_spaces.table import Curve, TableSpec

VALUES = [1, 2, 4, 8, 12, 20]

STUDY = study(
    TableSpec(
        study="cpc_steps",
        title="Concordance of emotion attributes on IEMOCAP over the prediction steps of CPC",
        source="Contrastive Unsupervised Learning for Speech Emotion Recognition, InfoNCE loss",
        row_titles=("Pretraining",),
        rows=(),
        columns=COLUMNS,
        headline="ccc",
        baseline="steps_12",
        curve=Curve(parameter="prediction_steps", title="prediction steps"),
    ),
    rows=sweep_rows(
        {
            f"steps_{value}": (f"{value} step{'s' * (value > 1)}", {"prediction_steps": value}, {"prediction_steps": value}, {})
            for value in VALUES
        }
    ),
    protocol=f"{REMARKS}; {EACH_PRETRAINED}",
)
