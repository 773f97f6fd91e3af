"""The ledger as a named actor, for single flight and admission.

Its name is derived from the store, so that all sweeps on one cluster and one store share it.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections import Counter
from collections.abc import Mapping

import ray

from orchestrator.execution.autoscaler import NONE as NO_LIMITS
from orchestrator.execution.cluster import current_shape, keeps_drivers_apart
from orchestrator.execution.ledger import LEASE_SECONDS, Ledger
from orchestrator.execution.ledger_snapshot import Snapshot
from orchestrator.execution.namespace import APART, NAMESPACE
from orchestrator.execution.resources import Need

_PATIENCE_SECONDS = 1.0  # an unanswered request returns, so that the asker looks at the store again
_ANSWERS_A_SECOND = 100  # of such that say nothing, at most: a thousand askers must not keep the ledger busy
_ABANDONED_SECONDS = 40.0  # a sweep that has given no sign of life for so long is dead
_SHAPE_SECONDS = 2.0  # between two looks at the nodes


class LedgerActor:
    """:class:`~orchestrator.execution.ledger.Ledger`, asynchronous: askers wait here and not in loops of their own."""

    def __init__(self) -> None:
        self._ledger = Ledger(current_shape(NO_LIMITS))
        self._changed = asyncio.Condition()
        self._ended: Counter[str] = Counter()  # how often each stage has ended, well or not
        self._asking = 0  # how many wait for an answer
        self._sweeps: dict[str, float] = {}
        self._watching: asyncio.Task | None = None

    async def join(self, sweep: str) -> None:
        """A sweep begins; also its sign of life."""
        self._sweeps[sweep] = self._ledger.now()
        if self._watching is None:
            self._watching = asyncio.create_task(self._watch())

    async def leave(self, sweep: str) -> int:
        """A sweep has ended; returns how many others live."""
        self._sweeps.pop(sweep, None)
        self._ledger.stopping.discard(sweep)
        return self._living()

    async def ask(self, sweep: str, owner: str, wanted: Mapping[str, Need]) -> str | None:
        """As :meth:`Ledger.ask`, but answers None only when one of the wanted stages has ended, and the asker should look at the
        store again, or after a while.
        """
        self._see(sweep)
        self._asking += 1
        patience = min(max(_PATIENCE_SECONDS, self._asking / _ANSWERS_A_SECOND), LEASE_SECONDS / 2)
        try:
            async with self._changed:
                return await asyncio.wait_for(self._granted(sweep, owner, wanted), patience)
        except TimeoutError:
            return self._ledger.ask(sweep, owner, wanted)
        finally:
            self._asking -= 1

    async def _granted(self, sweep: str, owner: str, wanted: Mapping[str, Need]) -> str | None:
        ended = {name: self._ended[name] for name in wanted}
        while (granted := self._ledger.ask(sweep, owner, wanted)) is None and sweep not in self._ledger.stopping:
            if any(self._ended[name] != number for name, number in ended.items()):
                return None
            await self._changed.wait()
        return granted

    async def renew(self, sweep: str, owner: str, fingerprint: str, need: Need) -> bool:
        """As :meth:`Ledger.renew`."""
        self._see(sweep)
        return self._ledger.renew(sweep, owner, fingerprint, need)

    async def progress(self, fingerprint: str, fraction: float) -> bool:
        """As :meth:`Ledger.progress`."""
        return self._ledger.progress(fingerprint, fraction)

    async def finish(self, owner: str, fingerprint: str) -> None:
        """As :meth:`Ledger.finish`; wakes those who wait."""
        self._ledger.finish(owner, fingerprint)
        self._ended[fingerprint] += 1
        await self._wake()

    async def withdraw(self, owner: str) -> None:
        """As :meth:`Ledger.withdraw`; wakes those who wait."""
        self._ledger.withdraw(owner)
        await self._wake()

    async def stop(self, sweep: str) -> None:
        """Stop a sweep: its running stages save a checkpoint and end, nothing new starts."""
        self._ledger.stopping.add(sweep)
        await self._wake()

    async def stopping(self, sweep: str) -> bool:
        """Whether the sweep is being stopped."""
        return sweep in self._ledger.stopping

    async def running(self, sweep: str | None = None) -> dict[str, tuple[float, float]]:
        """As :meth:`Ledger.running`."""
        return self._ledger.running(sweep)

    async def snapshot(self, sweep: str | None = None) -> Snapshot:
        """As :meth:`Ledger.snapshot`."""
        return self._ledger.snapshot(sweep)

    def _see(self, sweep: str) -> None:
        """What its drivers ask is a sign of life of a sweep."""
        if sweep in self._sweeps:
            self._sweeps[sweep] = self._ledger.now()

    def _living(self) -> int:
        """How many sweeps live; those that have given no sign of life are forgotten."""
        limit = self._ledger.now() - _ABANDONED_SECONDS
        for sweep in [name for name, seen in self._sweeps.items() if seen <= limit]:
            del self._sweeps[sweep]
        return len(self._sweeps)

    async def _watch(self) -> None:
        """End with the last sweep, were it killed. Until then nodes come and go, and those who wait are told.

        The control store may be away for a while: then all stays as it was.
        """
        while self._living():
            with contextlib.suppress(ray.exceptions.RayError, RuntimeError, OSError):
                shape = await asyncio.to_thread(current_shape)
                if shape != self._ledger.shape:
                    self._ledger.shape = shape
                    await self._wake()
            await asyncio.sleep(_SHAPE_SECONDS)
        ray.kill(ray.get_runtime_context().current_actor)

    async def _wake(self) -> None:
        async with self._changed:
            self._changed.notify_all()


def make_ledger(store: str) -> ray.actor.ActorHandle:
    """Start the ledger of this store, or find the one that another sweep has started. It comes back if its node dies,
    and is where nodes stay if the cluster says which do.
    """
    options = {"max_concurrency": 10_000, "max_restarts": -1, "max_task_retries": -1, "scheduling_strategy": "DEFAULT"}
    options |= {"resources": {"driver": 0.0001}} if keeps_drivers_apart() else {}
    return ray.remote(LedgerActor).options(name=_ledger_name(store), get_if_exists=True, **APART, **options).remote()


def find_ledger(store: str) -> ray.actor.ActorHandle:
    """The ledger of this store, from any process of the cluster."""
    return ray.get_actor(_ledger_name(store), namespace=NAMESPACE)


def _ledger_name(store: str) -> str:
    return f"ledger-{hashlib.sha256(store.encode()).hexdigest()[:12]}"
