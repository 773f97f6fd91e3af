"""The same chains in this very process, one stage after the other: for tests, debugging, and machines without Ray."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

from orchestrator.artifacts import ArtifactStore
from orchestrator.delivery import Call, deliver_stage, deliver_trial, stage_record
from orchestrator.execution.failures import GivenUp, StageFailed, persevere
from orchestrator.execution.job import StageJob, run_job
from orchestrator.execution.parts import InTurn
from orchestrator.execution.setting import Setting
from orchestrator.execution.store_lease import Lease, stage_holder, stage_lease
from orchestrator.execution.walk import ready_stages
from orchestrator.plan import PlannedTrial
from orchestrator.records import Point
from trainables.stage import Stage, StopRequested

_LOOK_SECONDS = 1.0  # at stages that another machine computes


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
        """Run all trials; a failed stage ends the trials that need it and no other. One that waits for another machine, which
        computes one of its stages into the same store, lets the others go first.

        Raises:
            StopRequested: The sweep was stopped.
        """
        left, in_vain = deque(trials), 0
        while left:
            trial = left.popleft()
            try:
                finished = self._advance(trial.target)
            except StageFailed:
                self._call("trial_ended", trial.record, "FAILED", {})
            else:
                if finished:
                    deliver_trial(self._call, trial.record, self.store)
                else:
                    left.append(trial)
                    in_vain += 1
                    if in_vain < len(left):
                        continue
                    self._wait(_LOOK_SECONDS)
            in_vain = 0

    def finish_chain(self, target: Stage) -> None:
        """Run whatever the chain lacks.

        Raises:
            StageFailed: One of its stages raised, now or in an earlier run.
            StopRequested: The sweep was stopped.
        """
        while not self._advance(target):
            self._wait(_LOOK_SECONDS)

    def _advance(self, target: Stage) -> bool:
        """Run what the chain lacks and nobody else computes; whether it is finished."""
        while ready := ready_stages(target, self.setting, self.store):
            for name in ready:
                if story := self.store.failure(name):
                    raise StageFailed(story)
            if self._stopping.is_set():
                raise StopRequested
            if not any(self._taken(stage, name) for name, stage in ready.items()):
                return False
        return True

    def _taken(self, stage: Stage, name: str) -> bool:
        """Run a stage unless another machine computes it; whether this one did, or found it done."""
        if stage_holder(self.store, name) is not None or not (lease := stage_lease(self.store, name)).take():
            return False
        with lease.held():
            return self.store.is_done(name) or self._run(stage, name, lease)

    def _run(self, stage: Stage, name: str, lease: Lease) -> bool:
        """Run one stage and keep its MLflow run true, however it ends; whether it was finished, and not taken over."""
        self._call("stage_started", stage_record(stage, name), True)
        self._show(name, 0.0)
        self.executed.append(name)
        try:
            persevere(stage, lambda alone: self._attempt(stage, lease), self._wait)
        except StopRequested:
            self._call("stage_ended", name, "KILLED", {}, {})
            if self._stopping.is_set():
                raise
            return False
        except GivenUp as given_up:
            self._call("stage_ended", name, "FAILED", {}, {})
            given_up.remember(self.store, name)
            raise
        deliver_stage(self._call, stage, name, self.store)
        return True

    def _attempt(self, stage: Stage, lease: Lease) -> None:
        import torch

        torch.cuda.empty_cache()  # what an earlier stage or attempt has left
        device = torch.device("cuda" if stage.accelerated and torch.cuda.is_available() else "cpu")
        reporter = LocalReporter(self._call, self._show, self._stopping)
        run_job(StageJob.of(stage, self.setting, lease.id), reporter, InTurn(), rank=0, world_size=1, device=device)

    def _wait(self, seconds: float) -> None:
        if self._stopping.wait(seconds):
            raise StopRequested
