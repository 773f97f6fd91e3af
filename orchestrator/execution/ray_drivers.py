"""What the drivers of trials under Ray Tune have in common, be they of a table or of a search.

A driver is light (0.01 CPU, its actor reused by later trials). It walks a chain: it asks the ledger for any of the stages it lacks,
runs what it is given under Ray Train, and otherwise waits without holding a worker.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import ray
from ray import tune

from orchestrator.artifacts import ArtifactStore
from orchestrator.delivery import deliver_stage, stage_record
from orchestrator.execution.job import StageFailed, StageJob
from orchestrator.execution.ledger import LEASE_SECONDS
from orchestrator.execution.ledger_actor import find_ledger
from orchestrator.execution.ray_stage import run_stage
from orchestrator.execution.resources import Need, ResourceRequest
from orchestrator.execution.setting import Setting
from orchestrator.execution.tracker_actor import find_tracker
from orchestrator.execution.walk import ready_stages
from trainables.stage import Stage, StopRequested

DRIVER_RESOURCES = {"cpu": 0.01}
"""Of each trial; the stages have their own."""
DRIVER_FAILURES = 3
"""How often the process of a driver may die; a failed stage ends its trial in good order."""


class WhenStopped(tune.Stopper):
    """Tells Tune to start no further trial.

    Args:
        stopped: Set when the sweep is being stopped and no stage runs any more.
    """

    def __init__(self, stopped: threading.Event) -> None:
        self._stopped = stopped

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune writes its settings to disk, for a way of resuming that we do not use

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """No single trial is stopped by what it reports."""
        return False

    def stop_all(self) -> bool:
        """Whether all are stopped."""
        return self._stopped.is_set()


@dataclass(frozen=True)
class ChainRunner:
    """Runs chains of stages from within a driver.

    Attributes:
        setting: What all jobs have in common.
        request: Resources of the stages.
        has_gpus: Whether the cluster has any.
    """

    setting: Setting
    request: ResourceRequest
    has_gpus: bool

    def finish(self, target: Stage) -> None:
        """Run whatever the chain lacks and nobody else is running, until its last stage is finished.

        Raises:
            StageFailed: One of its stages raised, now or in an earlier run.
            StopRequested: The sweep is being stopped.
        """
        ledger = find_ledger(self.setting.store)
        owner = f"{os.uname().nodename}-{os.getpid()}-{threading.get_ident()}"
        try:
            self._walk(target, ledger, owner)
        finally:
            ledger.withdraw.remote(owner)

    def _walk(self, target: Stage, ledger: Any, owner: str) -> None:
        store = ArtifactStore(self.setting.store)
        while ready := ready_stages(target, self.setting, store):
            for name in ready:
                if story := store.failure(name):
                    raise StageFailed(story)
            needs = {name: self.request.need(stage, self.has_gpus) for name, stage in ready.items()}
            granted = ray.get(ledger.ask.remote(self.setting.sweep, owner, needs))
            if granted is None:
                if ray.get(ledger.stopping.remote(self.setting.sweep)):
                    raise StopRequested
                continue
            with _lease(ledger, self.setting.sweep, owner, granted, needs[granted]):
                if not store.is_done(granted):  # it may have been finished between looking and asking
                    self._run_and_track(ready[granted], granted, store)

    def _run_and_track(self, stage: Stage, name: str, store: ArtifactStore) -> None:
        """Run one stage and keep its MLflow run true, however it ends."""
        tracker = find_tracker(self.setting.sweep)
        tracker.call.remote("stage_started", stage_record(stage, name), True)
        try:
            run_stage(StageJob.of(stage, self.setting), self.request.need(stage, self.has_gpus))
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
