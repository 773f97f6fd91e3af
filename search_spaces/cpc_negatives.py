"""Contrastive predictive coding over the number of negatives, and over where they come from.

    python -m orchestrator.sweep cpc_negatives

Negatives of the same chunk share speaker, channel and mood with what is predicted, so that nothing of these helps to tell them
apart. Other chunks of a batch are mostly of other utterances, and now and then of the same. Van den Oord et al. (2018, Table 2)
compare the same choices for phones.
"""

from search_spaces._cpc import COLUMNS, EACH_PRETRAINED, REMARKS, sweep_rows
from search_spaces.study import study
from search_spaces.table import Curve, TableSpec

VALUES = [8, 32, 128, 512]
SOURCES = {"others": "of other chunks", "utterance": "of the same chunk"}

STUDY = study(
    TableSpec(
        study="cpc_negatives",
        title="Concordance of emotion attributes on IEMOCAP over the negatives of CPC",
        source="Contrastive Unsupervised Learning for Speech Emotion Recognition, InfoNCE loss",
        row_titles=("Negatives",),
        rows=(),
        columns=COLUMNS,
        headline="ccc",
        baseline="negatives_128",
        curve=Curve(parameter="negatives", title="negatives of the batch", log=True),
    ),
    rows=sweep_rows(
        {
            **{
                f"negatives_{value}": (f"{value}, of the batch", {"negatives": value}, {"negatives": value}, {}) for value in VALUES
            },
            **{
                f"from_{source}": (f"128, {label}", {"source": source}, {"negatives_from": source}, {})
                for source, label in SOURCES.items()
            },
        }
    ),
    protocol=f"{REMARKS}; {EACH_PRETRAINED}",
)
