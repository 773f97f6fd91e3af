"""The trials of a sweep under Ray Tune: one per row and seed, each with a driver that walks its chain
(:mod:`orchestrator.execution.ray_drivers`).
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import ray
from ray import tune

from orchestrator.artifacts import ArtifactStore
from orchestrator.delivery import deliver_trial
from orchestrator.execution.job import StageFailed
from orchestrator.execution.ray_drivers import DRIVER_FAILURES, DRIVER_RESOURCES, ChainRunner, WhenStopped
from orchestrator.execution.resources import ResourceRequest
from orchestrator.execution.setting import Setting
from orchestrator.execution.tracker_actor import find_tracker
from orchestrator.records import TrialRecord
from trainables.stage import StopRequested, from_config

_SPARE_TRIALS = 2  # more than can compute at once, so that the next one is ready when a worker falls free
_MOST_TRIALS = 200  # each is a process


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


def run_trials(task: SweepTask, name: str, stopped: threading.Event) -> list[str]:
    """Run all trials of the sweep; returns when every one has ended, with what went wrong in their drivers (stages apart).

    Args:
        task: The trials and what they share.
        name: Name of the sweep, for Ray's dashboard.
        stopped: Set when the sweep is being stopped and no stage runs any more: Tune then starts no further trial.
    """
    rows = list(dict.fromkeys(row for row, _ in task.trials))
    seeds = list(dict.fromkeys(seed for _, seed in task.trials))
    with ArtifactStore(task.setting.store).ray_folder(name) as storage:
        tuner = tune.Tuner(
            tune.with_resources(tune.with_parameters(_run_trial, task=task), DRIVER_RESOURCES),
            # The first seed of every row before the second of any: concurrent trials then lack different stages.
            param_space={"seed": tune.grid_search(seeds), "row": tune.grid_search(rows)},
            tune_config=tune.TuneConfig(
                max_concurrent_trials=_concurrency(task),
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


def _concurrency(task: SweepTask) -> int:
    """Trials at a time: as many as the smallest stages could occupy the cluster with, and a few that wait."""
    slots = int(ray.cluster_resources().get("CPU", 1) // task.request.cpus_per_worker)
    return max(1, min(len(task.trials), slots + _SPARE_TRIALS, _MOST_TRIALS))


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
