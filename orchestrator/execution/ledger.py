"""Who computes what: single flight over shared stages, and admission by what the cluster has.

One ledger serves all sweeps on a store. A trial that lacks stages asks for any of them; it is told to run one, or waits without
holding a worker. The right to compute is a lease that its owner renews; when the owner dies, another trial takes over (and goes on
from the checkpoint). What is *finished* is not the ledger's business: the store's completion marker is the truth.

Admission is first come, first served by stage. All workers of a stage must fit at once, each on one node. For those who wait
longest room is kept free, for as many as the empty cluster would hold together, so a stage of many workers can neither deadlock nor
starve; what does not disturb them may start before them. Nodes that the autoscaler may add count as room: what is admitted there is
what Ray asks the autoscaler for.

This module is pure; :mod:`orchestrator.execution.ledger_actor` puts it into a named actor.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from orchestrator.execution.cluster_shape import ClusterShape
from orchestrator.execution.ledger_snapshot import QueuedStage, RunningStage, Snapshot, why_awaited, why_queued
from orchestrator.execution.packing import Packing, Placement
from orchestrator.execution.resources import Need

LEASE_SECONDS = 20.0
"""An owner that has not renewed for so long is dead; it renews ten times as often."""
_LOOK_SECONDS = 1.0  # between two looks for the dead
_KEPT = 16  # waiting stages that room is kept for: the longest waiting are among them, and the rest need not be gone through


@dataclass
class _Running:
    owner: str
    sweep: str
    need: Need
    since: float
    renewed: float
    placement: Placement
    fraction: float = 0.0


@dataclass
class _Waiting:
    need: Need
    owners: dict[str, tuple[str, float]] = field(default_factory=dict)  # to the sweep, and when it asked last


@dataclass
class _Outlook:
    """Which of the waiting stages may start.

    Attributes:
        room: What runs, what may start and what is kept free.
        left: What would be left of an empty cluster beside all that room is kept for.
        startable: Where what may start would be.
        blocked: What does not fit; nor will anything like it that comes later.
        kept: For how many stages room is kept free.
    """

    room: Packing
    left: dict[str, float]
    startable: dict[str, Placement] = field(default_factory=dict)
    blocked: set[Need] = field(default_factory=set)
    kept: int = 0
    full: bool = False

    def consider(self, name: str, need: Need) -> None:
        """The next in the queue: it may start, or room is kept for it, or it is too far behind for that."""
        if self.full:
            return
        if need not in self.blocked:
            if (placement := self.room.place(need)) is not None:
                self.startable[name] = placement
                return
            self.blocked.add(need)
            self.full = self.room.is_full()
        wanted = {"CPU": need.workers * need.cpus, "GPU": need.workers * need.gpus}
        together = all(amount <= self.left[kind] for kind, amount in wanted.items())
        if self.kept < _KEPT and together and self.room.overfill(need).places:
            self.kept += 1
            self.left = {kind: self.left[kind] - amount for kind, amount in wanted.items()}


class Ledger:
    """Leases, queue and progress of the stages of one store.

    Args:
        shape: What stages may use together.
        now: Clock, in seconds.

    Attributes:
        stopping: Names of the sweeps that are being stopped: they are given nothing new.
    """

    def __init__(self, shape: ClusterShape, now: Callable[[], float] = time.monotonic) -> None:
        self.now = now
        self.stopping: set[str] = set()
        self._shape, self._room = shape, Packing(shape)
        self._running: dict[str, _Running] = {}
        self._queue: dict[str, _Waiting] = {}
        self._wishes: dict[str, set[str]] = {}  # of each owner
        self._outlook: _Outlook | None = None  # to be found out anew
        self._looked = now()

    @property
    def shape(self) -> ClusterShape:
        """The nodes that stages may use."""
        return self._shape

    @shape.setter
    def shape(self, shape: ClusterShape) -> None:
        """Nodes have come or gone: what runs, runs on; what does not fit any more is Ray's to start again."""
        if shape == self._shape:
            return
        self._shape, self._room, self._outlook = shape, Packing(shape), None
        for lease in self._running.values():
            lease.placement = self._occupied(lease.need)

    def ask(self, sweep: str, owner: str, wanted: Mapping[str, Need]) -> str | None:
        """Give ``owner`` the right to compute one of the stages it wants, or None: wait and ask again.

        Args:
            sweep: The sweep that the owner works for.
            owner: Who asks; the same name renews and finishes. It runs one stage at a time.
            wanted: Stages that could start now, by fingerprint, with what they need.
        """
        self._drop_the_dead()
        if sweep in self.stopping:
            self.withdraw(owner)
            return None
        self._wish(sweep, owner, wanted)
        for fingerprint in list(self._may_start()):
            if fingerprint in wanted and (taken := self._taken(fingerprint, wanted[fingerprint])) is not None:
                del self._queue[fingerprint]
                if self._outlook is not None and self._outlook.startable.pop(fingerprint) is not taken:
                    self._outlook = None  # else it stays as it was foreseen
                self.withdraw(owner)  # whoever computes cannot start its other wishes
                self._running[fingerprint] = _Running(owner, sweep, wanted[fingerprint], self.now(), self.now(), taken)
                return fingerprint
        return None

    def renew(self, sweep: str, owner: str, fingerprint: str, need: Need) -> bool:
        """The owner lives and computes; answers whether it should stop. A ledger that was restarted learns of the lease again.

        Args:
            need: What the stage needs now; if that is more than it was given, nothing is admitted that would take it away.
        """
        if fingerprint not in self._running:
            self._running[fingerprint] = _Running(owner, sweep, need, self.now(), self.now(), self._occupied(need))
            self._outlook = None
        lease = self._running[fingerprint]
        if lease.owner == owner:
            lease.renewed = self.now()
            if need != lease.need:  # it is tried once more, with a whole GPU or node to itself
                self._room.free_again(lease.placement)
                lease.need, lease.placement, self._outlook = need, self._occupied(need), None
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
            self._end(fingerprint)

    def withdraw(self, owner: str) -> None:
        """The owner wants nothing any more: what it waited for may have been finished by another meanwhile, and must not keep
        resources free for nobody.
        """
        self._keep_wishes(owner, {})

    def running(self, sweep: str | None = None) -> dict[str, tuple[float, float]]:
        """Fraction done and seconds so far of each running stage, of one sweep or of all."""
        self._drop_the_dead(at_once=True)
        leases = {name: lease for name, lease in self._running.items() if sweep in (None, lease.sweep)}
        return {name: (lease.fraction, self.now() - lease.since) for name, lease in leases.items()}

    def snapshot(self, sweep: str | None = None) -> Snapshot:
        """What runs, and what waits and why, of one sweep or of all."""
        self._drop_the_dead(at_once=True)
        running, queued = {}, {}
        for name, lease in self._running.items():
            if sweep not in (None, lease.sweep):
                continue
            group = self._room.awaited(lease.placement)
            if group is not None and not lease.fraction:
                queued[name] = QueuedStage(need=lease.need, place=0, reason=why_awaited(lease.need, self._room.free(), group))
            else:
                content = {"owner": lease.owner, "sweep": lease.sweep, "need": lease.need, "fraction": lease.fraction}
                running[name] = RunningStage(**content, seconds=self.now() - lease.since)
        queued |= self._queued(sweep)
        totals = {"capacity": self._shape.total(), "may_grow_to": self._shape.grown(), "free": self._room.free()}
        return Snapshot(running=running, queued=queued, **totals)

    def _queued(self, sweep: str | None) -> dict[str, QueuedStage]:
        startable, longest, found = self._may_start(), next(iter(self._queue), ""), {}
        for place, (name, entry) in enumerate(self._queue.items(), 1):
            if sweep is None or any(sweep == asker for asker, _ in entry.owners.values()):
                first = "" if name in startable or name == longest else longest
                reason = why_queued(entry.need, self._shape, self._room, place, first)
                found[name] = QueuedStage(need=entry.need, place=place, reason=reason)
        return found

    def _may_start(self) -> dict[str, Placement]:
        """The waiting stages that fit beside what runs and what is kept free, in their order, and where."""
        if self._outlook is None:
            self._outlook = _Outlook(self._room.copy(), self._shape.grown())
            for name, entry in self._queue.items():
                self._outlook.consider(name, entry.need)
        return self._outlook.startable

    def _taken(self, fingerprint: str, need: Need) -> Placement | None:
        """Room for a stage whose turn has come. Two sweeps may want it with different resources: the queue knows the first's."""
        if need == self._queue[fingerprint].need:
            return self._room.repeat(self._may_start()[fingerprint])
        return self._room.place(need)

    def _wish(self, sweep: str, owner: str, wanted: Mapping[str, Need]) -> None:
        self._keep_wishes(owner, wanted)
        for fingerprint, need in wanted.items():
            if fingerprint in self._running:
                continue
            if fingerprint not in self._queue:
                self._queue[fingerprint] = _Waiting(need)
                if self._outlook is not None:
                    self._outlook.consider(fingerprint, need)
            self._queue[fingerprint].owners[owner] = (sweep, self.now())

    def _keep_wishes(self, owner: str, wanted: Mapping[str, Need]) -> None:
        """Forget what an owner waited for and does not want any more."""
        for fingerprint in self._wishes.pop(owner, set()) - wanted.keys():
            if fingerprint in self._queue:
                self._queue[fingerprint].owners.pop(owner, None)
                if not self._queue[fingerprint].owners:
                    self._leave_queue(fingerprint)
        if wanted:
            self._wishes[owner] = set(wanted)

    def _leave_queue(self, fingerprint: str) -> None:
        del self._queue[fingerprint]
        self._outlook = None

    def _end(self, fingerprint: str) -> None:
        self._room.free_again(self._running.pop(fingerprint).placement)
        self._outlook = None

    def _occupied(self, need: Need) -> Placement:
        """Room for what runs already, whether or not there is any."""
        return self._room.place(need) or self._room.overfill(need)

    def _drop_the_dead(self, at_once: bool = False) -> None:
        """Forget leases that nobody renews and queue entries that nobody asks for any more."""
        if not at_once and self.now() - self._looked < _LOOK_SECONDS:
            return
        self._looked = self.now()
        limit = self.now() - LEASE_SECONDS
        for fingerprint in [name for name, lease in self._running.items() if lease.renewed <= limit]:
            self._end(fingerprint)
        for fingerprint, entry in list(self._queue.items()):
            entry.owners = {owner: wish for owner, wish in entry.owners.items() if wish[1] > limit}
            if not entry.owners:
                self._leave_queue(fingerprint)
        asking = {owner for entry in self._queue.values() for owner in entry.owners}
        self._wishes = {owner: names for owner, names in self._wishes.items() if owner in asking}
