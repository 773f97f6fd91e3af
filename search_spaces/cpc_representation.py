"""Contrastive predictive coding, 'Representation Visualization': what is in the contexts, as a picture and in numbers.

    python -m orchestrator.sweep cpc_representation

Each representation's picture (``figures/``) is a t-SNE of its utterances, coloured by emotion and by speaker; the numbers beside it
are the recall of linear classifiers of either, of emotions by speakers that they were not trained on.
"""

from search_spaces._cpc import PROBE_COLUMNS, probe_rows
from search_spaces.study import study
from search_spaces.table import TableSpec

STUDY = study(
    TableSpec(
        study="cpc_representation",
        title="Emotion and speaker in representations of speech, read by linear classifiers",
        source="Contrastive Unsupervised Learning for Speech Emotion Recognition, 'Representation Visualization'",
        row_titles=("Corpus", "Representation"),
        rows=(),
        columns=PROBE_COLUMNS,
        headline="uar",
    ),
    rows=[*probe_rows("iemocap", "IEMOCAP"), *probe_rows("casia", "CASIA")],
    protocol=(
        "each utterance is mean and deviation of its frames; speakers are told among utterances of all speakers; every seed has an "
        "encoder and a division of its own"
    ),
)
