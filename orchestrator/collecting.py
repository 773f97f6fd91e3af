"""What of a store may go, and why: in four kinds, from what is worth nothing to what would have to be computed again.

Nothing goes that an unfinished trial of a recorded sweep still needs, that a living sweep may read, or whose stage somebody is
computing; and never the scored result of a recorded sweep. Sweeps are recorded by what they write of themselves into the store
(:mod:`orchestrator.sweep_documents`): whoever deletes ``sweeps/<key>/`` there gives up that sweep's results. A search's document
does not count: it does not tell which results the search's table will need, so as long as there is a search that has not opened its
test split, nothing unrecorded goes.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path, PurePosixPath

from orchestrator.artifacts import ArtifactStore
from orchestrator.files import MARKER, StoredFile
from orchestrator.sweep_documents import PlanDocument, read_plans, read_statuses

_SILENT_SECONDS = 600.0  # a sweep or a lease without a sign of life for so long is dead
_FRESH_SECONDS = 60.0  # whoever has made a result still reads it, to tell MLflow
_DAY = 24 * 3600.0  # what nobody has written to for so long nobody is writing
_WEEK = 7 * _DAY  # a sweep that was stopped before a weekend still finds what it had begun
_ASIDE = re.compile(r"\.[0-9a-f]{32}$")  # a file before it is renamed into place


class Kind(StrEnum):
    """Why something may go; what comes first goes first.

    abandoned: Half written by a process that is dead.
    leftover: Checkpoints and parts of finished stages, or of stages that nobody went on with.
    unrecorded: Results that no recorded sweep needs.
    spent: Results that every recorded sweep is done with: whatever reads them is finished.
    """

    abandoned = "abandoned"
    leftover = "left over"
    unrecorded = "unrecorded"
    spent = "spent"


WORTHLESS = (Kind.abandoned, Kind.leftover)
"""What no command can use any more; the other kinds would have to be computed again if a new sweep asked for them."""


@dataclass(frozen=True)
class Item:
    """Something that may go.

    Attributes:
        kind: Which kind it is of.
        place: A folder or a file, relative to the store's root.
        size: Bytes.
        modified: When it was last written, in seconds since 1970.
        why: In words.
    """

    kind: Kind
    place: str
    size: int
    modified: float
    why: str


@dataclass(frozen=True)
class Survey:
    """A store as it is now.

    Attributes:
        size: Bytes of all its files.
        items: What may go, in the order in which it goes.
        soon: Bytes of what may go in a minute.
        notes: What else there is to know.
    """

    size: int
    items: tuple[Item, ...]
    soon: int = 0
    notes: tuple[str, ...] = ()

    def worthless(self) -> tuple[Item, ...]:
        """What is of no use to anybody."""
        return tuple(item for item in self.items if item.kind in WORTHLESS)

    def within(self, budget: int) -> tuple[Item, ...]:
        """The first items, as many as it takes to bring the store down to ``budget`` bytes; all if that is not enough."""
        chosen, size = [], self.size
        for item in self.items:
            if size <= budget:
                break
            chosen.append(item)
            size -= item.size
        return tuple(chosen)


@dataclass
class _Folder:
    """What was found of one result, or of one unfinished stage."""

    size: int = 0
    modified: float = 0.0
    done: float | None = None  # when its marker was written
    versions: dict[str, _Folder] = field(default_factory=dict)

    def add(self, file: StoredFile, modified: float) -> None:
        self.size += file.size
        self.modified = max(self.modified, modified)


@dataclass
class _Found:
    """The files of a store, put together."""

    now: float
    size: int = 0
    results: dict[str, _Folder] = field(default_factory=dict)  # by fingerprint
    unfinished: dict[str, _Folder] = field(default_factory=dict)
    temporary: dict[str, _Folder] = field(default_factory=dict)  # by place: being written, or Ray's own
    asides: list[Item] = field(default_factory=list)
    leased: set[str] = field(default_factory=set)
    searches: dict[str, bool] = field(default_factory=dict)  # whether its test split was opened, by key

    def add(self, file: StoredFile) -> None:
        """Take up one file."""
        self.size += file.size
        modified = self.now if file.modified is None else file.modified  # an age that is not known counts as none
        if _ASIDE.search(file.name) and not file.name.startswith(("partial/", "ray/", "results/")):
            self.asides.append(Item(Kind.abandoned, file.name, file.size, modified, "a file that was never finished"))
            return
        match file.name.split("/"):
            case ["results", name, tail, *rest]:
                folder = self.results.setdefault(f"{name}/{tail}", _Folder())
                folder.add(file, modified)
                if rest == [MARKER]:
                    folder.done = modified
                elif len(rest) > 1:
                    folder.versions.setdefault(rest[0], _Folder()).add(file, modified)
            case ["checkpoints", name, tail, *_]:
                self.unfinished.setdefault(f"{name}/{tail}", _Folder()).add(file, modified)
            case ["partial" | "ray" as kind, name, *_]:
                self.temporary.setdefault(f"{kind}/{name}", _Folder()).add(file, modified)
            case ["leases", name, tail] if self.now - modified < _SILENT_SECONDS:
                self.leased.add(f"{name}/{PurePosixPath(tail).stem}")
            case ["searches", key, name]:
                self.searches[key] = self.searches.get(key, False) or name == "test-opened.json"


@dataclass
class _Needs:
    """What recorded sweeps have to do with a store's stages."""

    recorded: set[str] = field(default_factory=set)
    scored: set[str] = field(default_factory=set)
    needed: set[str] = field(default_factory=set)  # by an unfinished trial
    living: set[str] = field(default_factory=set)  # of a living sweep


def survey(store: ArtifactStore, own: str | None = None, now: float | None = None) -> Survey:
    """See what of a store may go. Changes nothing.

    Args:
        store: Looked at.
        own: Key of the sweep that asks, if one does: what it needs is known, so it does not keep all that is in its plan.
        now: Time of asking, in seconds since 1970.

    Raises:
        UserError: Documents of sweeps cannot be read, so it is not known what they need.
        OSError: The store cannot be read.
    """
    now = time.time() if now is None else now
    # Before the files: what a sweep that begins meanwhile makes is too young to go.
    plans, statuses = {key: plan for key, plan in read_plans(store).items() if not plan.points}, read_statuses(store)
    living = {
        key for key, status in statuses.items() if status.state == "running" and now - status.seen.timestamp() < _SILENT_SECONDS
    }
    found = _Found(now)
    for file in store.files():
        found.add(file)
    _look_at_folders(store, found)
    needs = _needs(plans.values(), {name for name, folder in found.results.items() if folder.done is not None}, living - {own})
    needs.living |= found.leased
    searches = sorted(key for key, opened in found.searches.items() if not opened)
    items = [
        *_abandoned(store, found, bool(living)),
        *_left_over(found, needs, bool(searches)),
        *_results(found, needs, bool(searches)),
    ]
    fresh = {item for item in items if item.kind is Kind.spent and now - item.modified < _FRESH_SECONDS}
    order = list(Kind)
    going = sorted(set(items) - fresh, key=lambda item: (order.index(item.kind), item.modified, item.place))
    notes = [
        f"search {key} has not opened its test split, and it is written nowhere which results it needs: nothing unrecorded goes. "
        f"To give it up, delete searches/{key}/ in the store"
        for key in searches
    ]
    return Survey(found.size, tuple(going), sum(item.size for item in fresh), tuple(notes))


def remove(store: ArtifactStore, items: Iterable[Item]) -> int:
    """Remove the items; returns the bytes that they took. Whoever reads one at this moment keeps the files it has open.

    Raises:
        StoreRefused: The store does not let go of one.
    """
    freed = 0
    for item in items:
        store.discard(item.place)
        freed += item.size
    return freed


def _look_at_folders(store: ArtifactStore, found: _Found) -> None:
    """A living stage touches its own folder in ``partial``; and one without a file in it is none to the files."""
    if store.is_local:
        for path in (path for kind in ("partial", "ray") for path in (Path(store.root) / kind).glob("*")):
            folder = found.temporary.setdefault(path.relative_to(store.root).as_posix(), _Folder())
            try:
                folder.modified = max(folder.modified, path.stat().st_mtime)
            except FileNotFoundError:
                del found.temporary[path.relative_to(store.root).as_posix()]


def _needs(plans: Iterable[PlanDocument], done: set[str], living: set[str]) -> _Needs:
    needs = _Needs()
    for plan in plans:
        needs.recorded |= plan.stages.keys()
        needs.scored |= {trial.fingerprint for trial in plan.trials}
        if plan.key in living:
            needs.living |= plan.stages.keys()
        for target in {trial.fingerprint for trial in plan.trials} - done:
            for name in plan.walk(target, done):
                needs.needed |= {name, *plan.stages[name].upstream}
    return needs


def _abandoned(store: ArtifactStore, found: _Found, sweep_lives: bool) -> list[Item]:
    items = list(found.asides)
    for place, folder in found.temporary.items():
        if not (sweep_lives and place.startswith("ray/")):
            items.append(Item(Kind.abandoned, place, folder.size, folder.modified, "a process that is dead was writing it"))
    for name, folder in found.results.items():
        place = f"results/{name}"
        if folder.done is None:
            items.append(Item(Kind.abandoned, place, folder.size, folder.modified, "a result that was never finished"))
        elif not store.is_local and len(folder.versions) > 1:
            counts = (store.read_document(f"{place}/{MARKER}") or b"").decode()
            for version, copy in folder.versions.items():
                if version != counts:
                    why = "a second copy of a result, that of whoever came too late"
                    items.append(Item(Kind.abandoned, f"{place}/{version}", copy.size, copy.modified, why))
    return [item for item in items if found.now - item.modified > _DAY]


def _left_over(found: _Found, needs: _Needs, searching: bool) -> list[Item]:
    items = []
    for name, folder in found.unfinished.items():
        days = (found.now - folder.modified) / _DAY
        if name in found.results and found.results[name].done is not None:
            why = "its stage is finished"
        elif name in needs.needed or name in needs.living:
            continue
        elif name in needs.recorded:
            why = "no unfinished trial needs its stage"
        elif found.now - folder.modified > _WEEK and not searching:
            why = f"no recorded sweep needs its stage, and nobody has gone on with it for {days:.0f} days"
        else:
            continue
        items.append(Item(Kind.leftover, f"checkpoints/{name}", folder.size, folder.modified, why))
    return items


def _results(found: _Found, needs: _Needs, searching: bool) -> list[Item]:
    items = []
    for name, folder in found.results.items():
        if folder.done is None or name in needs.needed | needs.scored | needs.living:
            continue
        if name in needs.recorded:
            kind, why = Kind.spent, "whatever reads it is finished"
        elif found.now - folder.modified > _DAY and not searching:
            kind, why = Kind.unrecorded, "no recorded sweep needs it"
        else:
            continue
        items.append(Item(kind, f"results/{name}", folder.size, folder.done, why))
    return items
