"""What the layouts share: going through a twin's recordings, cutting their sound, and giving out the layout's names."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from trainables.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

    from trainables.corpora.corpus import CorpusSource
    from trainables.corpora.reading import Progress

GROUPS = {0: "healthy", 1: "depressed"}
"""What manifests call the two diagnoses."""


def recordings(twin: CorpusSource, table: pd.DataFrame, progress: Progress | None) -> Iterator[tuple[str, Path, pd.DataFrame]]:
    """Every recording's name in the manifest, its file and its segments in time; progress is told when the next is asked for."""
    groups = table.groupby("recording", sort=True)
    for done, (name, rows) in enumerate(groups, 1):
        yield str(name), twin.audio_path(str(name)), rows.sort_values(["start", "segment"])
        if progress:
            progress(done, len(groups))


def write_sound(source: Path, target: Path, start: float = 0.0, end: float | None = None) -> None:
    """Write a recording, or a span of it in s, sample for sample; the name's suffix says whether as WAV or FLAC."""
    import soundfile

    rate = soundfile.info(source).samplerate
    samples, rate = soundfile.read(
        source, start=round(start * rate), stop=None if end is None else round(end * rate), dtype="int16"
    )
    target.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(target, samples, rate, subtype="PCM_16")


def write_cells(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a table with commas and a header, UTF-8; cells are quoted where they have to be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def write_lines(path: Path, lines: Iterable[str]) -> None:
    """Write a text, UTF-8, with a line feed after every line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", newline="\n")


def renamed(values: Iterable[str], names: Sequence[str], what: str) -> dict[str, str]:
    """The layout's name of every distinct value, in sorted order.

    Args:
        values: The twin's names.
        names: The layout's, as many as it has.
        what: What is named, in the plural, for the message.

    Raises:
        UserError: There are more values than names.
    """
    distinct = sorted(set(values))
    if len(distinct) > len(names):
        raise UserError(f"this layout has names for {len(names)} {what}, the twin has {len(distinct)}; ask for a smaller twin")
    return dict(zip(distinct, names, strict=False))
