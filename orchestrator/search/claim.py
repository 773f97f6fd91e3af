"""Who runs a search: a document beside its history that is renewed while it runs, so that the history has one writer.

A search is as wide as its store: two machines with one bucket know nothing else of each other, and neither a lock on a local file
nor a name on a cluster would be seen by both. An object store has no lock either, so a claim is written, left to settle, and read
again: of two that claim at once, the last to write has it. Because a machine may also fall asleep and lose its claim without
noticing, it is read once more before anything is written under it. The clocks of the machines are taken to agree to within seconds.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime

from orchestrator.artifacts import ArtifactStore
from search_spaces.table import Record
from trainables.errors import UserError

_RENEW_SECONDS = 10.0
_GONE_SECONDS = 60.0  # without a sign of life for so long, whoever had the claim is dead
_SETTLE_SECONDS = 1.0


class Holder(Record):
    """The process that runs a search.

    Attributes:
        id: Drawn by it: a process id is used again.
        host: The name of its machine.
        pid: Its process id there.
        time: Its last sign of life, in UTC.
    """

    id: str
    host: str
    pid: int
    time: datetime

    @property
    def silent_seconds(self) -> float:
        """Since its last sign of life."""
        return (datetime.now(UTC) - self.time).total_seconds()

    @property
    def lives(self) -> bool:
        """Whether it may still be writing. One that was killed on this very machine is known to be dead at once."""
        return self.silent_seconds < _GONE_SECONDS and (self.host != socket.gethostname() or _runs(self.pid))


class Claim:
    """This process' claim to a search; see :func:`claimed`."""

    def __init__(self, store: ArtifactStore, key: str, search: str) -> None:
        self._store, self._search = store, search
        self._document = f"searches/{key}/claim.json"
        self._id = uuid.uuid4().hex

    def holder(self) -> Holder | None:
        """Whose document is there, if any."""
        content = self._store.read_document(self._document)
        return None if content is None else Holder.model_validate_json(content)

    def is_ours(self) -> bool:
        """Whether nobody has taken the search over."""
        holder = self.holder()
        return holder is not None and holder.id == self._id

    def confirm(self) -> None:
        """Make sure that the search was not taken over.

        Raises:
            UserError: It was, by whom.
        """
        if not self.is_ours():
            holder = self.holder()
            by = f"by process {holder.pid} on {holder.host}" if holder else "and ended by another process"
            raise UserError(
                f"search {self._search!r} was taken over {by}, because this process gave no sign of life for {_GONE_SECONDS:.0f} s "
                f"(was the machine asleep?); it has written nothing since. --dry-run shows where the search stands"
            )

    def take(self) -> None:
        """Become the only writer.

        Raises:
            UserError: Another process is.
        """
        self._refuse(self.holder())
        self.renew()
        time.sleep(_SETTLE_SECONDS)
        if not self.is_ours():
            self._refuse(self.holder())
            raise UserError(f"search {self._search!r} was begun by two processes at once, and the other has ended; try again")

    def renew(self) -> None:
        """Give a sign of life."""
        mine = Holder(id=self._id, host=socket.gethostname(), pid=os.getpid(), time=datetime.now(UTC))
        self._store.write_document(self._document, mine.model_dump_json(indent=1))

    def release(self) -> None:
        """Leave the search to others."""
        if self.is_ours():
            self._store.delete_document(self._document)

    def _refuse(self, holder: Holder | None) -> None:
        if holder is not None and holder.lives:
            raise UserError(
                f"search {self._search!r} is being run by process {holder.pid} on {holder.host}; its last sign of life was "
                f"{max(holder.silent_seconds, 0.0):.0f} s ago. Wait for it, or stop it there; if that machine has died, the same "
                f"command goes on {_GONE_SECONDS:.0f} s after its last sign of life"
            )


@contextlib.contextmanager
def claimed(store: ArtifactStore, key: str, search: str) -> Iterator[Claim]:
    """Be the only process that writes the history of a search while the block runs.

    Args:
        store: Holds the history.
        key: The search's key.
        search: Its name, for messages.

    Raises:
        UserError: Another process runs the search.
    """
    claim, ended = Claim(store, key, search), threading.Event()

    def stay_alive() -> None:
        while not ended.wait(_RENEW_SECONDS):
            with contextlib.suppress(OSError):  # the store may be away for a moment
                if claim.is_ours():
                    claim.renew()

    claim.take()
    thread = threading.Thread(target=stay_alive, daemon=True)
    thread.start()
    try:
        yield claim
    finally:
        ended.set()
        thread.join()
        claim.release()


def _runs(pid: int) -> bool:
    """Whether a process of this machine runs."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # somebody else's
    return True
