"""A whole sweep on Ray: its actors, its trials, and a clean end however it ends."""

from __future__ import annotations

import contextlib
import threading
import time
import uuid
from pathlib import Path

import ray

from orchestrator.execution.ray_actors import make_ledger, make_tracker
from orchestrator.execution.ray_trials import SweepTask, TrialTask, run_trials
from orchestrator.execution.resources import ResourceRequest
from orchestrator.plan import Plan
from trainables.stage import to_config

_STOP_SECONDS = 30.0  # for running stages to save their checkpoints
_ALIVE_SECONDS = 10.0


class RaySweep:
    """The plan's trials on the cluster that this process is a driver of.

    Args:
        plan: What to run.
        request: Resources of the stages.
        tracking_uri: MLflow's store or server.
        artifacts: Where a local MLflow store keeps artifacts.
    """

    def __init__(self, plan: Plan, request: ResourceRequest, tracking_uri: str, artifacts: Path | None) -> None:
        self._plan, self._request = plan, request
        self._name = f"{plan.sweep.key}-{uuid.uuid4().hex[:8]}"  # of this very process: the same command may run twice at a time
        self._ledger = make_ledger(plan.setting.store)
        self._tracker = make_tracker(self._name, tracking_uri, artifacts)
        self._stopped = threading.Event()
        self._asked_to_stop = False

    def running(self) -> dict[str, tuple[float, float]]:
        """Fraction done and seconds so far of each running stage; nothing when the sweep has left the cluster."""
        try:
            return ray.get(self._ledger.running.remote(), timeout=5)
        except ray.exceptions.RayError:
            return {}

    def stop(self) -> None:
        """Stop cleanly: running stages save a checkpoint, then no further trial starts. Returns at once."""
        self._asked_to_stop = True
        threading.Thread(target=self._stop, daemon=True).start()

    def _stop(self) -> None:
        ray.get(self._ledger.stop.remote(self._name))
        limit = time.monotonic() + _STOP_SECONDS
        while time.monotonic() < limit and ray.get(self._ledger.running.remote(self._name)):
            time.sleep(0.2)
        self._stopped.set()

    def run(self) -> str:
        """Run all trials; returns how the sweep ended: FINISHED or KILLED. Failed stages are the store's to tell.

        Raises:
            RuntimeError: A trial's driver failed for good, which is a bug of ours or of Ray's.
        """
        ray.get(self._ledger.join.remote(self._name))
        ray.get(self._tracker.call.remote("open_sweep", self._plan.sweep))
        beat = threading.Event()
        threading.Thread(target=self._stay_alive, args=(beat,), daemon=True).start()
        try:
            errors = run_trials(self._task(), f"{self._plan.study.name}-{self._name}", self._stopped)
        finally:
            beat.set()
            self._leave()
        if errors and not self._asked_to_stop:
            raise RuntimeError(f"{len(errors)} trials ended by an error of their drivers; the first:\n{errors[0]}")
        return "KILLED" if self._asked_to_stop else "FINISHED"

    def _task(self) -> SweepTask:
        trials = {
            (trial.record.row, trial.record.seed): TrialTask(trial.record, to_config(trial.target)) for trial in self._plan.trials
        }
        setting = self._plan.setting.model_copy(update={"sweep": self._name})
        return SweepTask(trials, setting, self._request, has_gpus=ray.cluster_resources().get("GPU", 0) > 0)

    def _stay_alive(self, ended: threading.Event) -> None:
        while not ended.wait(_ALIVE_SECONDS):
            with contextlib.suppress(ray.exceptions.RayError):  # the cluster may be going down; the main thread will tell
                self._ledger.join.remote(self._name)

    def _leave(self) -> None:
        """Say good-bye; the last sweep takes the ledger with it."""
        ray.kill(self._tracker)
        if ray.get(self._ledger.leave.remote(self._name)) == 0:
            ray.kill(self._ledger)
