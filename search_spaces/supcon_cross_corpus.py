"""Supervised contrastive fine-tuning, Table 2: IEMOCAP and CASIA at once, after one stage one on both.

    python -m orchestrator.sweep supcon_cross_corpus

Stage one of a fold serves both corpora: it is computed once. The other models of the paper's table are other papers' and are not
run here; FT, which the paper shows for IEMOCAP alone, is what each two-stage row is compared with.
"""

from search_spaces._supcon import COLUMNS, CORPORA, MIXED, PUBLISHED_REMARK, REMARKS, SPEAKERS, rows_of
from search_spaces.study import study
from search_spaces.table import TableSpec

PUBLISHED = {
    "iemocap": {("hubert", "two_stage"): 76.92, ("wavlm", "two_stage"): 77.41},
    "casia": {("hubert", "two_stage"): 97.19, ("wavlm", "two_stage"): 96.49},
}

STUDY = study(
    TableSpec(
        study="supcon_cross_corpus",
        title="Emotion recognition on IEMOCAP (4 classes) and CASIA (6 classes)",
        source="Supervised contrastive learning across corpora, Table 2",
        row_titles=("Corpus", "Folds", "Model", "Method"),
        rows=(),
        columns=COLUMNS,
        headline="uar",
    ),
    rows=[row for corpus in CORPORA for row in (*rows_of(corpus, MIXED, published=PUBLISHED[corpus]), *rows_of(corpus, SPEAKERS))],
    protocol=f"{REMARKS}; {PUBLISHED_REMARK}",
)
