"""What the tables of Climate and Weather share: turn features, emotion models, depression classifiers, and columns."""

from __future__ import annotations

from typing import Any, Literal

from search_spaces.study import Chain
from search_spaces.table import Column, Published, Row
from trainables.chance import ChanceClassifier
from trainables.emotion_features import EmotionFeatures
from trainables.emotion_model import EmotionModel
from trainables.filterbank_features import FilterbankFeatures
from trainables.protocols.catalogue import DAIC_OFFICIAL, IEMOCAP_5_SESSIONS, OWN_SPLITS
from trainables.sentence_embeddings import SentenceEmbeddings
from trainables.sequence_classifier import SequenceClassifier
from trainables.stage import Stage
from trainables.turn_statistics import TurnStatistics

RUNS = 20
"""Section 3.3: 'experiments were run for 20 different seeds'."""

Corpus = Literal["iemocap", "mosei"]
Modality = Literal["A", "T", "A+T"]

SOURCES: tuple[tuple[Corpus, Modality], ...] = tuple(
    (corpus, modality) for corpus in ("iemocap", "mosei") for modality in ("A", "T", "A+T")
)
"""The six emotion models of Table 1, which are the six feature sources of Table 2."""

TITLES = {"iemocap": "IEMOCAP", "mosei": "MOSEI"}

FIRST_FOLD = "IEMOCAP's emotion model is that of the first fold, trained without the first of the five sessions"

_INPUTS: dict[Modality, tuple[str, ...]] = {"A": ("filterbanks",), "T": ("sentences",), "A+T": ("filterbanks", "sentences")}
_TASKS: dict[Corpus, dict[str, Any]] = {
    "iemocap": {"task": "emotion4", "attributes": True, "protocol": IEMOCAP_5_SESSIONS},
    "mosei": {"task": "sentiment", "protocol": OWN_SPLITS},
}


def inputs(corpus: str, modality: Modality) -> dict[str, Stage]:
    """The features that a model of this modality reads: of utterances, or of DAIC-WOZ's sessions turn by turn."""
    unit = "session" if corpus == "daic_woz" else "utterance"
    made = {
        "filterbanks": FilterbankFeatures(corpus=corpus, unit=unit),
        "sentences": SentenceEmbeddings(corpus=corpus, unit=unit),
    }
    return {name: made[name] for name in _INPUTS[modality]}


def emotion_model(corpus: Corpus, modality: Modality, seed: int = 0, fold: int = 0) -> EmotionModel:
    """An emotion model of Table 1; of IEMOCAP one fold, tested on one of the five sessions."""
    return EmotionModel(**inputs(corpus, modality), **_TASKS[corpus], seed=seed, fold=fold)


def emotion_features(corpus: Corpus, modality: Modality, seed: int = 0) -> EmotionFeatures:
    """What an emotion model makes of every turn of DAIC-WOZ; IEMOCAP's is the first fold's (it has seen four of five sessions)."""
    return EmotionFeatures(model=emotion_model(corpus, modality, seed), **inputs("daic_woz", modality))


def depression(*features: Stage, **settings: Any) -> Chain:
    """Depression detection on DAIC-WOZ from these features of every turn; several are joined turn by turn."""
    return lambda seed: SequenceClassifier(features=features, protocol=DAIC_OFFICIAL, seed=seed, **settings)


def emotion(corpus: Corpus, modality: Modality) -> Chain:
    """Depression detection from emotion features (section 2.3): a bi-LSTM; one emotion model for all seeds."""
    return depression(emotion_features(corpus, modality))


audio = depression(TurnStatistics(filterbanks=inputs("daic_woz", "A")["filterbanks"]), cell="gru")
"""Table 3, 'Direct Audio': filterbanks into a bi-GRU."""

text = depression(inputs("daic_woz", "T")["sentences"])
"""Table 3, 'Direct Text': sentence embeddings into a bi-LSTM."""


def guesses(**settings: Any) -> list[tuple[Row, Chain]]:
    """The rows that listen to nothing."""
    return [
        (Row(key=key, label=label, compared=False), _guess(strategy, **settings))
        for key, label, strategy in (("chance", ("", "chance"), "uniform"), ("majority", ("", "majority"), "most_frequent"))
    ]


def _guess(strategy: str, **settings: Any) -> Chain:
    features = inputs("daic_woz", "T")["sentences"]
    return lambda seed: ChanceClassifier(features=features, strategy=strategy, protocol=DAIC_OFFICIAL, seed=seed, **settings)


def printed(mean: float, std: float | None = None) -> Published:
    """A number of Table 2 or 3, in percent."""
    return Published(mean=mean, std=std, runs=RUNS if std is not None else None)


DEPRESSION_COLUMNS = (
    Column(metric="dev_f1_positive", title="F1 dev", percent=True, higher_is_better=True),
    Column(metric="dev_f1_positive", over_seeds="max", title="max F1 dev", percent=True, higher_is_better=True),
    Column(metric="f1_positive", title="F1 test", percent=True, higher_is_better=True),
    Column(
        metric="f1_positive",
        over_seeds="at_best",
        best_by="dev_f1_positive",
        title="F1 test at max dev",
        percent=True,
        higher_is_better=True,
    ),
    Column(
        metric="dev_f1_positive",
        over_seeds="max",
        minus="f1_positive_at_best",
        title="gap",
        percent=True,
        higher_is_better=None,
        bounded=False,
    ),
)
"""The paper's rule (on the development participants: mean and deviation, and the maximum over seeds), the clean rule (on the test
participants: mean and deviation, and the one seed that is best on the development participants), and what lies between the
paper's maximum and the clean rule's answer to it. F1 is that of the depressed class: every maximum that the paper prints is a
fraction 2 TP / (2 TP + FP + FN) with the 12 depressed of the 35 development participants (0.869 of 20/23, 0.828 = 24/29,
0.750 = 18/24, 0.558 = 24/43)."""

RULES = (
    "columns 'dev' (where shown) follow the paper's rule: scored on the development participants, and the best of its 20 seeds "
    "quoted; columns 'test' follow the clean rule: each training is scored once on the test participants, who choose nothing; "
    "row 'chosen on dev' takes for every seed the row that is best on the development participants; all columns are of one and the "
    "same training; F1 is that of the depressed class"
)
