"""What a search is: the ranges of settings, how a point becomes a pretraining, what stops it early, the table at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from pydantic import model_validator

from search_spaces.scale import SCALES, Scale
from search_spaces.study import Study, study_module
from search_spaces.table import Record, Scalar
from trainables.errors import UserError
from trainables.stage import Stage

Settings = dict[str, Scalar]
"""A point of the search space: the value of every searched setting, by name."""


class Real(Record):
    """All numbers from ``low`` to ``high``; with ``log`` an order of magnitude counts alike everywhere."""

    low: float
    high: float
    log: bool = False

    @model_validator(mode="after")
    def _is_range(self) -> Real:
        if not self.low < self.high or (self.log and self.low <= 0):
            raise ValueError(f"low {self.low} and high {self.high} are no {'logarithmic ' * self.log}range")
        return self


class Whole(Record):
    """All whole numbers from ``low`` to ``high``, both included."""

    low: int
    high: int

    @model_validator(mode="after")
    def _is_range(self) -> Whole:
        if not self.low < self.high:
            raise ValueError(f"low {self.low} and high {self.high} are no range")
        return self


Range = Real | Whole


class Pretraining(Protocol):
    """A stage that can be stopped at an epoch and gone on with; see
    :class:`~trainables.contrastive_pretraining.ContrastivePretraining`.
    """

    epochs: int

    def stopped(self, epoch: int, resume: Stage | None = None) -> Stage:
        """The same stage ended after so many epochs, going on from where ``resume`` ended."""


@dataclass(frozen=True)
class Search:
    """A joint search over the settings of a pretraining, by what they bring on the development split.

    A trial pretrains up to a *rung*, probes the encoder, and goes on to the next rung unless it is among the poorer half there
    (asynchronous successive halving, Li et al. 2020, with a reduction factor of 2); after the last rung its value is the mean of
    the development scores over all seeds. No stage of a trial may read a label of a test speaker. The best point's table on the
    test split is an ordinary study.

    Attributes:
        name: The name on the command line.
        title: The question, for captions.
        source: Where the searched settings come from.
        space: The range of every searched setting.
        paper: The paper's own point; it is tried first, so that the search can only improve on it.
        pretraining: From a point to its pretraining, at the paper's scale.
        probe: From a pretraining, stopped or not, to the stage whose score decides whether the trial goes on.
        development: From a finished pretraining and a seed to the stage whose score is optimised.
        study: From the best point to the table on the test split.
        rungs: Fractions of the pretraining's epochs at which it is probed; the last is 1.
        trials: Number of trials at each scale.
        metric: The score of probe and development, higher being better.
        protocol: What the search may see, in a sentence.
    """

    name: str
    title: str
    source: str
    space: Mapping[str, Range]
    paper: Settings
    pretraining: Callable[[Settings], Pretraining]
    probe: Callable[[Stage], Stage]
    development: Callable[[Stage, int], Stage]
    study: Callable[[Settings], Study]
    rungs: tuple[float, ...]
    trials: Mapping[str, int]
    metric: str
    protocol: str

    def __post_init__(self) -> None:
        if list(self.rungs) != sorted(set(self.rungs)) or not self.rungs or self.rungs[0] <= 0 or self.rungs[-1] != 1:
            raise ValueError(f"search {self.name!r}: rungs {self.rungs} are not rising fractions that end with 1")
        if self.paper.keys() != self.space.keys():
            raise ValueError(f"search {self.name!r}: the paper's point has {sorted(self.paper)}, the space {sorted(self.space)}")
        if missing := SCALES.keys() - self.trials.keys():
            raise ValueError(f"search {self.name!r}: no number of trials at scale {', '.join(sorted(missing))}")

    def rung_epochs(self, scale: Scale) -> tuple[int, ...]:
        """The epochs after which a trial is probed: distinct whole ones, the last being the pretraining's own last."""
        epochs = scale.apply(self.pretraining(self.paper)).epochs
        return tuple(sorted({max(1, round(fraction * epochs)) for fraction in self.rungs}))

    def ladder(self, point: Settings, scale: Scale) -> list[Stage]:
        """The point's pretraining up to each rung, each going on from the one before; the last is the whole pretraining."""
        whole = scale.apply(self.pretraining(point))
        climbed: list[Stage] = []
        for epoch in self.rung_epochs(scale):
            climbed.append(whole.stopped(epoch, climbed[-1] if climbed else None))
        return climbed

    def probes(self, point: Settings, scale: Scale) -> dict[int, Stage]:
        """The stage to run at each rung, by epoch."""
        climbed = zip(self.rung_epochs(scale), self.ladder(point, scale), strict=True)
        return {epoch: scale.apply(self.probe(pretraining)) for epoch, pretraining in climbed}

    def developments(self, point: Settings, scale: Scale, seeds: tuple[int, ...]) -> list[Stage]:
        """The stages of all seeds whose mean score is the point's value."""
        whole = self.ladder(point, scale)[-1]
        return [scale.apply(self.development(whole, seed)) for seed in seeds]

    def stages(self, point: Settings, scale: Scale, seeds: tuple[int, ...]) -> Iterator[Stage]:
        """Every stage that a trial at this point can run, each distinct one once, upstream first."""
        last = [*self.probes(point, scale).values(), *self.developments(point, scale, seeds)]
        return iter(dict.fromkeys(stage for target in last for stage in target.chain()))

    def kinds(self, scale: Scale) -> Iterator[Stage]:
        """Every kind of stage that the search and its table run, at one seed."""
        yield from self.stages(self.paper, scale, (0,))
        yield from self.study(self.paper).kinds(scale)

    def roles(self) -> tuple[str, ...]:
        """The corpus roles that the search and its table need."""
        return tuple(sorted({role for stage in self.kinds(SCALES["paper"]) for role in stage.roles().values()}))


def find_search(name: str, curve: bool = False) -> Search | None:
    """The search of this name, or None if the name is a table's.

    Raises:
        UserError: There is neither; or its curve is asked for, which a search has not.
    """
    search = getattr(study_module(name), "SEARCH", None)
    if search is not None and curve:
        raise UserError(f"{name!r} is a search and has no curve; leave out --curve")
    return search
