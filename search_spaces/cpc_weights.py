"""Contrastive predictive coding over the weights α and β of the concordance loss.

    python -m orchestrator.sweep cpc_weights

α weighs activation, β valence, and dominance has the rest. The slides do not say which they take; equal weights are the baseline.
"""

from search_spaces._cpc import COLUMNS, ONE_PRETRAINING, REMARKS, sweep_rows
from search_spaces.study import study
from search_spaces.table import TableSpec

VALUES = {
    "equal": ("1/3", "1/3", 1 / 3, 1 / 3),
    "activation": ("1", "0", 1.0, 0.0),
    "valence": ("0", "1", 0.0, 1.0),
    "dominance": ("0", "0", 0.0, 0.0),
    "more_activation": ("1/2", "1/4", 0.5, 0.25),
    "more_valence": ("1/4", "1/2", 0.25, 0.5),
    "more_dominance": ("1/4", "1/4", 0.25, 0.25),
}

STUDY = study(
    TableSpec(
        study="cpc_weights",
        title="Concordance of emotion attributes on IEMOCAP over the weights of the attributes in the loss",
        source="Contrastive Unsupervised Learning for Speech Emotion Recognition, loss function",
        row_titles=("Weights",),
        rows=(),
        columns=COLUMNS,
        headline="ccc",
        baseline="equal",
    ),
    rows=sweep_rows(
        {
            key: (f"α = {first}, β = {second}", {"alpha": alpha, "beta": beta}, {}, {"alpha": alpha, "beta": beta})
            for key, (first, second, alpha, beta) in VALUES.items()
        },
        repeated=False,
    ),
    protocol=f"{REMARKS}; {ONE_PRETRAINING}",
)
