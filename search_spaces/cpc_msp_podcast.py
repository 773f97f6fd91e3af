"""Contrastive predictive coding, Table 2: activation, valence and dominance on MSP-Podcast by what the encoder was trained on.

    python -m orchestrator.sweep cpc_msp_podcast

Train, Development and Test1 are the release's; the slides do not name their release. The epoch that is best on Development counts.
"""

from search_spaces._cpc import COLUMNS, ONE_PRETRAINING, REMARKS, table_rows
from search_spaces.study import study
from search_spaces.table import TableSpec

PUBLISHED = {
    "Sup": ((0.458, 0.005), (0.596, 0.007), (0.266, 0.004), (0.501, 0.013)),
    "jointCPC": ((0.491, 0.008), (0.628, 0.006), (0.280, 0.006), (0.568, 0.007)),
    "miniCPC": ((0.549, 0.006), (0.688, 0.009), (0.345, 0.005), (0.615, 0.011)),
    "preCPC": ((0.571, 0.004), (0.706, 0.006), (0.377, 0.008), (0.639, 0.012)),
}

STUDY = study(
    TableSpec(
        study="cpc_msp_podcast",
        title="Concordance of predicted emotion attributes on MSP-Podcast",
        source="Contrastive Unsupervised Learning for Speech Emotion Recognition, Table 2",
        row_titles=("Method",),
        rows=(),
        columns=COLUMNS,
        headline="ccc",
        baseline="sup",
    ),
    rows=table_rows("msp_podcast", PUBLISHED),
    protocol=f"{REMARKS}; {ONE_PRETRAINING}; the slides do not say over how many runs their deviations are",
)
