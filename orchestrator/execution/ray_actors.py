"""The two named actors of a sweep: the ledger (single flight, admission) and the tracker (the only one that talks to MLflow).

They live in a fixed namespace. The ledger's name is derived from the store, so that two sweeps on one cluster and one store share it;
each sweep has a tracker of its own.
Made by the sweep's own process before Tune starts: an actor made inside a trial would die with the trial.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import ray

from orchestrator.execution.ledger import Ledger
from orchestrator.execution.resources import Need
from orchestrator.tracking import Tracker

NAMESPACE = "speech-orchestrator"
_PATIENCE_SECONDS = 1.0  # an unanswered request returns, so that the asker looks at the store again
_ABANDONED_SECONDS = 60.0
_APART = {"namespace": NAMESPACE, "lifetime": "detached", "num_cpus": 0, "scheduling_strategy": "DEFAULT"}


class LedgerActor:
    """:class:`~orchestrator.execution.ledger.Ledger` behind an asynchronous interface: askers wait here, not in a loop of their own."""

    def __init__(self) -> None:
        self._ledger = Ledger(capacity=_capacity())
        self._changed = asyncio.Condition()
        self._sweeps: dict[str, float] = {}

    async def join(self, sweep: str) -> None:
        """A sweep begins; also its sign of life."""
        self._ledger.capacity = _capacity()
        self._sweeps[sweep] = self._ledger.now()

    async def leave(self, sweep: str) -> int:
        """A sweep has ended; returns how many others live."""
        self._sweeps.pop(sweep, None)
        limit = self._ledger.now() - _ABANDONED_SECONDS
        self._sweeps = {name: seen for name, seen in self._sweeps.items() if seen > limit}
        return len(self._sweeps)

    async def ask(self, owner: str, wanted: Mapping[str, Need]) -> str | None:
        """As :meth:`Ledger.ask`, but answers None only after a change or some seconds."""
        granted = self._ledger.ask(owner, wanted)
        if granted is None and not self._ledger.stopping:
            with contextlib.suppress(TimeoutError):
                async with self._changed:
                    await asyncio.wait_for(self._changed.wait(), _PATIENCE_SECONDS)
            granted = self._ledger.ask(owner, wanted)
        return granted

    async def renew(self, owner: str) -> bool:
        """As :meth:`Ledger.renew`."""
        return self._ledger.renew(owner)

    async def progress(self, fingerprint: str, fraction: float) -> bool:
        """As :meth:`Ledger.progress`."""
        return self._ledger.progress(fingerprint, fraction)

    async def finish(self, owner: str, fingerprint: str) -> None:
        """As :meth:`Ledger.finish`; wakes those who wait."""
        self._ledger.finish(owner, fingerprint)
        await self._wake()

    async def stop(self) -> None:
        """Stop the sweeps: running stages save a checkpoint and end, nothing new starts."""
        self._ledger.stopping = True
        await self._wake()

    async def stopping(self) -> bool:
        """Whether the sweeps are being stopped."""
        return self._ledger.stopping

    async def running(self) -> dict[str, tuple[float, float]]:
        """As :meth:`Ledger.running`."""
        return self._ledger.running()

    async def _wake(self) -> None:
        async with self._changed:
            self._changed.notify_all()


class TrackerActor:
    """A :class:`~orchestrator.tracking.Tracker` in a process of its own."""

    def __init__(self, uri: str, artifacts: Path | None) -> None:
        self._tracker = Tracker(uri, artifacts)

    def call(self, method: str, *arguments: Any) -> Any:
        """Call one of the tracker's methods."""
        return getattr(self._tracker, method)(*arguments)


class RayReporter:
    """Implements :class:`orchestrator.execution.job.Reporter` in a Ray worker. Never waits."""

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
            stop = ray.get(self._answer)
        self._answer = self._ledger.progress.remote(fingerprint, fraction)
        return stop


def make_ledger(store: str) -> ray.actor.ActorHandle:
    """Start the ledger of this store, or find the one that another sweep has started."""
    return ray.remote(LedgerActor).options(name=_ledger_name(store), max_concurrency=10_000, get_if_exists=True, **_APART).remote()


def make_tracker(sweep: str, tracking_uri: str, artifacts: Path | None) -> ray.actor.ActorHandle:
    """Start the tracker of this sweep."""
    return ray.remote(TrackerActor).options(name=_tracker_name(sweep), get_if_exists=True, **_APART).remote(tracking_uri, artifacts)


def find_ledger(store: str) -> ray.actor.ActorHandle:
    """The ledger of this store, from any process of the cluster."""
    return ray.get_actor(_ledger_name(store), namespace=NAMESPACE)


def find_tracker(sweep: str) -> ray.actor.ActorHandle:
    """The tracker of this sweep, from any process of the cluster."""
    return ray.get_actor(_tracker_name(sweep), namespace=NAMESPACE)


def _ledger_name(store: str) -> str:
    return f"ledger-{hashlib.sha256(store.encode()).hexdigest()[:12]}"


def _tracker_name(sweep: str) -> str:
    return f"tracker-{sweep}"


def _capacity() -> dict[str, float]:
    resources = ray.cluster_resources()
    return {kind: resources.get(kind, 0.0) for kind in ("CPU", "GPU")}
