"""The same chains in this very process, one stage after the other: for tests, debugging, and machines without Ray."""

from __future__ import annotations

import threading
from collections.abc import Callable

from orchestrator.artifacts import ArtifactStore
from orchestrator.delivery import Call, deliver_stage, deliver_trial, stage_record
from orchestrator.execution.job import StageFailed, StageJob, run_job
from orchestrator.execution.parts import InTurn
from orchestrator.execution.setting import Setting
from orchestrator.execution.walk import ready_stages
from orchestrator.plan import PlannedTrial
from orchestrator.records import Point
from trainables.stage import Stage, StopRequested


class LocalReporter:
    """Implements :class:`orchestrator.execution.job.Reporter` for a stage in this process.

    Args:
        call: Calls the tracker.
        show: Called with a stage's fingerprint and the fraction done.
        stopping: Set when the sweep is being stopped.
    """

    def __init__(self, call: Call, show: Callable[[str, float], None], stopping: threading.Event) -> None:
        self._call, self._show, self._stopping = call, show, stopping

    def points(self, fingerprint: str, points: list[Point]) -> None:
        """Hand the points to the tracker."""
        self._call("log_stage", fingerprint, points)

    def progress(self, fingerprint: str, fraction: float) -> bool:
        """Show it; answers whether the stage should stop."""
        self._show(fingerprint, fraction)
        return self._stopping.is_set()


class LocalExecutor:
    """Runs trials one after the other.

    Args:
        setting: What all jobs have in common.
        call: Calls the tracker.
        show: Called with a stage's fingerprint and the fraction done.
        stopping: Set it to stop: the running stage saves a checkpoint.
    """

    def __init__(
        self,
        setting: Setting,
        call: Call,
        show: Callable[[str, float], None] = lambda fingerprint, fraction: None,
        stopping: threading.Event | None = None,
    ) -> None:
        self.setting, self.store = setting, ArtifactStore(setting.store)
        self.executed: list[str] = []  # fingerprints, in order
        self._call, self._show = call, show
        self._stopping = stopping or threading.Event()

    def run(self, trials: tuple[PlannedTrial, ...]) -> None:
        """Run all trials; a failed stage ends the trials that need it and no other.

        Raises:
            StopRequested: The sweep was stopped.
        """
        for trial in trials:
            try:
                self.finish_chain(trial.target)
            except StageFailed:
                self._call("trial_ended", trial.record, "FAILED", {})
            else:
                deliver_trial(self._call, trial.record, self.store)

    def finish_chain(self, target: Stage) -> None:
        """Run whatever the chain lacks.

        Raises:
            StageFailed: One of its stages raised, now or in an earlier run.
            StopRequested: The sweep was stopped.
        """
        while ready := ready_stages(target, self.setting, self.store):
            name, stage = next(iter(ready.items()))
            if story := self.store.failure(name):
                raise StageFailed(story)
            if self._stopping.is_set():
                raise StopRequested
            self._run(stage, name)

    def _run(self, stage: Stage, name: str) -> None:
        import torch

        device = torch.device("cuda" if stage.accelerated and torch.cuda.is_available() else "cpu")
        self._call("stage_started", stage_record(stage, name), True)
        self._show(name, 0.0)
        self.executed.append(name)
        try:
            reporter = LocalReporter(self._call, self._show, self._stopping)
            run_job(StageJob.of(stage, self.setting), reporter, InTurn(), rank=0, world_size=1, device=device)
        except StopRequested:
            self._call("stage_ended", name, "KILLED", {}, {})
            raise
        except StageFailed:
            self._call("stage_ended", name, "FAILED", {}, {})
            raise
        deliver_stage(self._call, stage, name, self.store)
