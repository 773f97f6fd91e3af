"""Supervised contrastive fine-tuning over which corpora stage one joins; the paper joins IEMOCAP and CASIA.

    python -m orchestrator.sweep supcon_corpora

Stage two and the scores are IEMOCAP's in every row, by session. With IEMOCAP alone positives and negatives are of one corpus.
"""

from search_spaces._supcon import COLUMNS, ENCODERS, REMARKS, SPEAKERS, log_mel, majority, two_stage
from search_spaces.study import study
from search_spaces.table import Row, TableSpec

JOINED = {
    "iemocap": "IEMOCAP alone",
    "iemocap+casia": "with CASIA (paper)",
    "iemocap+msp_podcast": "with MSP-Podcast",
    "iemocap+casia+msp_podcast": "with both",
}

_, WAVLM = ENCODERS["wavlm"]

STUDY = study(
    TableSpec(
        study="supcon_corpora",
        title="Emotion recognition on IEMOCAP (4 classes) by the corpora of stage one",
        source="Supervised contrastive learning across corpora, section 3.1; its outlook: 'fine-tuning more datasets'",
        row_titles=("Stage one",),
        rows=(),
        columns=COLUMNS,
        headline="uar",
        baseline="iemocap",
    ),
    rows=[
        (Row(key="majority", label=("majority",), compared=False), majority("iemocap", SPEAKERS)),
        (Row(key="log_mel", label=("log-mel statistics",), compared=False), log_mel("iemocap", SPEAKERS)),
        *(
            (Row(key=key, label=(title,)), two_stage("iemocap", WAVLM, SPEAKERS, corpora=tuple(key.split("+"))))
            for key, title in JOINED.items()
        ),
    ],
    protocol=REMARKS,
)
