"""Contrastive predictive coding over the amount of unlabelled speech.

    python -m orchestrator.sweep cpc_unlabelled

Every amount is trained for the same number of steps, and a smaller one is part of each larger one. The row 'none' is the encoder's
random weights.
"""

from search_spaces._cpc import COLUMNS, EACH_PRETRAINED, REMARKS, sweep_rows
from search_spaces.study import study
from search_spaces.table import Curve, TableSpec

VALUES = [0.03, 0.1, 0.3, 1.0]

STUDY = study(
    TableSpec(
        study="cpc_unlabelled",
        title="Concordance of emotion attributes on IEMOCAP over the amount of unlabelled speech",
        source="Contrastive Unsupervised Learning for Speech Emotion Recognition, future work",
        row_titles=("Unlabelled speech",),
        rows=(),
        columns=COLUMNS,
        headline="ccc",
        baseline="share_1",
        curve=Curve(parameter="share", title="share of the unlabelled utterances", log=True),
    ),
    rows=sweep_rows(
        {
            "none": ("none (random weights)", {}, {"epochs": 0}, {}),
            **{f"share_{value:g}": (f"{value:.0%}", {"share": value}, {"share": value}, {}) for value in VALUES},
        }
    ),
    protocol=f"{REMARKS}; {EACH_PRETRAINED}",
)
