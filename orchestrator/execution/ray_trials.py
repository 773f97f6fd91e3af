"""The trials of a sweep under Ray Tune.

A trial is a light driver (0.01 CPU, its actor reused by later trials) that walks its chain: it asks the ledger for any of the
stages it lacks, runs what it is given under Ray Train, and otherwise waits without holding a worker.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import ray
from ray import tune

from orchestrator.artifacts import ArtifactStore
from orchestrator.delivery import deliver_stage, deliver_trial, stage_record
from orchestrator.execution.job import StageFailed, StageJob
from orchestrator.execution.ledger import LEASE_SECONDS
from orchestrator.execution.ray_actors import find_ledger, find_tracker
from orchestrator.execution.ray_stage import run_stage
from orchestrator.execution.resources import Need, ResourceRequest
from orchestrator.execution.setting import Setting
from orchestrator.execution.walk import ready_stages
from orchestrator.records import TrialRecord
from trainables.stage import Stage, StopRequested, from_config

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
            tune.with_resources(tune.with_parameters(_run_trial, task=task), {"cpu": 0.01}),
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
                failure_config=tune.FailureConfig(max_failures=3),  # of the driver; a failed stage ends its trial in good order
                stop=_WhenStopped(stopped),
                verbose=0,
            ),
        )
        return [str(error) for error in tuner.fit().errors]


def _concurrency(task: SweepTask) -> int:
    """Trials at a time: as many as the smallest stages could occupy the cluster with, and a few that wait."""
    slots = int(ray.cluster_resources().get("CPU", 1) // task.request.cpus_per_worker)
    return max(1, min(len(task.trials), slots + _SPARE_TRIALS, _MOST_TRIALS))


class _WhenStopped(tune.Stopper):
    """Tells Tune to start no further trial."""

    def __init__(self, stopped: threading.Event) -> None:
        self._stopped = stopped

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune writes its settings to disk, for a way of resuming that we do not use

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        return self._stopped.is_set()


def _run_trial(config: dict[str, Any], task: SweepTask) -> None:
    """A trial's driver. Ends without an exception whatever its stages do: only the death of a process is for Tune to retry."""
    trial = task.trials[config["row"], config["seed"]]
    store = ArtifactStore(task.setting.store)
    tracker = find_tracker(task.setting.sweep)
    try:
        _finish_chain(from_config(trial.config), task, store)
    except StopRequested:
        tune.report({"status": "KILLED"})
    except StageFailed:
        ray.get(tracker.call.remote("trial_ended", trial.record, "FAILED", {}))
        tune.report({"status": "FAILED"})
    else:
        metrics = deliver_trial(lambda *call: ray.get(tracker.call.remote(*call)), trial.record, store)
        tune.report({"status": "FINISHED", **metrics})


def _finish_chain(target: Stage, task: SweepTask, store: ArtifactStore) -> None:
    """Run whatever the chain lacks and nobody else is running, until its last stage is finished."""
    ledger = find_ledger(task.setting.store)
    owner = f"{os.uname().nodename}-{os.getpid()}-{threading.get_ident()}"
    while ready := ready_stages(target, task.setting, store):
        for name in ready:
            if story := store.failure(name):
                raise StageFailed(story)
        needs = {name: task.request.need(stage, task.has_gpus) for name, stage in ready.items()}
        granted = ray.get(ledger.ask.remote(task.setting.sweep, owner, needs))
        if granted is None:
            if ray.get(ledger.stopping.remote(task.setting.sweep)):
                raise StopRequested
            continue
        with _lease(ledger, task.setting.sweep, owner, granted, needs[granted]):
            if not store.is_done(granted):  # it may have been finished between looking and asking
                _run_and_track(ready[granted], granted, task, store)


def _run_and_track(stage: Stage, name: str, task: SweepTask, store: ArtifactStore) -> None:
    """Run one stage and keep its MLflow run true, however it ends."""
    tracker = find_tracker(task.setting.sweep)
    tracker.call.remote("stage_started", stage_record(stage, name), True)
    try:
        run_stage(StageJob.of(stage, task.setting), task.request.need(stage, task.has_gpus))
    except StopRequested:
        ray.get(tracker.call.remote("stage_ended", name, "KILLED", {}, {}))
        raise
    except StageFailed:
        ray.get(tracker.call.remote("stage_ended", name, "FAILED", {}, {}))
        raise
    deliver_stage(lambda *call: ray.get(tracker.call.remote(*call)), stage, name, store)


@contextlib.contextmanager
def _lease(ledger: Any, sweep: str, owner: str, fingerprint: str, need: Need) -> Iterator[None]:
    """Hold the right to compute: renew it from a thread while this one waits for Ray, give it back at the end."""
    ended = threading.Event()

    def renew() -> None:
        while not ended.wait(LEASE_SECONDS / 10):
            ledger.renew.remote(sweep, owner, fingerprint, need)

    thread = threading.Thread(target=renew, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        ray.get(ledger.finish.remote(owner, fingerprint))
