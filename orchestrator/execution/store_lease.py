"""Leases in the store: who computes a stage, or runs a search, as far as the store is seen.

Within a cluster the ledger decides who computes what. Two clusters, or two machines without any, know nothing of each other but the
store they share: the process that computes a stage keeps ``leases/<fingerprint>.json`` there, with who it is, and renews it. Others
wait for it, and take it over when it has been silent for long, or at once when it was a process of this very host that is dead.

A local file system makes a file for one of several alone. An object store does not, and neither replaces a file only if it is still
what was read: there a lease is written, left to settle and read again; of two that write at once, the last has it. What slips
through is found at the next renewal: whoever finds another's name in its lease saves a checkpoint, stops, and waits like any other.
So a stage is rarely computed twice, and if it is, the store takes the first result that is whole. The clocks of the machines are
taken to agree to within seconds.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError

from orchestrator.artifacts import ArtifactStore
from orchestrator.beside import beside
from orchestrator.execution.ledger import LEASE_SECONDS
from orchestrator.processes import process_runs, process_space
from search_spaces.table import Record

RENEW_SECONDS = 10.0
GONE_SECONDS = 60.0
"""Without a sign of life for so long, a holder is dead."""
_STAGE_SETTLE_SECONDS = 0.2  # a stage that two compute after all is told so when they renew


class Holder(Record):
    """The process that has a lease.

    Attributes:
        id: Drawn by it: a process id is used again.
        host: The name of its machine.
        space: What its process id is counted in (:func:`~orchestrator.processes.process_space`).
        pid: Its process id there.
        cluster: Name of its Ray cluster; empty without one.
        time: Its last sign of life, in UTC.
    """

    id: str
    host: str
    space: str = ""
    pid: int
    cluster: str = ""
    time: datetime

    @property
    def silent_seconds(self) -> float:
        """Since its last sign of life."""
        return max((datetime.now(UTC) - self.time).total_seconds(), 0.0)

    @property
    def lives(self) -> bool:
        """Whether it may still be at work. One that was killed on this very machine is known to be dead at once."""
        dead = self.space == process_space() and not process_runs(self.pid)
        return self.silent_seconds < GONE_SECONDS and not dead

    def keeps_out(self, cluster: str) -> bool:
        """Whether a process of ``cluster`` must leave the work to this holder.

        Within one cluster the ledger gives a stage to another only when its owner has been silent for the ledger's own, shorter
        time; or when the ledger itself was restarted and has not heard of the owner yet, who is then not silent here.
        """
        near = bool(cluster) and cluster == self.cluster
        return self.lives and not (near and self.silent_seconds >= LEASE_SECONDS)


class Lease:
    """This process' lease, as far as it has it.

    Args:
        store: Holds the document.
        document: Its name in the store.
        cluster: Name of this process' Ray cluster; empty without one.
        settle: Seconds to wait before a lease is read again that another may have written at the same moment.

    Attributes:
        id: Of this lease.
    """

    def __init__(self, store: ArtifactStore, document: str, cluster: str = "", settle: float = 0.0) -> None:
        self.id = uuid.uuid4().hex
        self._store, self._document, self._cluster, self._settle = store, document, cluster, settle

    def holder(self) -> Holder | None:
        """Who has it, if anybody."""
        return _holder(self._store, self._document)

    def is_ours(self) -> bool:
        """Whether it is there and this process' own."""
        holder = self.holder()
        return holder is not None and holder.id == self.id

    def take(self) -> bool:
        """Become the holder, unless another lives; whether it is ours now."""
        if self._store.is_local and self._make():
            return True
        holder = self.holder()  # on NFS in its newest version, because something was made in its folder
        if holder is not None and holder.keeps_out(self._cluster):
            return holder.id == self.id
        self.renew()
        time.sleep(self._settle)
        return self.is_ours()

    def renew(self) -> None:
        """Give a sign of life."""
        self._store.write_document(self._document, self._content())

    def release(self) -> None:
        """Leave the work to others."""
        if self.is_ours():
            self._store.delete_document(self._document)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Renew it from a thread while the block runs, as long as it is ours, and release it at the end, however that comes."""

        def stay_alive() -> None:
            with contextlib.suppress(OSError):  # the store may be away for a moment
                if self.is_ours():
                    self.renew()

        try:
            with beside(stay_alive, RENEW_SECONDS):
                yield
        finally:
            with contextlib.suppress(OSError):  # a lease that stays behind is a dead process' soon
                self.release()

    def _make(self) -> bool:
        """Make the document if there is none; whether it was made. A file system without links makes none."""
        target = Path(self._store.root) / self._document
        aside = target.with_name(f"{target.name}.{self.id}")
        target.parent.mkdir(parents=True, exist_ok=True)
        aside.write_text(self._content())
        try:
            os.link(aside, target)  # as a whole, and for one of several alone, on NFS too
        except OSError:
            return False
        finally:
            aside.unlink()
        return True

    def _content(self) -> str:
        return Holder(
            id=self.id,
            host=socket.gethostname(),
            space=process_space(),
            pid=os.getpid(),
            cluster=self._cluster,
            time=datetime.now(UTC),
        ).model_dump_json(indent=1)


def stage_document(fingerprint: str) -> str:
    """Name of the document of a stage's lease."""
    return f"leases/{fingerprint}.json"


def stage_lease(store: ArtifactStore, fingerprint: str, cluster: str = "") -> Lease:
    """A lease of this process on a stage, not taken yet."""
    return Lease(store, stage_document(fingerprint), cluster, _STAGE_SETTLE_SECONDS)


def stage_holder(store: ArtifactStore, fingerprint: str, cluster: str = "") -> Holder | None:
    """Who computes a stage so that a process of ``cluster`` must wait for it, if anybody."""
    holder = _holder(store, stage_document(fingerprint))
    return holder if holder is not None and holder.keeps_out(cluster) else None


def lease_sentence(store: ArtifactStore, fingerprint: str) -> str | None:
    """Who computes a stage, for people who wonder why it waits; None if nobody's lease is there that lives."""
    holder = stage_holder(store, fingerprint)
    if holder is None:
        return None
    cluster = f" of the cluster {holder.cluster}" if holder.cluster else ""
    return (
        f"computed by process {holder.pid} on {holder.host}{cluster}, whose last sign of life was {holder.silent_seconds:.0f} s "
        f"ago; taken over {GONE_SECONDS:.0f} s after its last"
    )


class LeaseWatch:
    """Looks now and then, from within a running stage, whether its lease was taken over.

    Args:
        store: Holds the lease.
        fingerprint: Of the stage.
        lease: Id of the lease that it is computed under; empty: none, which nobody takes over.
        clock: In seconds.
    """

    def __init__(self, store: ArtifactStore, fingerprint: str, lease: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._store, self._document, self._lease, self._clock = store, stage_document(fingerprint), lease, clock
        self._looked = clock()
        self._lost = False

    def lost(self) -> bool:
        """Whether it was taken over, as of the last look."""
        if self._lease and not self._lost and self._clock() - self._looked >= RENEW_SECONDS:
            self._looked = self._clock()
            with contextlib.suppress(OSError):  # the store may be away for a moment
                holder = _holder(self._store, self._document)
                self._lost = holder is not None and holder.id != self._lease
        return self._lost


def _holder(store: ArtifactStore, document: str) -> Holder | None:
    content = store.read_document(document)
    try:
        return None if content is None else Holder.model_validate_json(content)
    except ValidationError:  # written by another version of the program, or damaged: nobody renews it as it is
        return Holder(id="", host="", pid=0, time=datetime.fromtimestamp(0, UTC))
