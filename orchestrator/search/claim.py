"""Who runs a search: a lease beside its history that is renewed while it runs, so that the history has one writer.

A search is as wide as its store: two machines with one bucket know nothing else of each other, and neither a lock on a local file
nor a name on a cluster would be seen by both (:mod:`orchestrator.execution.store_lease`). Because a machine may also fall asleep
and lose its claim without noticing, it is read once more before anything is written under it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from orchestrator.artifacts import ArtifactStore
from orchestrator.execution.store_lease import GONE_SECONDS, Holder, Lease
from trainables.errors import UserError

_SETTLE_SECONDS = 1.0


class Claim:
    """This process' claim to a search; see :func:`claimed`."""

    def __init__(self, store: ArtifactStore, key: str, search: str) -> None:
        self._search = search
        self.lease = Lease(store, f"searches/{key}/claim.json", settle=_SETTLE_SECONDS)

    def is_ours(self) -> bool:
        """Whether nobody has taken the search over."""
        return self.lease.is_ours()

    def confirm(self) -> None:
        """Make sure that the search was not taken over.

        Raises:
            UserError: It was, by whom.
        """
        if not self.is_ours():
            holder = self.lease.holder()
            by = f"by process {holder.pid} on {holder.host}" if holder else "and ended by another process"
            raise UserError(
                f"search {self._search!r} was taken over {by}, because this process gave no sign of life for {GONE_SECONDS:.0f} s "
                f"(was the machine asleep?); it has written nothing since. --dry-run shows where the search stands"
            )

    def take(self) -> None:
        """Become the only writer.

        Raises:
            UserError: Another process is.
        """
        if not self.lease.take():
            self._refuse(self.lease.holder())
            raise UserError(f"search {self._search!r} was begun by two processes at once, and the other has ended; try again")

    def _refuse(self, holder: Holder | None) -> None:
        if holder is not None and holder.lives:
            raise UserError(
                f"search {self._search!r} is being run by process {holder.pid} on {holder.host}; its last sign of life was "
                f"{holder.silent_seconds:.0f} s ago. Wait for it, or stop it there; if that machine has died, the same "
                f"command goes on {GONE_SECONDS:.0f} s after its last sign of life"
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
    claim = Claim(store, key, search)
    claim.take()
    with claim.lease.held():
        yield claim
