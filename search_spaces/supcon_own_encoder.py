"""Supervised contrastive fine-tuning without public weights: a small encoder that is pretrained here, on any two corpora.

    python -m orchestrator.sweep supcon_own_encoder --corpora corpora.toml --scale paper --seeds 3

The encoder is a small HuBERT, pretrained by masked prediction on the role `librispeech`. The roles `iemocap` (four emotions) and
`casia` (up to eight) may be played by any two corpora of five speakers and of four, or more; no speaker is trained on and tested.
The bar is logistic regression on log-mel statistics, which every learnt representation has to beat.
"""

from search_spaces._supcon import COLUMNS, CORPORA, REMARKS, Division, Training, rows_of
from search_spaces.study import Study, study
from search_spaces.table import TableSpec
from trainables.initial_encoder import InitialEncoder
from trainables.masked_pretraining import MaskedPretraining
from trainables.protocols.catalogue import SPEAKERS_4_FOLD, SPEAKERS_5_FOLD
from trainables.stage import Stage
from trainables.utterances import Utterances

BY_SPEAKER = Division(
    "speakers",
    "by speaker",
    {"iemocap": SPEAKERS_5_FOLD, "casia": SPEAKERS_4_FOLD},
    {"iemocap": "emotion4", "casia": "emotion8"},
    {"iemocap": "role iemocap", "casia": "role casia"},
)

ENCODER = MaskedPretraining(
    initial=InitialEncoder(architecture="hubert", weights="random", layers=3),
    utterances=Utterances(corpus="librispeech"),
    precision="float32",
)

# A hundredth of the base models' weights, and an hour of speech to pretrain on: higher rates than the paper's, and epochs that two
# cores finish within the hour. Chosen before any score was seen; FT and two-stage take about as many steps.
TRAINING = Training(
    one={"epochs": 8, "learning_rate": 1e-3, "halve_from": 6, "halve_every": 2, "precision": "float32"},
    two={"epochs": 20, "learning_rate": 2e-3, "decay_from": 11, "decay_every": 10, "precision": "float32"},
    ft={"epochs": 12, "decay_from": 9, "precision": "float32"},
)


def own_encoder(name: str, title: str, encoders: dict[str, tuple[str, Stage]], training: Training) -> Study:
    """Both methods on encoders that are pretrained here, on both roles, against the bar.

    Args:
        name: The study's.
        title: What its table shows.
        encoders: Title and stage of each, by key.
        training: Settings that are not the paper's.
    """
    return study(
        TableSpec(
            study=name,
            title=title,
            source="The method of supervised contrastive learning across corpora, on an encoder of our own",
            row_titles=("Corpus", "Folds", "Model", "Method"),
            rows=(),
            columns=COLUMNS,
            headline="uar",
        ),
        rows=[row for corpus in CORPORA for row in rows_of(corpus, BY_SPEAKER, encoders, training=training)],
        protocol=f"{REMARKS}; one pretraining for all seeds",
    )


STUDY = own_encoder(
    "supcon_own_encoder",
    "Emotion recognition by a small encoder that is pretrained here",
    {"small": ("small HuBERT", ENCODER)},
    TRAINING,
)
