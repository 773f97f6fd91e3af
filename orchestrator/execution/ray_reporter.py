"""What a stage in a Ray worker tells the sweep."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Sequence

import ray

from orchestrator.execution.ledger_actor import find_ledger
from orchestrator.execution.tracker_actor import find_tracker
from orchestrator.records import Point

_BATCH_SECONDS = 1.0
_MOST_POINTS = 50_000  # kept while the tracker does not answer, some 10 MB; the stage's end delivers its whole curves


class RayReporter:
    """Implements :class:`orchestrator.execution.job.Reporter` in a Ray worker. Never waits, and never fails a stage.

    Points go in batches, one at a time: at 50 metrics a second a call for each would keep the tracker busy with nothing else.
    """

    def __init__(self, store: str, sweep: str) -> None:
        self._ledger = find_ledger(store)
        self._tracker = None
        with contextlib.suppress(ValueError):  # it is gone: the end of the sweep delivers what it missed
            self._tracker = find_tracker(sweep)
        self._answer: ray.ObjectRef | None = None
        self._taken: ray.ObjectRef | None = None
        self._lock = threading.Lock()
        self._waiting: list[tuple[str, Point]] = []  # fingerprint and point
        self._timer: threading.Timer | None = None

    def points(self, fingerprint: str, points: Sequence[Point]) -> None:
        """Hand the points to the tracker, within about a second."""
        if self._tracker is None:
            return
        with self._lock:
            if len(self._waiting) < _MOST_POINTS:
                self._waiting += [(fingerprint, point) for point in points]
            self._send_later()

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

    def flush(self) -> None:
        """Hand over what waits now: the stage has come to an end."""
        with self._lock:
            self._send()

    def _send_later(self) -> None:
        if self._timer is None:
            self._timer = threading.Timer(_BATCH_SECONDS, self._send_in_time)
            self._timer.daemon = True
            self._timer.start()

    def _send_in_time(self) -> None:
        with self._lock:
            self._timer = None
            if self._taken is not None and not ray.wait([self._taken], timeout=0)[0]:
                self._send_later()
                return
            self._send()

    def _send(self) -> None:
        by_stage: dict[str, list[Point]] = {}
        for fingerprint, point in self._waiting:
            by_stage.setdefault(fingerprint, []).append(point)
        self._waiting.clear()
        with contextlib.suppress(ray.exceptions.RayError):
            for fingerprint, points in by_stage.items():
                self._taken = self._tracker.call.remote("log_stage", fingerprint, points)
