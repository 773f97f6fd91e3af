"""What every reader of a corpus tells besides its manifest: what it skips and why, the corpus' known facts, and its licence."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple

from trainables.errors import Faults

Progress = Callable[[int, int], None]
"""Called with the number of recordings that were made or looked at, and their total."""

_SHOWN: ContextVar[int | None] = ContextVar("_SHOWN", default=10)


@contextmanager
def every_name_shown() -> Iterator[None]:
    """Within it messages name everything that they are about: for who mends a corpus, not for who starts a sweep.

    A setting of the moment and not an argument, because messages are made by every reader and every check, far from the command
    that knows who reads them.
    """
    token = _SHOWN.set(None)
    try:
        yield
    finally:
        _SHOWN.reset(token)


def shown() -> int | None:
    """How many names a message has at most; None if all."""
    return _SHOWN.get()


def counted(count: int, noun: str) -> str:
    """'1 row', '2 rows'."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def listing(values: Iterable[Any]) -> str:
    """The first ten distinct values and how many more there are, for a message; all of them in :func:`every_name_shown`."""
    distinct = list(dict.fromkeys(str(value) for value in values))
    first = distinct[: shown()]
    more = f" and {len(distinct) - len(first)} more" if len(distinct) > len(first) else ""
    return ", ".join(repr(value) for value in first) + more


class Report(Faults):
    """Faults of a corpus, and what its user should know of its manifest without being one.

    A fault would make results wrong and stops the command. A skip is what the corpus' own documentation says to leave out, or what
    the user has allowed to be left out; it is shown and counted, never silent. A note is what was read otherwise than it is
    written, or not looked at, while every row that it names stays.

    Attributes:
        skipped: The reason in words to the names (files, segments, sessions) that were left out for it.
        noted: What there is to know, in words, to the names that it is said of.
    """

    def __init__(self, where: str) -> None:
        super().__init__(where)
        self.skipped: dict[str, list[str]] = {}
        self.noted: dict[str, list[str]] = {}

    def skip(self, reason: str, names: Iterable[str]) -> None:
        """Remember what was left out, and why ('turns without audio or label (_XX)'); nothing if there are no names."""
        if names := list(names):
            self.skipped.setdefault(reason, []).extend(names)

    def note(self, reason: str, names: Iterable[str]) -> None:
        """Remember what is to be known of things that stay ('turns without a transcript'); nothing if there are no names."""
        if names := list(names):
            self.noted.setdefault(reason, []).extend(names)


def describe_skips(report: Report) -> list[str]:
    """One line per reason: how many were left out, why, and their names."""
    return [f"{len(names)} left out: {reason}: {listing(names)}" for reason, names in report.skipped.items()]


def describe_notes(report: Report) -> list[str]:
    """One line per note: of how many it is said, what, and their names."""
    return [f"{len(names)} {reason}: {listing(names)}" for reason, names in report.noted.items()]


class Fact(NamedTuple):
    """Something that is known of a whole corpus, beside what was found.

    Attributes:
        name: What is counted: 'speakers', 'turns labelled ang', 'hours'.
        expected: As the source says it.
        found: In the manifest that was read.
        tolerance: Difference that is no deviation (hours are given rounded, releases differ by a few files).
    """

    name: str
    expected: float
    found: float
    tolerance: float = 0.0

    @property
    def holds(self) -> bool:
        """Whether what was found is what was expected."""
        return abs(self.found - self.expected) <= self.tolerance


class About(NamedTuple):
    """What a user must know of a corpus before there is anything on disk.

    Attributes:
        title: Its name in full, with its languages and what was recorded.
        licence: In a sentence.
        apply_at: Where to ask for it (an address or a sentence).
        layout: What its root holds, in a sentence.
        source: The publication that describes it.
    """

    title: str
    licence: str
    apply_at: str
    layout: str
    source: str
