"""The trials of a sweep under Ray Tune: one per row and seed, each with a driver that walks its chain
(:mod:`orchestrator.execution.ray_drivers`).
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Collection, Mapping
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
from orchestrator.execution.ray_drivers import DRIVER_FAILURES, DRIVER_RESOURCES, ChainRunner, WhenStopped
from orchestrator.execution.resources import Need, ResourceRequest
from orchestrator.execution.setting import Setting
from orchestrator.execution.tracker_actor import find_tracker
from orchestrator.records import TrialRecord
from trainables.stage import StopRequested, from_config

_SPARE_TRIALS = 2  # more than can compute at once, so that the next one is ready when a worker falls free
_MOST_TRIALS = 200  # each is a process
_LOOK_SECONDS = 10.0  # between two looks at the cluster's size


@dataclass(frozen=True)
class TrialTask:
    """What a trial's driver gets: its record and its last stage."""

    record: TrialRecord
    config: dict[str, Any]


@dataclass(frozen=True)
class SweepTask:
    """What all drivers of a sweep get."""

    trials: Mapping[tuple[str, int], TrialTask]
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


def trials_at_once(shape: ClusterShape, needs: Collection[Need], trials: int) -> int:
    """As many trials as the smallest stages could occupy the cluster with, and a few that wait.

    Args:
        shape: What the cluster is and may become.
        needs: Of all stages.
        trials: How many there are.
    """
    slots = max((shape.room(need) // need.workers for need in needs), default=1)
    return max(1, min(trials, slots + _SPARE_TRIALS, _MOST_TRIALS))


def run_trials(task: SweepTask, needs: Collection[Need], name: str, stopped: threading.Event) -> list[str]:
    """Run all trials of the sweep; returns when every one has ended, with what went wrong in their drivers (stages apart).

    Args:
        task: The trials and what they share.
        needs: What their stages need.
        name: Name of the sweep, for Ray's dashboard.
        stopped: Set when the sweep is being stopped and no stage runs any more: Tune then starts no further trial.
    """
    rows = list(dict.fromkeys(row for row, _ in task.trials))
    seeds = list(dict.fromkeys(seed for _, seed in task.trials))
    number = len(task.trials)
    with ArtifactStore(task.setting.store).ray_folder(name) as storage:
        tuner = tune.Tuner(
            tune.with_resources(tune.with_parameters(_run_trial, task=task), DRIVER_RESOURCES),
            # The first seed of every row before the second of any: concurrent trials then lack different stages.
            param_space={"seed": tune.grid_search(seeds), "row": tune.grid_search(rows)},
            tune_config=tune.TuneConfig(
                search_alg=GridAtOnce(lambda: trials_at_once(current_shape(), needs, number)),
                reuse_actors=True,
                trial_name_creator=lambda trial: f"{trial.config['row']}-seed{trial.config['seed']}",
            ),
            run_config=tune.RunConfig(
                name=name,
                storage_path=storage,
                failure_config=tune.FailureConfig(max_failures=DRIVER_FAILURES),
                stop=WhenStopped(stopped),
                verbose=0,
            ),
        )
        return [str(error) for error in tuner.fit().errors]


def _run_trial(config: dict[str, Any], task: SweepTask) -> None:
    """A trial's driver. Ends without an exception whatever its stages do: only the death of a process is for Tune to retry."""
    trial = task.trials[config["row"], config["seed"]]
    store = ArtifactStore(task.setting.store)
    tracker = find_tracker(task.setting.sweep)
    try:
        ChainRunner(task.setting, task.request, task.has_gpus).finish(from_config(trial.config))
    except StopRequested:
        tune.report({"status": "KILLED"})
    except StageFailed:
        ray.get(tracker.call.remote("trial_ended", trial.record, "FAILED", {}))
        tune.report({"status": "FAILED"})
    else:
        metrics = deliver_trial(lambda *call: ray.get(tracker.call.remote(*call)), trial.record, store)
        tune.report({"status": "FINISHED", **metrics})
