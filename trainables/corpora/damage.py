"""Recordings that are missing or damaged and segments without sound: found, and then told as faults or left out.

What is left out travels by name with the corpus (:class:`trainables.corpora.corpus.CorpusSource`), so that every worker has the
same rows whatever lies on its own disk.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from trainables.corpora.audio import END_TOLERANCE, SHORTEST
from trainables.corpora.reading import Report, counted, listing, shown

if TYPE_CHECKING:
    import pandas as pd

    from trainables.corpora.inventory import AudioFile

_WAY_OUT = "or leave them out with `skip_damaged = true` in corpora.toml"


class Damage(NamedTuple):
    """What is wrong with a corpus' sound.

    Attributes:
        missing: Recordings that are not there.
        unreadable: Recordings that are there but cannot be read, and why.
        late: Segments that begin after their recording ends, or end more than ``END_TOLERANCE`` after it.
        empty: Segments with less than ``SHORTEST`` of sound: that end where they start, or before, or start where their recording
            ends.
        rows: Number of segments of each recording that is missing or unreadable.
    """

    missing: list[str]
    unreadable: dict[str, str]
    late: list[str]
    empty: list[str]
    rows: dict[str, int]


class LeftOut(NamedTuple):
    """Names of what a corpus is read without."""

    recordings: tuple[str, ...] = ()
    segments: tuple[str, ...] = ()


def find_damage(table: pd.DataFrame, files: Mapping[str, AudioFile]) -> Damage:
    """Compare a manifest with its recordings.

    Args:
        table: The manifest.
        files: What is known of each recording.
    """
    import numpy as np

    seconds = table["recording"].map({name: file.seconds for name, file in files.items() if file.readable}).astype("float64")
    late = (table["start"] >= seconds) | (table["end"] > seconds + END_TOLERANCE)
    empty = ~late & (np.fmin(table["end"], seconds) - table["start"] < SHORTEST)  # fmin: NaN is the end of the recording
    broken = {name for name, file in files.items() if not file.readable}
    return Damage(
        missing=[name for name, file in files.items() if file.missing],
        unreadable={name: file.fault for name, file in files.items() if file.fault},
        late=table.loc[late, "segment"].tolist(),
        empty=table.loc[empty, "segment"].tolist(),
        rows=table.loc[table["recording"].isin(broken), "recording"].value_counts().to_dict() if broken else {},
    )


def judge_damage(damage: Damage, known_missing: Collection[str], skip: bool, report: Report) -> LeftOut:
    """Say of every damage whether it is a fault or left out; both go to the report.

    Args:
        damage: What was found.
        known_missing: Recordings that are listed but were never shipped: left out in any case.
        skip: Whether the user leaves out all that is damaged (``skip_damaged``).
        report: Receives faults and skips.
    """
    never = [name for name in damage.missing if name in known_missing]
    missing = [name for name in damage.missing if name not in known_missing]
    _skip(damage, "recordings that are listed but were never shipped", never, never, report)
    if not skip:
        _tell(damage, missing, report)
        return LeftOut(tuple(never))
    unreadable = damage.unreadable
    _skip(damage, "recordings that are missing (skip_damaged = true)", missing, missing, report)
    _skip(damage, "recordings that cannot be read (skip_damaged = true)", unreadable, unreadable.values(), report)
    report.skip("segments that end after their recording does (skip_damaged = true)", damage.late)
    report.skip(f"segments with less than {SHORTEST:g} s of sound (skip_damaged = true)", damage.empty)
    return LeftOut((*never, *missing, *unreadable), (*damage.late, *damage.empty))


def without(table: pd.DataFrame, left_out: LeftOut) -> pd.DataFrame:
    """The manifest without the rows of what is left out, in the same order."""
    if left_out == LeftOut():
        return table
    dropped = table["segment"].isin(set(left_out.segments)) | table["recording"].isin(set(left_out.recordings))
    return table[~dropped].reset_index(drop=True)


def _skip(damage: Damage, reason: str, recordings: Iterable[str], names: Iterable[str], report: Report) -> None:
    rows = sum(damage.rows.get(name, 0) for name in recordings)
    report.skip(f"{reason}, with {counted(rows, 'segment')}", names)


def _tell(damage: Damage, missing: list[str], report: Report) -> None:
    if missing:
        are = "is" if len(missing) == 1 else "are"
        report.add(
            f"{counted(len(missing), 'audio file')} {are} missing: {listing(missing)}; copy what is missing, delete its rows, "
            f"{_WAY_OUT}"
        )
    faults = list(damage.unreadable.values())
    for fault in faults[: shown()]:
        report.add(fault)
    if len(faults) > len(faults[: shown()]):
        report.add(f"{counted(len(faults) - len(faults[: shown()]), 'more audio file')} cannot be read")
    if damage.late:
        report.add(f"segments end after their recording does: {listing(damage.late)}; mend their times, {_WAY_OUT}")
    if damage.empty:
        report.add(
            f"end is not after start, or less than {SHORTEST:g} s of sound: segments {listing(damage.empty)}; mend or delete them, "
            f"{_WAY_OUT}"
        )
