"""Who computes what: single flight over shared stages, and admission by what the cluster has.

One ledger serves all sweeps on a store. A trial that lacks stages asks for any of them; it is told to run one, or waits without
holding a worker. The right to compute is a lease that its owner renews; when the owner dies, another trial takes over (and goes on
from the checkpoint). What is *finished* is not the ledger's business: the store's completion marker is the truth.

Admission is strictly first come, first served by stage: a stage of many workers waits for its turn at the head of the queue, and
what it will need is kept free for it, so it can neither deadlock nor starve.

This module is pure; :mod:`orchestrator.execution.ledger_actor` puts it into a named actor.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from orchestrator.execution.resources import Need

LEASE_SECONDS = 20.0
"""An owner that has not renewed for so long is dead; it renews ten times as often."""


@dataclass
class _Running:
    owner: str
    sweep: str
    need: Need
    since: float
    renewed: float
    fraction: float = 0.0


@dataclass
class _Waiting:
    owner: str
    need: Need
    asked: float


@dataclass
class Ledger:
    """Leases, queue and progress of the stages of one store.

    Attributes:
        capacity: CPUs and GPUs that stages may use together.
        now: Clock, in seconds.
        stopping: Names of the sweeps that are being stopped: they are given nothing new.
    """

    capacity: dict[str, float]
    now: Callable[[], float] = time.monotonic
    stopping: set[str] = field(default_factory=set)
    _running: dict[str, _Running] = field(default_factory=dict)
    _queue: dict[str, _Waiting] = field(default_factory=dict)

    def ask(self, sweep: str, owner: str, wanted: Mapping[str, Need]) -> str | None:
        """Give ``owner`` the right to compute one of the stages it wants, or None: wait and ask again.

        Args:
            sweep: The sweep that the owner works for.
            owner: Who asks; the same name renews and finishes. It runs one stage at a time.
            wanted: Stages that could start now, by fingerprint, with what they need.
        """
        self._drop_the_dead()
        if sweep in self.stopping:
            return None
        self._queue = {name: entry for name, entry in self._queue.items() if entry.owner != owner or name in wanted}
        for fingerprint, need in wanted.items():
            if fingerprint not in self._running:
                entry = self._queue.setdefault(fingerprint, _Waiting(owner, need, 0.0))
                entry.owner, entry.asked = owner, self.now()
        for fingerprint in list(self._queue):
            if fingerprint in wanted and self._may_start(fingerprint):
                self.withdraw(owner)  # whoever computes cannot start its other wishes
                self._queue.pop(fingerprint, None)
                self._running[fingerprint] = _Running(owner, sweep, wanted[fingerprint], self.now(), self.now())
                return fingerprint
        return None

    def renew(self, sweep: str, owner: str, fingerprint: str, need: Need) -> bool:
        """The owner lives and computes; answers whether it should stop. A ledger that was restarted learns of the lease again."""
        lease = self._running.setdefault(fingerprint, _Running(owner, sweep, need, self.now(), self.now()))
        if lease.owner == owner:
            lease.renewed = self.now()
        return sweep in self.stopping

    def progress(self, fingerprint: str, fraction: float) -> bool:
        """How far a stage is; answers whether it should stop."""
        lease = self._running.get(fingerprint)
        if lease is None:
            return False
        lease.fraction = fraction
        return lease.sweep in self.stopping

    def finish(self, owner: str, fingerprint: str) -> None:
        """The owner has ended a stage, well or not."""
        lease = self._running.get(fingerprint)
        if lease is not None and lease.owner == owner:
            del self._running[fingerprint]

    def withdraw(self, owner: str) -> None:
        """The owner wants nothing any more: what it waited for may have been finished by another meanwhile, and must not keep
        resources free for nobody.
        """
        self._queue = {name: entry for name, entry in self._queue.items() if entry.owner != owner}

    def running(self, sweep: str | None = None) -> dict[str, tuple[float, float]]:
        """Fraction done and seconds so far of each running stage, of one sweep or of all."""
        self._drop_the_dead()
        leases = {name: lease for name, lease in self._running.items() if sweep in (None, lease.sweep)}
        return {name: (lease.fraction, self.now() - lease.since) for name, lease in leases.items()}

    def _may_start(self, fingerprint: str) -> bool:
        """Whether the stage fits beside what runs and what those before it in the queue will need."""
        free = dict(self.capacity)
        ahead = [entry.need for entry in self._before(fingerprint)]
        for need in [lease.need for lease in self._running.values()] + ahead:
            free["CPU"] = free.get("CPU", 0.0) - need.workers * need.cpus
            free["GPU"] = free.get("GPU", 0.0) - need.workers * need.gpus
        return self._queue[fingerprint].need.fits(free)

    def _before(self, fingerprint: str) -> list[_Waiting]:
        names = list(self._queue)
        return [self._queue[name] for name in names[: names.index(fingerprint)]]

    def _drop_the_dead(self) -> None:
        """Forget leases that nobody renews and queue entries that nobody asks for any more."""
        limit = self.now() - LEASE_SECONDS
        self._running = {name: lease for name, lease in self._running.items() if lease.renewed > limit}
        self._queue = {name: entry for name, entry in self._queue.items() if entry.asked > limit}
