"""Contrastive predictive coding, Table 1: activation, valence and dominance on IEMOCAP by what the encoder was trained on.

    python -m orchestrator.sweep cpc_iemocap

One session after the other is left out; the slides do not say how they divide. miniCPC's pretraining and jointCPC hear the training
sessions alone. What the slides call Sup is a recogniser of handcrafted features, by their first hypothesis; the network of CPC
trained from random weights without CPC's loss is the row beside it.
"""

from search_spaces._cpc import COLUMNS, ONE_PRETRAINING, REMARKS, table_rows
from search_spaces.study import study
from search_spaces.table import TableSpec

PUBLISHED = {
    "Sup": ((0.664, 0.007), (0.638, 0.017), (0.718, 0.004), (0.635, 0.009)),
    "jointCPC": ((0.562, 0.012), (0.549, 0.032), (0.642, 0.013), (0.491, 0.016)),
    "miniCPC": ((0.660, 0.005), (0.673, 0.028), (0.702, 0.009), (0.606, 0.019)),
    "preCPC": ((0.731, 0.003), (0.752, 0.014), (0.752, 0.009), (0.691, 0.009)),
}

STUDY = study(
    TableSpec(
        study="cpc_iemocap",
        title="Concordance of predicted emotion attributes on IEMOCAP",
        source="Contrastive Unsupervised Learning for Speech Emotion Recognition, Table 1",
        row_titles=("Method",),
        rows=(),
        columns=COLUMNS,
        headline="ccc",
        baseline="sup",
    ),
    rows=table_rows("iemocap", PUBLISHED),
    protocol=f"{REMARKS}; {ONE_PRETRAINING}; the slides do not say over how many runs their deviations are",
)
