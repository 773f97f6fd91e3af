"""What the tables of cross-corpus supervised contrastive fine-tuning share: corpora, folds, the two methods, and their rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from search_spaces.study import Chain
from search_spaces.table import Column, Published, Row
from trainables.chance import ChanceClassifier
from trainables.cross_validation import CrossValidation
from trainables.direct_fine_tuning import DirectFineTuning
from trainables.divided import DividedStage
from trainables.filterbank_features import FilterbankFeatures
from trainables.initial_encoder import InitialEncoder
from trainables.linear_probe import LinearProbe
from trainables.pooled_classifier import PooledClassifier
from trainables.protocols import Protocol
from trainables.protocols.catalogue import (
    CASIA_4_SPEAKERS,
    CASIA_MIXED_5,
    IEMOCAP_5_SESSIONS,
    IEMOCAP_MIXED_5,
    MSP_PODCAST_TEST1,
)
from trainables.stage import Stage
from trainables.supervised_contrastive import SupervisedContrastive
from trainables.tasks import TaskName
from trainables.training_set import TrainingSet
from trainables.turn_statistics import TurnStatistics
from trainables.utterances import Utterances

Architecture = Literal["hubert", "wavlm"]
Settings = Mapping[str, Any]

_PAPERS: Mapping[Any, Any] = MappingProxyType({})

CORPORA = {"iemocap": "IEMOCAP", "casia": "CASIA"}


class Division(NamedTuple):
    """How the corpora are divided, and into which classes.

    Attributes:
        key: In the keys of rows.
        title: In their labels.
        protocols: By corpus.
        tasks: By corpus.
        names: Of the corpora, in the rows' labels.
    """

    key: str
    title: str
    protocols: dict[str, Protocol]
    tasks: dict[str, TaskName]
    names: dict[str, str] = CORPORA


ENCODERS: dict[Architecture, tuple[str, Stage]] = {
    "hubert": ("HuBERT-base", InitialEncoder(architecture="hubert")),
    "wavlm": ("WavLM-base+", InitialEncoder(architecture="wavlm")),
}
"""Section 4.2, footnotes: the public base models."""

_CLASSES: dict[str, TaskName] = {"iemocap": "emotion4", "casia": "casia6", "msp_podcast": "emotion4"}
"""Section 4.1. IEMOCAP: 'neutral, sad, angry, and happy'; that happy has excited with it is the field's use (5531 turns), the paper
does not say."""

MIXED = Division("mixed", "mixed (paper)", {"iemocap": IEMOCAP_MIXED_5, "casia": CASIA_MIXED_5}, _CLASSES)
"""Section 4.2: 'the two datasets were divided into 5 parts respectively'. CASIA has four speakers, so that the paper's five parts
mix them; of IEMOCAP it does not say whether the parts are the five sessions. We take both corpora to be divided alike."""

SPEAKERS = Division(
    "speakers",
    "by speaker",
    {"iemocap": IEMOCAP_5_SESSIONS, "casia": CASIA_4_SPEAKERS, "msp_podcast": MSP_PODCAST_TEST1},
    _CLASSES,
)
"""The division that no speaker crosses, beside the paper's: IEMOCAP by session, CASIA by speaker (four folds)."""

COLUMNS = (
    Column(metric="uar", title="UA", percent=True, higher_is_better=True),
    Column(metric="uar_fold_mean", title="UA, mean of folds", percent=True, higher_is_better=True),
)
"""The paper's number is 'the average of the 5 experimental results'; predictions of all folds scored together have intervals over
speakers beside."""

REMARKS = (
    "stage one of every fold sees the training utterances of that fold alone, of all corpora that are joined; every seed is a "
    "training of both stages"
)
PUBLISHED_REMARK = "published numbers stand beside the mean of folds, over how many runs the paper does not say"


def source(corpus: str, division: Division, seed: int) -> TrainingSet:
    """The training utterances of a corpus; its fold follows the stage that reads it."""
    task, protocol = division.tasks[corpus], division.protocols[corpus]
    return TrainingSet(utterances=Utterances(corpus=corpus), task=task, protocol=protocol, seed=seed)


def tuned(
    encoder: Stage, division: Division, seed: int, corpora: tuple[str, ...] = tuple(CORPORA), **settings: Any
) -> SupervisedContrastive:
    """Stage one on these corpora together, for the first fold."""
    return SupervisedContrastive(
        encoder=encoder, sources=tuple(source(corpus, division, seed) for corpus in corpora), seed=seed, **settings
    )


def two_stage(target: str, encoder: Stage, division: Division, second: Settings = _PAPERS, **settings: Any) -> Chain:
    """Stage two on a corpus, with settings ``second``, after stage one on it and others (see :func:`tuned`): all folds together."""

    def chain(seed: int) -> Stage:
        first = tuned(encoder, division, seed, **settings)
        return _folds(target, division, seed, lambda **given: PooledClassifier(tuned=first, **second, **given))

    return chain


def fine_tuned(target: str, encoder: Stage, division: Division, **settings: Any) -> Chain:
    """The directly fine-tuned baseline, FT, on a corpus."""
    return lambda seed: _folds(target, division, seed, lambda **given: DirectFineTuning(encoder=encoder, **settings, **given))


def log_mel(target: str, division: Division) -> Chain:
    """The bar to beat: logistic regression on mean and deviation of each utterance's filterbank."""
    features = TurnStatistics(filterbanks=FilterbankFeatures(corpus=target, unit="utterance"))

    def probe(utterances: Utterances, **given: Any) -> LinearProbe:
        return LinearProbe(features=features, **given)

    return lambda seed: _folds(target, division, seed, probe)


def majority(target: str, division: Division) -> Chain:
    """Always the commonest class of the training utterances."""

    def guess(utterances: Utterances, **given: Any) -> ChanceClassifier:
        return ChanceClassifier(features=utterances, strategy="most_frequent", **given)

    return lambda seed: _folds(target, division, seed, guess)


def _folds(target: str, division: Division, seed: int, stage: Callable[..., DividedStage]) -> CrossValidation:
    """The same stage for every fold of the target's protocol."""
    protocol = division.protocols[target]
    given = {"utterances": Utterances(corpus=target), "task": division.tasks[target], "protocol": protocol, "seed": seed}
    return CrossValidation(folds=tuple(stage(**given, fold=fold) for fold in range(protocol.folds)))


class Training(NamedTuple):
    """Settings that are not the paper's: of stage one, of stage two, of direct fine-tuning."""

    one: Settings = _PAPERS
    two: Settings = _PAPERS
    ft: Settings = _PAPERS


def rows_of(
    target: str,
    division: Division,
    encoders: Mapping[str, tuple[str, Stage]] = ENCODERS,
    published: Mapping[tuple[str, str], float] = _PAPERS,
    training: Training | None = None,
) -> list[tuple[Row, Chain]]:
    """The rows of a corpus under one division.

    With the paper's training two-stage rows are compared with FT of the same encoder, as the paper does; with another one both are
    compared with the bar, logistic regression on log-mel statistics.

    Args:
        target: The corpus that is scored.
        division: How it is divided.
        encoders: Title and stage of each, by key.
        published: Unweighted accuracy in percent by encoder and method ('ft', 'two_stage').
        training: Settings that are not the paper's.
    """
    one, two, ft = training or Training()
    rows = [
        (_row(target, division, "majority", "–", "majority"), majority(target, division)),
        (_row(target, division, "log_mel", "log-mel statistics", "logistic regression"), log_mel(target, division)),
    ]
    for key, (title, encoder) in encoders.items():
        direct, both = f"{key}_ft", f"{key}_two_stage"
        numbers = published.get((key, "ft")), published.get((key, "two_stage"))
        bars = ("log_mel", "log_mel") if training else (None, direct)
        rows += [
            (_row(target, division, direct, title, "FT", numbers[0], bars[0]), fine_tuned(target, encoder, division, **ft)),
            (
                _row(target, division, both, title, "two-stage", numbers[1], bars[1]),
                two_stage(target, encoder, division, two, **one),
            ),
        ]
    return rows


def _row(
    target: str, division: Division, key: str, model: str, method: str, number: float | None = None, against: str | None = None
) -> Row:
    place = f"{target}_{division.key}"
    return Row(
        key=f"{place}_{key}",
        label=(division.names[target], division.title, model, method),
        params={"corpus": target, "folds": division.key, "method": method},
        published={"uar_fold_mean": Published(mean=number)} if number is not None else {},
        compared=against is not None,
        against=f"{place}_{against}" if against else None,
    )


def rows_over(setting: str, symbol: str, values: Sequence[float]) -> list[tuple[Row, Chain]]:
    """Two-stage rows on IEMOCAP by session over a setting of stage one, after the rows that it does not touch.

    Args:
        setting: A field of :class:`~trainables.supervised_contrastive.SupervisedContrastive`.
        symbol: What the paper calls it.
        values: Its values.
    """
    _, encoder = ENCODERS["wavlm"]

    def row(key: str, title: str, **params: float) -> Row:
        return Row(key=key, label=(title,), params=params, compared=bool(params))

    return [
        (row("majority", "majority"), majority("iemocap", SPEAKERS)),
        (row("log_mel", "log-mel statistics"), log_mel("iemocap", SPEAKERS)),
        *(
            (
                row(f"{setting}_{value:g}", f"{symbol} = {value:g}", **{setting: value}),
                two_stage("iemocap", encoder, SPEAKERS, **{setting: value}),
            )
            for value in values
        ),
    ]
