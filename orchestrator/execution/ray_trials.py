"""The trials of a sweep under Ray Tune: one per row and seed, with drivers that walk their chains
(:mod:`orchestrator.execution.ray_drivers`).
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ray
from ray import tune
from ray.tune.search import BasicVariantGenerator

from orchestrator.artifacts import ArtifactStore
from orchestrator.delivery import deliver_trial
from orchestrator.execution.cluster import current_shape
from orchestrator.execution.cluster_shape import ClusterShape
from orchestrator.execution.job import StageFailed
from orchestrator.execution.ray_drivers import DRIVER_FAILURES, ChainRunner, WhenStopped, driver_resources
from orchestrator.execution.resources import Need, ResourceRequest
from orchestrator.execution.setting import Setting
from orchestrator.execution.tracker_actor import caller
from orchestrator.records import Status, TrialRecord
from trainables.stage import StopRequested, from_config

_SPARE_TRIALS = 2  # more than can compute at once, so that the next one is ready when a worker falls free
_MOST_AT_ONCE = 1000  # each is a process
_SHARES = 200  # of a sweep of more trials: Tune's own work on them takes a minute
_LOOK_SECONDS = 10.0  # between two looks at the cluster's size


@dataclass(frozen=True)
class TrialTask:
    """One trial: its record and its last stage."""

    record: TrialRecord
    config: dict[str, Any]


@dataclass(frozen=True)
class SweepTask:
    """What all drivers of a sweep get."""

    setting: Setting
    request: ResourceRequest
    has_gpus: bool


class GridAtOnce(BasicVariantGenerator):
    """Tune's grid, with as many trials at a time as the cluster has room for at that moment.

    Args:
        most: Tells how many.
    """

    def __init__(self, most: Callable[[], int]) -> None:
        self._most, self._looked, self._now = most, -_LOOK_SECONDS, 1
        super().__init__()

    @property
    def max_concurrent(self) -> int:
        """What Tune asks before it begins a trial."""
        if time.monotonic() - self._looked >= _LOOK_SECONDS:
            self._looked = time.monotonic()
            with contextlib.suppress(ray.exceptions.RayError):  # the control store may be away for a while
                self._now = self._most()
        return self._now

    def get_state(self) -> dict[str, Any]:
        """What Tune writes to disk, for a way of resuming that we do not use."""
        return {name: value for name, value in super().get_state().items() if name != "_most"}

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_most"}

    @max_concurrent.setter
    def max_concurrent(self, value: int) -> None:
        """Tune sets none: ``TuneConfig`` would fix it for the whole sweep."""


def trials_at_once(shape: ClusterShape, needs: Collection[Need]) -> int:
    """As many trials as the smallest stages could occupy the cluster with, and a few that wait.

    Args:
        shape: What the cluster is and may become.
        needs: Of all stages.
    """
    slots = max((shape.room(need) // need.workers for need in needs), default=1)
    return min(slots + _SPARE_TRIALS, _MOST_AT_ONCE)


def shares(trials: Sequence[TrialTask], at_once: int) -> dict[str, list[TrialTask]]:
    """Trials put together so that Tune has few to look after: its own work on each takes a third of a second.

    A few hundred trials are a share each. Every share takes its trials from the whole length of the sweep, so that shares are alike
    and what comes first in the sweep is begun first.

    Args:
        trials: In the order in which they are to be begun.
        at_once: How many drivers there may be: there are as many shares at least, if there are as many trials.

    Returns:
        The trials of each share, by its name.
    """
    number = min(len(trials), max(_SHARES, at_once))
    named = {}
    for each in (list(trials[first::number]) for first in range(number)):
        more = f"-and-{len(each) - 1}-more" if len(each) > 1 else ""
        named[f"{each[0].record.key}{more}"] = each
    return named


def run_trials(
    trials: Sequence[TrialTask], task: SweepTask, needs: Collection[Need], name: str, stopped: threading.Event
) -> list[str]:
    """Run all trials of the sweep; returns when every one has ended, with what went wrong in their drivers (stages apart).

    Args:
        trials: In the order in which they are to be begun.
        task: What they share.
        needs: What their stages need.
        name: Name of the sweep, for Ray's dashboard.
        stopped: Set when the sweep is being stopped and no stage runs any more: Tune then starts no further trial.
    """
    divided = shares(trials, trials_at_once(current_shape(), needs))
    # Each in an object of its own: a driver reads what it is to run and not the whole sweep.
    lent = {share: ray.put(theirs) for share, theirs in divided.items()}
    with ArtifactStore(task.setting.store).ray_folder(name) as storage:
        tuner = tune.Tuner(
            tune.with_resources(tune.with_parameters(_run_share, lent=lent, task=task), driver_resources()),
            param_space={"trials": tune.grid_search(list(divided))},
            tune_config=tune.TuneConfig(
                search_alg=GridAtOnce(lambda: min(len(divided), trials_at_once(current_shape(), needs))),
                reuse_actors=True,
                trial_name_creator=lambda trial: trial.config["trials"],
            ),
            run_config=tune.RunConfig(
                name=name,
                storage_path=storage,
                failure_config=tune.FailureConfig(max_failures=DRIVER_FAILURES * max(map(len, divided.values()), default=1)),
                stop=WhenStopped(stopped),
                verbose=0,
            ),
        )
        return [str(error) for error in tuner.fit().errors]


def _run_share(config: dict[str, Any], lent: Mapping[str, ray.ObjectRef], task: SweepTask) -> None:
    """A driver. Ends without an exception whatever its stages do: only the death of a process is for Tune to retry."""
    ended = Counter()
    for trial in ray.get(lent[config["trials"]]):
        ended[_run_trial(trial, task)] += 1
        if ended["KILLED"]:
            break
    tune.report(dict(ended))


def _run_trial(trial: TrialTask, task: SweepTask) -> Status:
    """Walk a trial's chain; returns how it ended."""
    store, call = ArtifactStore(task.setting.store), caller(task.setting.sweep)
    try:
        ChainRunner(task.setting, task.request, task.has_gpus).finish(from_config(trial.config))
    except StopRequested:
        return "KILLED"
    except StageFailed:
        call("trial_ended", trial.record, "FAILED", {})
        return "FAILED"
    deliver_trial(call, trial.record, store)
    return "FINISHED"
