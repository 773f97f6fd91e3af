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
from orchestrator.beside import beside
from orchestrator.delivery import deliver_stage, stage_record
from orchestrator.execution.cluster import keeps_drivers_apart
from orchestrator.execution.failures import GivenUp, StageFailed
from orchestrator.execution.job import StageJob
from orchestrator.execution.ledger import LEASE_SECONDS
from orchestrator.execution.ledger_actor import find_ledger
from orchestrator.execution.ray_stage import run_stage
from orchestrator.execution.resources import Need, ResourceRequest
from orchestrator.execution.setting import Setting
from orchestrator.execution.store_lease import Lease, stage_holder, stage_lease
from orchestrator.execution.tracker_actor import caller
from orchestrator.execution.walk import ready_stages
from trainables.stage import Stage, StopRequested

DRIVER_FAILURES = 20
"""How often the process of a driver may die, by whatever kills processes and nodes; a failed stage ends its trial in good order."""


def driver_resources() -> dict[str, float]:
    """What a trial's driver takes beside its stages: next to nothing.

    A cluster whose workers come and go offers ``driver`` where nodes stay, as ``deploy/kubernetes`` has it on nodes that have no
    CPUs for stages. There a driver neither dies with a worker nor keeps an idle one alive.
    """
    return {"driver" if keeps_drivers_apart() else "cpu": 0.0001}


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
        store, cluster = ArtifactStore(self.setting.store), ray.get_runtime_context().get_session_name()
        while ready := ready_stages(target, self.setting, store):
            for name in ready:
                if story := store.failure(name):
                    raise StageFailed(story)
            # What another cluster computes is not asked for: nothing is kept free for it here.
            ours = {name: stage for name, stage in ready.items() if stage_holder(store, name, cluster) is None}
            needs = {name: self.request.need(stage, self.has_gpus) for name, stage in ours.items()}
            granted = ray.get(ledger.ask.remote(self.setting.sweep, owner, needs))
            if granted is None:
                if ray.get(ledger.stopping.remote(self.setting.sweep)):
                    raise StopRequested
                continue
            with _Right(ledger, self.setting.sweep, owner, granted, needs[granted]).held() as right:
                lease = stage_lease(store, granted, cluster)
                if lease.take():
                    with lease.held():
                        if not store.is_done(granted):  # it may have been finished between looking and asking
                            self._run_and_track(ready[granted], granted, store, right, lease)

    def _run_and_track(self, stage: Stage, name: str, store: ArtifactStore, right: _Right, lease: Lease) -> None:
        """Run one stage and keep its MLflow run true, however it ends, also if it was taken over."""
        call = caller(self.setting.sweep)
        call("stage_started", stage_record(stage, name), True)
        setting = self.setting.model_copy(update={"threads": right.need.threads})
        try:
            run_stage(StageJob.of(stage, setting, lease.id), right.need, right.widen)
        except StopRequested:
            call("stage_ended", name, "KILLED", {}, {})
            if right.is_ending():  # else it was taken over
                raise
        except GivenUp as given_up:
            call("stage_ended", name, "FAILED", {}, {})
            given_up.remember(store, name)
            raise
        else:
            deliver_stage(call, stage, name, store)


class _Right:
    """The right to compute a stage in this cluster: renewed from a thread while its owner waits for Ray, given back at the end.

    Args:
        ledger: That gave it.
        sweep: The owner's.
        owner: Its name.
        fingerprint: Of the stage.
        need: What the stage was given.

    Attributes:
        need: What it needs now.
    """

    def __init__(self, ledger: Any, sweep: str, owner: str, fingerprint: str, need: Need) -> None:
        self.need = need
        self._ledger, self._sweep, self._owner, self._fingerprint = ledger, sweep, owner, fingerprint

    @contextlib.contextmanager
    def held(self) -> Iterator[_Right]:
        """Keep it while the block runs."""
        try:
            with beside(self._renewed, LEASE_SECONDS / 10):
                yield self
        finally:
            ray.get(self._ledger.finish.remote(self._owner, self._fingerprint))

    def is_ending(self) -> bool:
        """Whether the sweep is being stopped."""
        return ray.get(self._ledger.stopping.remote(self._sweep))

    def widen(self, need: Need) -> None:
        """It needs more from now on: what would take that away is not admitted any more."""
        self.need = need
        ray.get(self._renewed())

    def _renewed(self) -> ray.ObjectRef:
        return self._ledger.renew.remote(self._sweep, self._owner, self._fingerprint, self.need)
