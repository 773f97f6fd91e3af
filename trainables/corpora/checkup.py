"""A corpus looked at before it is used: what was found beside what is known of it, every fault, and what will be left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from trainables.corpora.columns import closest
from trainables.corpora.corpus import READERS, CorpusSource, reader_module
from trainables.corpora.examination import Examined, examine
from trainables.corpora.inventory import AudioFile, read_inventory
from trainables.corpora.manifest import SPLITS
from trainables.corpora.reading import Fact, Progress, Report, every_name_shown, listing
from trainables.corpora.registry import configure, read_settings
from trainables.corpora.roles import ROLES
from trainables.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

CLIPPED = 0.001
"""Share of a recording's samples in runs at full scale from which it is called clipped: a tenth of a per cent is audible."""

SILENT = 0.001
"""Peak below which a recording is called silent: -60 dB of full scale, far below speech at any gain."""


class Asked(NamedTuple):
    """What to check: a table of corpora.toml, or what stands for one.

    Attributes:
        role: The role that the corpus is to play.
        settings: Its table.
        base: Folder that a root in it is relative to.
    """

    role: str
    settings: Any
    base: Path


class Group(NamedTuple):
    """Some of a corpus' segments: who they are, how many, and how long together."""

    name: str
    segments: int
    hours: float
    speakers: int
    sessions: int


class Checkup(NamedTuple):
    """What was found.

    Attributes:
        source: The corpus; None if its root or its settings were wrong.
        report: Every fault with every name, and what will be left out.
        facts: What is known of the whole corpus beside what was found.
        groups: All segments, then those of each talker, split and label.
        notes: What does not make results wrong, but is worth knowing.
    """

    source: CorpusSource | None
    report: Report
    facts: list[Fact]
    groups: list[Group]
    notes: list[str]

    @property
    def compared(self) -> bool:
        """Whether something is known of the corpus beside what was found, or of none like it could be (a format, a twin)."""
        if self.facts or self.source is None or self.source.is_twin:
            return True
        return reader_module(self.source.reader).ABOUT is None

    def sound(self, partial: bool) -> bool:
        """Whether results would be right; ``partial`` says that the corpus is known not to be whole, so facts may deviate."""
        return not self.report.messages and (partial or all(fact.holds for fact in self.facts))


def asked(target: str, root: Path | None, role: str | None, corpora: Path | None) -> Asked:
    """What the user wants checked.

    Args:
        target: A reader, of the corpus in ``root``; or a role, of ``corpora``.
        root: The corpus' folder.
        role: The role that the corpus is to play, if that is not the reader's own.
        corpora: A corpora.toml.

    Raises:
        UserError: Both or neither of ``root`` and ``corpora``, or a name that is unknown.
    """
    if (root is None) == (corpora is None):
        raise UserError("give either --root, the folder of the corpus, or --corpora, a corpora.toml that names it")
    if corpora is not None:
        tables = read_settings(corpora)
        if role is not None:
            raise UserError(f"--role {role}: with --corpora the role is the one that is checked; leave out --role")
        if target not in tables or target not in ROLES:
            known = tuple(name for name in tables if name in ROLES)
            raise UserError(f"{target!r} is no role of {corpora}{closest(target, known)}")
        return Asked(target, tables[target], corpora.resolve().parent)
    readers = tuple(name for name in READERS if name != "twin")
    if target not in readers:
        raise UserError(f"unknown reader {target!r}{closest(target, readers)}")
    role = role or target
    if role not in ROLES:
        named = f"--role {role} is unknown" if role != target else f"{target} reads corpora of any role; say which with --role"
        raise UserError(f"{named}{closest(role, tuple(ROLES))}")
    return Asked(role, {"reader": target, "root": str(root)}, Path())


def check(wanted: Asked, home: Path, decode: bool = False, progress: Progress | None = None) -> Checkup:
    """Read a corpus, look at all of its audio, and compare it with what is known of it.

    Args:
        wanted: The corpus and its role.
        home: Where the program keeps its files: what is learnt of the audio is remembered under it.
        decode: Whether all audio is decoded: it takes long, and finds what no header shows.
        progress: Told how many recordings have been made (of a twin) or looked at.
    """
    report = Report(wanted.role)
    with every_name_shown():
        configured = configure(wanted.role, wanted.settings, wanted.base, home, report)
        if configured is None:
            return Checkup(None, report, [], [], [])
        source = configured.source
        if source.is_twin:
            examined = _examine_twin(source, decode, progress)
        else:
            examined = examine(configured, home, report, decode, progress)
        if examined is None:
            return Checkup(source, report, [], [], [])
        notes = _notes(examined.files) if decode else []
        return Checkup(examined.source, report, _facts(examined), _groups(examined), notes)


def _examine_twin(source: CorpusSource, decode: bool, progress: Progress | None) -> Examined:
    source.prepare(progress)
    source.verify()
    table = source.manifest()
    return Examined(source, table, table, read_inventory(Path(source.root), table["recording"], decode=decode))


def _facts(examined: Examined) -> list[Fact]:
    """Facts are of the corpus as it was published: what is left out of it is counted, for it is told elsewhere."""
    source = examined.source
    if source.is_twin:
        return []
    hours = sum(file.seconds for file in examined.files.values()) / 3600
    return reader_module(source.reader).facts(examined.whole, source, hours)


def _groups(examined: Examined) -> list[Group]:
    """The segments that will be used, divided in every way that matters to the role."""
    import numpy as np

    seconds = examined.table["recording"].map({name: file.seconds for name, file in examined.files.items()})
    ends = np.fmin(examined.table["end"], seconds)
    table = examined.table.assign(_hours=(ends - examined.table["start"].clip(lower=0)).clip(lower=0) / 3600)
    found = [_group("all", table)] if len(table) else []
    if table["talker"].nunique() > 1:
        found += [_group(f"talker: {talker}", rows) for talker, rows in table.groupby("talker")]
    subjects = table[table["talker"] != "interviewer"]
    parts = [(None, subjects), *((split, rows) for split in SPLITS if len(rows := subjects[subjects["split"] == split]))]
    for split, rows in parts:
        if split is not None:
            found.append(_group(f"split: {split}", rows))
        prefix = "" if split is None else f"  {split}, "
        found += [_group(prefix + value, chosen) for value, chosen in _by_label(rows, ROLES[examined.source.role].label)]
    return found


def _group(name: str, rows: pd.DataFrame) -> Group:
    return Group(name, len(rows), float(rows["_hours"].sum()), rows["speaker"].nunique(), rows["session"].nunique())


def _by_label(rows: pd.DataFrame, label: str) -> Iterator[tuple[str, pd.DataFrame]]:
    """Rows by the value of the role's label; a score by its sign."""
    if not label or label not in rows:
        return
    if label == "sentiment":
        signs = {"< 0": rows[label] < 0, "= 0": rows[label] == 0, "> 0": rows[label] > 0}
        yield from ((f"{label} {sign}", rows[chosen]) for sign, chosen in signs.items() if chosen.any())
        return
    for value, chosen in rows.groupby(label):
        yield f"{label}: {'unknown' if value == '' else value if isinstance(value, str) else f'{value:g}'}", chosen


def _notes(files: Mapping[str, AudioFile]) -> list[str]:
    """What decoding showed that is no fault: other formats, clipping and silence."""
    levels = {name: file.level for name, file in files.items() if file.level is not None}
    kinds = Counter((level.rate, level.channels) for level in levels.values())
    clipped = {name: level.clipped for name, level in levels.items() if level.clipped >= CLIPPED}
    silent = [name for name, level in levels.items() if level.peak < SILENT]
    notes = [
        f"decoded: {count} recordings at {rate} Hz with {channels} channel{'s' if channels > 1 else ''}"
        + ("" if (rate, channels) == (16000, 1) else ", which become 16000 Hz mono when they are read")
        for (rate, channels), count in sorted(kinds.items())
    ]
    if clipped:
        worst = [f"{name} ({share:.1%})" for name, share in sorted(clipped.items(), key=lambda item: -item[1])]
        notes.append(f"clipped, {CLIPPED:.1%} of the samples or more: {len(worst)} recordings: {listing(worst)}")
    if silent:
        notes.append(f"silent, no sample above {SILENT:g} of full scale: {len(silent)} recordings: {listing(silent)}")
    return notes
