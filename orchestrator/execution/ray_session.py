"""One process' work on a cluster, be it a table or a search: its ledger, its tracker, and a clean end however it ends."""

from __future__ import annotations

import contextlib
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import ray

from orchestrator.execution.ledger_actor import make_ledger
from orchestrator.execution.tracker_actor import caller, end_tracker, make_tracker

if TYPE_CHECKING:
    from orchestrator.execution.ledger_snapshot import Snapshot

_STOP_SECONDS = 30.0  # for running stages to save their checkpoints
_ALIVE_SECONDS = 10.0
_ANSWER_SECONDS = 10.0  # of the ledger, when the work is over or to be shown; the cluster may be lost


class RaySession:
    """Joins the ledger of a store and brings a tracker along, on the cluster that this process is a driver of.

    Args:
        key: Identity of the work.
        store: Root of the artifact store.
        tracking_uri: MLflow's store or server.
        artifacts: Where a local MLflow store keeps artifacts.

    Attributes:
        name: Of this very process' work: the same command may run twice at a time.
        asked_to_stop: Whether :meth:`stop` was called.
        stopped: Set when it was called and no stage runs any more.
    """

    def __init__(self, key: str, store: str, tracking_uri: str, artifacts: Path | None) -> None:
        self.name = f"{key}-{uuid.uuid4().hex[:8]}"
        self.asked_to_stop = False
        self.stopped = threading.Event()
        self._ledger = make_ledger(store)
        self._tracker = make_tracker(self.name, tracking_uri, artifacts)

    def running(self) -> dict[str, tuple[float, float]]:
        """Fraction done and seconds so far of each running stage; nothing when the work has left the cluster."""
        try:
            return ray.get(self._ledger.running.remote(), timeout=_ANSWER_SECONDS)
        except ray.exceptions.RayError:
            return {}

    def snapshot(self) -> Snapshot:
        """What runs and what waits, of all work on the store, and why.

        Raises:
            ray.exceptions.RayError: The ledger does not answer.
        """
        return ray.get(self._ledger.snapshot.remote(), timeout=_ANSWER_SECONDS)

    def track(self, method: str, *arguments: object) -> None:
        """Call a method of the tracker and wait for it, unless it has died."""
        caller(self.name)(method, *arguments)

    def stop(self) -> None:
        """Stop cleanly: running stages save a checkpoint, then no further trial starts. Returns at once."""
        self.asked_to_stop = True
        threading.Thread(target=self._stop, daemon=True).start()

    def _stop(self) -> None:
        limit = time.monotonic() + _STOP_SECONDS
        try:
            ray.get(self._ledger.stop.remote(self.name), timeout=_STOP_SECONDS)
            while time.monotonic() < limit and ray.get(self._ledger.running.remote(self.name), timeout=_STOP_SECONDS):
                time.sleep(0.2)
        except ray.exceptions.RayError:  # nobody can be told any more, but nothing new shall start
            pass
        finally:
            self.stopped.set()

    @contextlib.contextmanager
    def joined(self) -> Iterator[None]:
        """Be known to the ledger while the block runs; the last to leave takes the ledger with it."""
        ray.get(self._ledger.join.remote(self.name))
        ended = threading.Event()
        threading.Thread(target=self._stay_alive, args=(ended,), daemon=True).start()
        try:
            yield
        finally:
            ended.set()
            with contextlib.suppress(ray.exceptions.RayError):  # of a lost cluster nothing is left to be ended
                end_tracker(self._tracker)
                if ray.get(self._ledger.leave.remote(self.name), timeout=_ANSWER_SECONDS) == 0:
                    ray.kill(self._ledger)

    def outcome(self, errors: Sequence[str]) -> str:
        """How the work ended, FINISHED or KILLED, given what went wrong in the drivers of its trials.

        Raises:
            RuntimeError: A driver failed for good, which is a bug of ours or of Ray's.
        """
        if errors and not self.asked_to_stop:
            raise RuntimeError(f"{len(errors)} trials ended by an error of their drivers; the first:\n{errors[0]}")
        return "KILLED" if self.asked_to_stop else "FINISHED"

    def _stay_alive(self, ended: threading.Event) -> None:
        while not ended.wait(_ALIVE_SECONDS):
            with contextlib.suppress(ray.exceptions.RayError):  # the cluster may be going down; the main thread will tell
                self._ledger.join.remote(self.name)
