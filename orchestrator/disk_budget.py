"""``--disk-budget``: how large the store may become by a sweep. Checked before it; and while it runs, what is spent goes.

The rules are those of :mod:`orchestrator.collecting`. If they do not make enough room, nothing new starts: what runs saves a
checkpoint, the sweep ends in good order, says why, and the same command goes on when there is room.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from orchestrator.artifacts import ArtifactStore
from orchestrator.beside import beside
from orchestrator.collecting import Item, Kind, Survey, remove, survey
from orchestrator.sizes import parse_size, sizes
from trainables.errors import UserError

OPTION = "--disk-budget"
_WATCH_SECONDS = 0.1
_LOOK_SECONDS = 15.0
_LOOK_SHARE = 0.05  # of the time goes into looking at most: a store of a million files takes minutes to look through


def store_faults(root: str | Path, budget: str | None) -> list[str]:
    """What is wrong with a store, or with the budget that it was given, before anything runs.

    Args:
        root: Of the store.
        budget: As it was given; None if it was not.
    """
    try:
        store = ArtifactStore(root)
        if fault := store.fault():
            return [fault]
        if budget is None:
            return []
        limit, found = parse_size(OPTION, budget), survey(store)
    except UserError as error:
        return list(error.messages)
    except OSError as error:
        return [f"{OPTION} {budget}: the store {root} cannot be looked through: {error}"]
    fault = _too_large(found, limit, store.uri)
    return [fault] if fault else []


class DiskBudget:
    """Keeps a store within a size while a sweep runs.

    Args:
        store: To be kept.
        limit: In bytes; None: any size.
        key: Of the sweep.
        say: Tells the user.

    Attributes:
        problem: Why nothing new may start; None while all is well.
    """

    def __init__(self, store: ArtifactStore, limit: int | None, key: str, say: Callable[[str], None]) -> None:
        self.problem: str | None = None
        self._store, self._limit, self._key, self._say = store, limit, key, say
        self._next = 0.0  # when to look again

    @classmethod
    def of(cls, text: str | None, store: ArtifactStore, key: str, say: Callable[[str], None]) -> DiskBudget:
        """The budget as it was given. Raises UserError if it is no size."""
        return cls(store, None if text is None else parse_size(OPTION, text), key, say)

    def is_kept(self) -> bool:
        """Whether something new may start. Looks at the store now and then, and removes what is spent if it is too large.

        A store that cannot be looked at for a moment is taken to be as it was.
        """
        if self._limit is not None and time.monotonic() >= self._next:
            begun = time.monotonic()
            with contextlib.suppress(OSError, UserError):
                self._make_room(self._limit)
            ended = time.monotonic()
            self._next = ended + max(_LOOK_SECONDS, (ended - begun) / _LOOK_SHARE)
        return self.problem is None

    @contextlib.contextmanager
    def watched(self, stop: Callable[[], None]) -> Iterator[None]:
        """Look from a thread of its own while the block runs; ``stop`` is called once if there is no room left."""

        def watch() -> None:
            if self.problem is None and not self.is_kept():
                stop()

        with contextlib.nullcontext() if self._limit is None else beside(watch, _WATCH_SECONDS):
            yield

    def _make_room(self, limit: int) -> None:
        found = survey(self._store, own=self._key)
        going = found.within(limit)
        if going:
            remove(self._store, going)
            freed = sum(item.size for item in going)
            self._say(f"{OPTION}: the store had grown to {sizes(found.size)}; removed {_by_kind(going)}, {sizes(freed)}")
        self.problem = _too_large(found, limit, self._store.uri)
        if self.problem:
            self._say(f"{self.problem}. Nothing new starts; the same command goes on from here when there is room")


def _too_large(found: Survey, limit: int, uri: str) -> str | None:
    """That a store is too large even when all has gone that may go."""
    freed = sum(item.size for item in found.items)
    if found.size - freed - found.soon <= limit:
        return None
    could = f"`python -m orchestrator.gc` could free {sizes(freed)} of them ({_by_kind(found.items)})" if found.items else ""
    return (
        f"{OPTION} {sizes(limit)}: the store {uri} holds {sizes(found.size)}; {could or 'nothing of them may go'}, which leaves "
        f"{sizes(found.size - freed)} that sweeps have scored or still need; raise the budget, use another --store, or give up a "
        f"sweep by deleting its folder in {ArtifactStore(uri).inside('sweeps')}"
    )


def _by_kind(items: Iterable[Item]) -> str:
    """``3 abandoned: 1.0 GiB, 12 spent: 4.2 GiB``."""
    of = {kind: [item.size for item in items if item.kind is kind] for kind in Kind}
    return ", ".join(f"{len(found)} {kind}: {sizes(sum(found))}" for kind, found in of.items() if found)
