"""What the tables of contrastive predictive coding share: frames, encoders, recognisers, probes, columns, and their rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from search_spaces.study import Chain
from search_spaces.table import Column, Published, Row
from trainables.attribute_probe import AttributeProbe
from trainables.attribute_regression import AttributeRegression
from trainables.chance import ChanceClassifier
from trainables.cpc_contexts import CpcContexts
from trainables.cpc_pretraining import CpcPretraining
from trainables.cross_validation import CrossValidation
from trainables.divided import DividedStage
from trainables.filterbank_features import FilterbankFeatures
from trainables.joint_regression import JointRegression
from trainables.linear_probe import LinearProbe
from trainables.protocols import Protocol
from trainables.protocols.catalogue import IEMOCAP_5_SESSIONS, MSP_PODCAST_TEST1, SPEAKERS_4_FOLD, SPEAKERS_5_FOLD
from trainables.representation_map import RepresentationMap
from trainables.stage import Stage
from trainables.tasks import TaskName
from trainables.training_set import TrainingSet
from trainables.turn_statistics import TurnStatistics
from trainables.utterances import Utterances

Settings = Mapping[str, Any]

_DEFAULTS: Settings = MappingProxyType({})

UNLABELLED = "librispeech"
"""The slides' corpus of preCPC."""

PROTOCOLS: dict[str, Protocol] = {"iemocap": IEMOCAP_5_SESSIONS, "msp_podcast": MSP_PODCAST_TEST1}
"""The slides do not say how they divide. MSP-Podcast has its own sets; of IEMOCAP one session after the other is left out."""

METRICS = ("ccc", "ccc_activation", "ccc_valence", "ccc_dominance")
COLUMNS = tuple(
    Column(metric=metric, title=f"CCC {short}", percent=False, higher_is_better=True, decimals=3)
    for metric, short in zip(METRICS, ("avg", "act", "val", "dom"), strict=True)
)

REMARKS = (
    "activation, valence and dominance of every rated utterance; the concordance correlation is of all scored utterances together"
)
ONE_PRETRAINING = "one pretraining for all seeds, so intervals and p say nothing of how another pretraining would turn out"
EACH_PRETRAINED = "every seed has a pretraining of its own"


def frames(corpus: str) -> FilterbankFeatures:
    """The log-mel frames that everything here reads."""
    return FilterbankFeatures(corpus=corpus, unit="utterance", deltas=False)


def pretrained(**settings: Any) -> CpcPretraining:
    """CPC on unlabelled speech."""
    return CpcPretraining(frames=frames(UNLABELLED), **settings)


def _folds(corpus: str, seed: int, stage: Callable[..., DividedStage]) -> Stage:
    """The same stage for every fold of the corpus' protocol, or the stage itself where there are no folds."""
    protocol = PROTOCOLS[corpus]
    if protocol.folds == 1:
        return stage(protocol=protocol, seed=seed)
    return CrossValidation(folds=tuple(stage(protocol=protocol, seed=seed, fold=fold) for fold in range(protocol.folds)))


def guess(corpus: str) -> Chain:
    """Always the mean of the training utterances."""
    return lambda seed: _folds(corpus, seed, lambda **given: AttributeProbe(features=_statistics(corpus), model="mean", **given))


def ridge(corpus: str) -> Chain:
    """Ridge regression on log-mel statistics: what a model without any depth reaches."""
    return lambda seed: _folds(corpus, seed, lambda **given: AttributeProbe(features=_statistics(corpus), **given))


def sup(corpus: str) -> Chain:
    """Sup: the recogniser on log-mel frames."""
    return lambda seed: _folds(corpus, seed, lambda **given: AttributeRegression(frames=frames(corpus), **given))


def pre_cpc(corpus: str, encoder: Callable[[int], CpcPretraining], **settings: Any) -> Chain:
    """preCPC: the recogniser on the contexts of an encoder that was pretrained on other speech.

    Args:
        corpus: The labelled one.
        encoder: From the trial's seed to the pretraining.
        settings: Of the recogniser.
    """

    def chain(seed: int) -> Stage:
        contexts = CpcContexts(encoder=encoder(seed), frames=frames(corpus))
        return _folds(corpus, seed, lambda **given: AttributeRegression(frames=contexts, **settings, **given))

    return chain


def mini_cpc(corpus: str) -> Chain:
    """miniCPC: pretrained on what the recogniser is then trained on."""

    def recogniser(**given: Any) -> AttributeRegression:
        division = {name: value for name, value in given.items() if name != "seed"}
        heard = TrainingSet(utterances=Utterances(corpus=corpus), task="attributes", **division)
        encoder = CpcPretraining(frames=frames(corpus), within=heard)
        return AttributeRegression(frames=CpcContexts(encoder=encoder, frames=frames(corpus)), **given)

    return lambda seed: _folds(corpus, seed, recogniser)


def joint(corpus: str, **settings: Any) -> Chain:
    """jointCPC: network and recogniser are trained together, on both losses; other set-ups of the same by ``settings``."""
    return lambda seed: _folds(corpus, seed, lambda **given: JointRegression(frames=frames(corpus), **settings, **given))


def table_rows(corpus: str, published: Mapping[str, tuple[tuple[float, float], ...]]) -> list[tuple[Row, Chain]]:
    """The rows of Table 1 or 2.

    Args:
        corpus: The labelled one.
        published: Mean and deviation of every column, by the slides' name of the method.
    """

    def row(key: str, label: str, *, compared: bool = True, name: str = "") -> Row:
        pairs = zip(METRICS, published[name], strict=True) if name else ()
        numbers = {metric: Published(mean=mean, std=std) for metric, (mean, std) in pairs}
        return Row(key=key, label=(label,), published=numbers, compared=compared)

    return [
        (row("mean", "training mean", compared=False), guess(corpus)),
        (row("log_mel", "log-mel statistics, ridge regression", compared=False), ridge(corpus)),
        (row("sup", "Sup", name="Sup"), sup(corpus)),
        (row("sup_network", "Sup, network of CPC from random weights"), joint(corpus, cpc_weight=0.0)),
        (row("joint_cpc", "jointCPC", name="jointCPC"), joint(corpus)),
        (row("mini_cpc", "miniCPC", name="miniCPC"), mini_cpc(corpus)),
        (row("random_cpc", "network of random weights, frozen"), pre_cpc(corpus, lambda seed: pretrained(epochs=0, seed=seed))),
        (row("pre_cpc", "preCPC", name="preCPC"), pre_cpc(corpus, lambda seed: pretrained())),
        (row("tuned_cpc", "preCPC, fine-tuned"), joint(corpus, cpc_weight=0.0, initial=pretrained())),
    ]


def sweep_rows(points: Mapping[str, tuple[str, Settings, Settings, Settings]], *, repeated: bool = True) -> list[tuple[Row, Chain]]:
    """preCPC on IEMOCAP over some setting, after the rows that it does not touch.

    Args:
        points: By the row's key: its label, its parameters, settings of the pretraining and of the recogniser.
        repeated: Whether every seed has a pretraining of its own, as it must where pretrainings are compared: of one for each row
            the seeds would not tell whether the setting or that one training makes the difference.
    """

    def encoder(settings: Settings) -> Callable[[int], CpcPretraining]:
        return lambda seed: pretrained(**settings, **({"seed": seed} if repeated else {}))

    return [
        (Row(key="mean", label=("training mean",), compared=False), guess("iemocap")),
        (Row(key="log_mel", label=("log-mel statistics",), compared=False), ridge("iemocap")),
        *(
            (
                Row(key=key, label=(label,), params=dict(params)),
                pre_cpc("iemocap", encoder(pretraining), **recogniser),
            )
            for key, (label, params, pretraining, recogniser) in points.items()
        ),
    ]


def _statistics(corpus: str) -> TurnStatistics:
    return TurnStatistics(filterbanks=FilterbankFeatures(corpus=corpus, unit="utterance"))


# --- the probes of a representation

PROBED: dict[str, tuple[TaskName, Protocol]] = {
    "iemocap": ("emotion4", SPEAKERS_5_FOLD),
    "casia": ("emotion8", SPEAKERS_4_FOLD),
}
"""Task and division of the roles that are probed: any two corpora of five speakers and of four, or more, can play them."""

PROBE_COLUMNS = (
    Column(metric="uar", title="UAR emotion", percent=True, higher_is_better=True),
    Column(metric="speaker_uar", title="UAR speaker", percent=True, higher_is_better=None),
)


def probe_rows(corpus: str, name: str, encoder: Settings = _DEFAULTS) -> list[tuple[Row, Chain]]:
    """What a linear classifier reads in mean and deviation of log-mel frames, of a random encoder's contexts and of CPC's.

    Every seed has an encoder and a division of its own.

    Args:
        corpus: The role that is probed.
        name: Of the corpus, in the rows' labels.
        encoder: Settings of the pretraining.
    """
    task, protocol = PROBED[corpus]

    def folds(seed: int, stage: Callable[..., DividedStage]) -> tuple[DividedStage, ...]:
        return tuple(stage(task=task, protocol=protocol, seed=seed, fold=fold) for fold in range(protocol.folds))

    def majority(seed: int) -> Stage:
        return CrossValidation(
            folds=folds(
                seed, lambda **given: ChanceClassifier(features=Utterances(corpus=corpus), strategy="most_frequent", **given)
            )
        )

    def probed(features: Callable[[int], TurnStatistics]) -> Chain:
        def chain(seed: int) -> RepresentationMap:
            probes = folds(seed, lambda **given: LinearProbe(features=features(seed), **given))
            return RepresentationMap(folds=probes, seed=seed)

        return chain

    def contexts(seed: int, **settings: Any) -> TurnStatistics:
        made = CpcContexts(encoder=pretrained(**{**encoder, **settings}, seed=seed), frames=frames(corpus))
        return TurnStatistics(filterbanks=made)

    def row(key: str, label: str, *, compared: bool = True) -> Row:
        bar = f"{corpus}_log_mel" if compared else None
        return Row(key=f"{corpus}_{key}", label=(name, label), params={"corpus": corpus}, compared=compared, against=bar)

    random = {"epochs": 0}
    return [
        (row("majority", "majority", compared=False), majority),
        (row("log_mel", "log-mel frames", compared=False), probed(lambda seed: _statistics(corpus))),
        (row("random", "contexts of a random encoder"), probed(lambda seed: contexts(seed, **random))),
        (row("cpc", "contexts of CPC"), probed(contexts)),
    ]
