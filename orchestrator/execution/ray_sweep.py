"""A whole sweep on Ray: its actors, its trials, and a clean end however it ends."""

from __future__ import annotations

from pathlib import Path

from orchestrator.execution.cluster import current_shape
from orchestrator.execution.ray_session import RaySession
from orchestrator.execution.ray_trials import SweepTask, TrialTask, run_trials
from orchestrator.execution.resources import ResourceRequest
from orchestrator.plan import Plan
from trainables.stage import to_config


class RaySweep(RaySession):
    """The plan's trials on the cluster that this process is a driver of.

    Args:
        plan: What to run.
        request: Resources of the stages.
        tracking_uri: MLflow's store or server.
        artifacts: Where a local MLflow store keeps artifacts.
    """

    def __init__(self, plan: Plan, request: ResourceRequest, tracking_uri: str, artifacts: Path | None) -> None:
        super().__init__(plan.sweep.key, plan.setting.store, tracking_uri, artifacts)
        self._plan, self._request = plan, request

    def run(self) -> str:
        """Run all trials; returns how the sweep ended: FINISHED or KILLED. Failed stages are the store's to tell.

        Raises:
            RuntimeError: A trial's driver failed for good, which is a bug of ours or of Ray's.
        """
        with self.joined():
            self.track("open_sweep", self._plan.sweep)
            task = self._task()
            needs = {self._request.need(planned.stage, task.has_gpus) for planned in self._plan.stages}
            trials = [TrialTask(trial.record, to_config(trial.target)) for trial in self._plan.trials]
            errors = run_trials(trials, task, needs, f"{self._plan.study.name}-{self.name}", self.stopped)
        return self.outcome(errors)

    def _task(self) -> SweepTask:
        setting = self._plan.setting.model_copy(update={"sweep": self.name})
        return SweepTask(setting, self._request, has_gpus=current_shape().grown()["GPU"] > 0)
