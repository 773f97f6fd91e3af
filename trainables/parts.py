"""How work on audio is divided into parts: by what the corpus holds alone, never by how many workers there are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import pandas as pd

    from trainables.corpora.corpus import CorpusSource

T = TypeVar("T")

Turn = tuple[str, float, float | None]
"""Recording, start and end in s; None for the recording's end. JSON-able, unlike a manifest's row with its NaN."""

PART_SECONDS, PART_UNITS = 3600.0, 512
"""A part ends after so much audio or so many units (short ones are padded, so they cost more than they last). That is about a
second of computing: less is not worth a task's way through a cluster, more would leave workers of a large one idle."""

_BYTES_PER_SECOND = 32000  # of 16 bits at 16 kHz


def turns_of(rows: pd.DataFrame) -> list[Turn]:
    """The manifest's rows as turns, in their order."""
    spans = zip(rows["recording"], rows["start"].tolist(), rows["end"].tolist(), strict=True)
    return [(recording, start, None if end != end else end) for recording, start, end in spans]


def in_parts(units: Iterable[T], turns: Callable[[T], Iterable[Turn]], corpus: CorpusSource) -> Iterator[list[T]]:
    """The units one after the other in parts.

    Args:
        units: Sessions or utterances.
        turns: From a unit to the turns that are read of it.
        corpus: Where its recordings are.
    """
    part: list[T] = []
    seconds = 0.0
    for unit in units:
        part.append(unit)
        seconds += sum(_about_seconds(turn, corpus) for turn in turns(unit))
        if seconds >= PART_SECONDS or len(part) == PART_UNITS:
            yield part
            part, seconds = [], 0.0
    if part:
        yield part


def _about_seconds(turn: Turn, corpus: CorpusSource) -> float:
    """How long a turn is; guessed from its file's size if it lasts until the end, because opening all files would take minutes."""
    recording, start, end = turn
    if end is not None:
        return end - start
    try:
        return corpus.audio_path(recording).stat().st_size / _BYTES_PER_SECOND
    except OSError:
        return 0.0  # told when it is read
