"""What the tables of the ReCLR paper share: its features, its pretrainings, and the rows that every table has."""

from __future__ import annotations

from typing import Any

from search_spaces.study import Chain
from search_spaces.table import Column, Published, Row
from trainables.chance import ChanceClassifier
from trainables.contrastive_pretraining import ContrastivePretraining
from trainables.emotion_reference import EmotionReference
from trainables.log_mel_features import LogMelFeatures
from trainables.segment_embeddings import SegmentEmbeddings
from trainables.session_classifier import SessionClassifier

RUNS = 10
"""Section 3.3, of Table 1: '10 times running under different seeds'. Of Tables 2 to 4, printed alike, the paper does not say; we
assume the same, and their captions say so. A row without a deviation is printed from we do not know how many."""

ASSUMED = "the published deviations are taken to be over 10 runs, as in Table 1"

mdd = LogMelFeatures(corpus="mdd", unit="session")
mosei = LogMelFeatures(corpus="mosei", unit="utterance")
iemocap = LogMelFeatures(corpus="iemocap", unit="utterance")
references = SegmentEmbeddings(encoder=EmotionReference(features=mosei), features=mdd)

COLUMNS = (
    Column(metric="f1_macro", title="F1 macro", percent=True, higher_is_better=True),
    Column(metric="f1_micro", title="F1 micro", percent=True, higher_is_better=True),
)

MDD_PROTOCOL = "one reference model and one pretraining per row, whose own variation the intervals do not cover"


def simclr(**settings: Any) -> ContrastivePretraining:
    """Contrastive pretraining without references (section 2.2.1)."""
    return ContrastivePretraining(features=mdd, objective="simclr", **settings)


def coclr(**settings: Any) -> ContrastivePretraining:
    """References find positives (section 2.2.2): ReCLR with λ = 0."""
    return ContrastivePretraining(features=mdd, objective="coclr", reference=references, **settings)


def reclr(lambda_: float, **settings: Any) -> ContrastivePretraining:
    """ReCLR with weight λ of the reference-enhanced loss (equation 6)."""
    return ContrastivePretraining(features=mdd, objective="reclr", lambda_=lambda_, reference=references, **settings)


def fixed(pretraining: ContrastivePretraining) -> Chain:
    """Depression detection with frozen Cnn10: LSTM on its segment embeddings."""
    embeddings = SegmentEmbeddings(encoder=pretraining, features=mdd)
    return lambda seed: SessionClassifier(embeddings=embeddings, seed=seed)


def guesses(features: LogMelFeatures, **settings: Any) -> list[tuple[Row, Chain]]:
    """The rows that listen to nothing; they are no hypotheses, so they are not tested against the baseline."""

    def chain(strategy: str) -> Chain:
        return lambda seed: ChanceClassifier(features=features, strategy=strategy, seed=seed, **settings)

    return [
        (Row(key="chance", label=("chance",), compared=False), chain("uniform")),
        (Row(key="majority", label=("majority",), compared=False), chain("most_frequent")),
    ]


def row(key: str, method: str, macro: Published | None = None, micro: Published | None = None, **params: float | str) -> Row:
    """A row of one of the tables."""
    published = {name: number for name, number in (("f1_macro", macro), ("f1_micro", micro)) if number}
    return Row(key=key, label=(method,), params={"method": method, **params}, published=published)


def printed(mean: float, std: float | None = None) -> Published:
    """A number of a table, in percent."""
    return Published(mean=mean, std=std, runs=RUNS if std is not None else None)
