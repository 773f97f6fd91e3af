"""Contrastive predictive coding on an hour of speech, probed on any two corpora of emotion.

    python -m orchestrator.sweep cpc_own_encoder --corpora corpora.toml --scale paper --seeds 5

CPC is pretrained on the role `librispeech`; the roles `iemocap` (four emotions) and `casia` (up to eight) may be played by any two
corpora of five speakers and of four, or more. No speaker whose emotions are told has been trained on. The bar is the same linear
classifier on statistics of log-mel frames.
"""

from search_spaces._cpc import PROBE_COLUMNS, probe_rows
from search_spaces.study import study
from search_spaces.table import TableSpec

# What two cores finish in minutes on an hour of speech: half of the width, and small batches at five times the rate.
ENCODER = {"size": 128, "batch_size": 16, "epochs": 8, "learning_rate": 1e-3, "precision": "float32"}

STUDY = study(
    TableSpec(
        study="cpc_own_encoder",
        title="Emotion in contexts of CPC that is pretrained here, read by a linear classifier",
        source="The method of contrastive predictive coding, on speech of our own",
        row_titles=("Corpus", "Representation"),
        rows=(),
        columns=PROBE_COLUMNS,
        headline="uar",
    ),
    rows=[*probe_rows("iemocap", "role iemocap", ENCODER), *probe_rows("casia", "role casia", ENCODER)],
    protocol=(
        "each utterance is mean and deviation of its frames; speakers are told among utterances of all speakers; every seed has an "
        "encoder and a division of its own"
    ),
)
