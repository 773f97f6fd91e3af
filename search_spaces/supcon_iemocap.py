"""Supervised contrastive fine-tuning, Table 1: emotion recognition on IEMOCAP, two-stage beside direct fine-tuning (FT).

    python -m orchestrator.sweep supcon_iemocap

Stage one joins IEMOCAP and CASIA. Rows 3 to 7 of the paper's table are other papers' methods and are not run here.
"""

from search_spaces._supcon import COLUMNS, MIXED, PUBLISHED_REMARK, REMARKS, SPEAKERS, rows_of
from search_spaces.study import study
from search_spaces.table import TableSpec

PUBLISHED = {
    ("hubert", "ft"): 66.61,
    ("wavlm", "ft"): 68.31,
    ("hubert", "two_stage"): 76.92,
    ("wavlm", "two_stage"): 77.41,
}

STUDY = study(
    TableSpec(
        study="supcon_iemocap",
        title="Emotion recognition on IEMOCAP (4 classes) by fine-tuned speech representations",
        source="Supervised contrastive learning across corpora, Table 1",
        row_titles=("Corpus", "Folds", "Model", "Method"),
        rows=(),
        columns=COLUMNS,
        headline="uar",
    ),
    rows=[*rows_of("iemocap", MIXED, published=PUBLISHED), *rows_of("iemocap", SPEAKERS)],
    protocol=f"{REMARKS}; {PUBLISHED_REMARK}",
)
