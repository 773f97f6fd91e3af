"""What a sweep has cost, what sharing has saved, and when it may end: sums over what its finished stages took. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from graphlib import TopologicalSorter
from statistics import fmean

from orchestrator.status_facts import Cost
from orchestrator.status_trials import Stand, SweepState, duration

_TOLD_BY_PROGRESS = 0.05  # of a stage; below, how far it has come says little of how long it takes


@dataclass(frozen=True)
class Hours:
    """Hours that a sweep's finished stages took, whoever computed them, and that they would have taken besides if each trial had
    run its whole chain by itself.

    Attributes:
        gpu: Of GPUs.
        cpu: Of CPU cores, as reserved.
        gpu_saved: By sharing.
        cpu_saved: By sharing.
        unknown: Finished stages of which it cannot be told.
    """

    gpu: float
    cpu: float
    gpu_saved: float
    cpu_saved: float
    unknown: int


def hours(state: SweepState, costs: Mapping[str, Cost]) -> Hours:
    """What a sweep has used and saved. A stage that n trials need has saved n - 1 computations of it."""
    plan = state.plan
    uses = Counter(name for trial in plan.trials for name in plan.chain(trial))
    gpu = cpu = gpu_saved = cpu_saved = 0.0
    known = state.done & costs.keys()
    for name in known:
        cost, spared = costs[name], uses[name] - 1
        gpu, cpu = gpu + cost.gpu, cpu + cost.cpu
        gpu_saved, cpu_saved = gpu_saved + spared * cost.gpu, cpu_saved + spared * cost.cpu
    return Hours(gpu / 3600, cpu / 3600, gpu_saved / 3600, cpu_saved / 3600, len(state.done) - len(known))


@dataclass(frozen=True)
class Estimate:
    """How long a sweep may still take.

    Attributes:
        seconds: Of wall time; None: nothing is known of some kind of stage.
        rests: What the estimate rests on, or why there is none.
    """

    seconds: float | None
    rests: str


def estimate(state: SweepState, costs: Mapping[str, Cost]) -> Estimate:
    """When a sweep may end, if it goes on with as many stages at a time as now.

    A stage is taken to need the mean wall time of the sweep's finished stages of its class, or, where none is finished, what the
    progress of running ones promises. What is left cannot take less than all of it divided by the stages at a time, nor less than
    its longest chain; the larger of both is the estimate. A point that a search has not drawn yet is taken to need the mean of what
    the points that have ended took, early or not, for themselves.
    """
    walls = _walls(state, costs)
    left = {name: _left(name, state, walls) for name in state.needed}
    unknown = sorted({_kind(name) for name, seconds in left.items() if seconds is None})
    point = _point(state, costs) if state.undrawn else _Wall(0.0, 0)
    if unknown or point is None:
        lacking = " and no ".join(unknown or ["point"])
        return Estimate(None, f"no {lacking} has finished yet, so there is nothing to estimate from")
    wide = max(1, state.own_running)
    seconds = max((sum(filter(None, left.values())) + state.undrawn * point.seconds) / wide, _longest(state, left))
    kinds = Counter(map(_kind, left))
    told = [f"{count} {kind} at {_source(walls[kind])}" for kind, count in sorted(kinds.items())]
    told += [f"{state.undrawn} point{'s' * (state.undrawn > 1)} not drawn yet at {_source(point)}"] if state.undrawn else []
    return Estimate(seconds, f"{', '.join(told)}; {wide} at a time{' as now' if state.own_running else ''}")


@dataclass(frozen=True)
class _Wall:
    seconds: float
    finished: int


def _walls(state: SweepState, costs: Mapping[str, Cost]) -> dict[str, _Wall]:
    """The mean wall time of each class of stage, and of how many finished ones (0: promised by running ones)."""
    taken, promised = defaultdict(list), defaultdict(list)
    for name in state.done & costs.keys():
        taken[_kind(name)].append(costs[name].wall)
    for name, info in state.running.items():
        if info.fraction >= _TOLD_BY_PROGRESS:
            promised[_kind(name)].append(info.seconds / info.fraction)
    known = {kind: _Wall(fmean(seconds), 0) for kind, seconds in promised.items()}
    return known | {kind: _Wall(fmean(seconds), len(seconds)) for kind, seconds in taken.items()}


def _point(state: SweepState, costs: Mapping[str, Cost]) -> _Wall | None:
    """The mean wall time of all stages that a finished trial shares with no other, added up; None if there is none of which it is
    known.
    """
    chains = {each.trial.row: state.plan.chain(each.trial) for each in state.trials}
    uses = Counter(name for chain in chains.values() for name in chain)
    own = [[name for name in chains[each.trial.row] if uses[name] == 1] for each in state.trials if each.stand is Stand.done]
    taken = [sum(costs[name].wall for name in names) for names in own if costs.keys() >= set(names)]
    return _Wall(fmean(taken), len(taken)) if taken else None


def _left(name: str, state: SweepState, walls: Mapping[str, _Wall]) -> float | None:
    """Seconds that a stage still takes."""
    info, wall = state.running.get(name), walls.get(_kind(name))
    if info is not None and info.fraction >= _TOLD_BY_PROGRESS:
        return info.seconds * (1 - info.fraction) / info.fraction
    if wall is None:
        return None
    return wall.seconds if info is None else max(0.0, wall.seconds - info.seconds)


def _longest(state: SweepState, left: Mapping[str, float | None]) -> float:
    """Seconds of the longest chain of what is left."""
    ends: dict[str, float] = {}
    for name in _upstream_first(state, left):
        above = [ends[upstream] for upstream in state.plan.stages[name].upstream if upstream in left]
        ends[name] = max(above, default=0.0) + (left[name] or 0.0)
    return max(ends.values(), default=0.0)


def _upstream_first(state: SweepState, names: Mapping[str, object]) -> list[str]:
    stages = state.plan.stages
    return list(TopologicalSorter({name: names.keys() & stages[name].upstream for name in names}).static_order())


def _kind(fingerprint: str) -> str:
    return fingerprint.partition("/")[0]


def _source(wall: _Wall) -> str:
    mean = f"{wall.seconds:.1f} s" if wall.seconds < 10 else duration(wall.seconds)
    return f"{mean} each, the mean of {wall.finished} finished" if wall.finished else f"{mean} each, as running ones promise"
