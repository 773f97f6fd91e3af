"""What a stage in a Ray worker tells the sweep."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

import ray

from orchestrator.execution.ledger_actor import find_ledger
from orchestrator.execution.tracker_actor import find_tracker


class RayReporter:
    """Implements :class:`orchestrator.execution.job.Reporter` in a Ray worker. Never waits, and never fails a stage."""

    def __init__(self, store: str, sweep: str) -> None:
        self._ledger, self._tracker = find_ledger(store), find_tracker(sweep)
        self._answer: ray.ObjectRef | None = None

    def points(self, fingerprint: str, points: Sequence[tuple[str, float, int, int]]) -> None:
        """Hand the points to the tracker."""
        self._tracker.call.remote("log_stage", fingerprint, list(points))

    def progress(self, fingerprint: str, fraction: float) -> bool:
        """Tell the ledger; answers with what it said the time before, so that the training never waits for it."""
        stop = False
        if self._answer is not None:
            ready, _ = ray.wait([self._answer], timeout=0)
            if not ready:
                return False
            with contextlib.suppress(ray.exceptions.RayError):  # the ledger is being restarted
                stop = ray.get(self._answer)
        self._answer = self._ledger.progress.remote(fingerprint, fraction)
        return stop
