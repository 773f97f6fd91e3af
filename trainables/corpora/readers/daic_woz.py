"""DAIC-WOZ as delivered for AVEC 2017, and E-DAIC (AVEC 2019): clinical interviews by a virtual agent, with PHQ-8 scores.

The manifest has the turns of both, the participant (talker 'subject') and Ellie ('interviewer'); stages take the subject's, because
her questions give the diagnosis away (Burdisso et al., arXiv:2404.14463: F1 0.90 from them alone). ``depressed`` and ``phq8`` are
the session's and stand in both; ``gender`` is the speaker's, so Ellie has none. What is mended and left out is told in
:mod:`trainables.corpora.readers.daic_transcripts` and :mod:`trainables.corpora.readers.daic_labels`.

Sessions may lie in ``300_P/`` beside the tables, one level down (E-DAIC's ``data/``), in a folder of their own name within it, or
flat (the archives unpacked in one place); the recording lies beside its transcript. Names are matched in any case.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainables.corpora.manifest import in_order
from trainables.corpora.readers import daic_labels
from trainables.corpora.readers._files import find_below, visible
from trainables.corpora.readers.daic_labels import Participant, session_of
from trainables.corpora.readers.daic_transcripts import Turn, read_turns, segment_of
from trainables.corpora.reading import About, Fact, Report, listing
from trainables.errors import Faults, UserError

if TYPE_CHECKING:
    import pandas as pd

    from trainables.corpora.corpus import CorpusSource

SETTINGS = ("exclude",)
"""``exclude = [300, 301]``: sessions to leave out, such as noisy ones."""

ABOUT = About(
    title="DAIC-WOZ and E-DAIC, Distress Analysis Interview Corpus (English): interviews by a virtual agent, with PHQ-8 scores",
    licence="free for academic, non-profit research, after signing an end-user licence agreement; not to be passed on",
    apply_at="https://dcapswoz.ict.usc.edu",
    layout=(
        "folders 300_P ... 492_P with 300_AUDIO.wav and 300_TRANSCRIPT.csv, beside train_, dev_ and "
        "test_split_Depression_AVEC2017.csv (E-DAIC: data/300_P with 300_Transcript.csv, beside labels/train_split.csv)"
    ),
    source="Gratch et al., LREC 2014; Ringeval et al., AVEC 2017 and AVEC 2019",
)
KNOWN_MISSING: frozenset[str] = frozenset()

EXCLUDED = ("342", "394", "398", "460")
WITHOUT_ELLIE = frozenset({"451", "458", "480"})
_SIZES = {
    daic_labels.DAIC_WOZ: {"train": 107, "dev": 35, "test": 47},
    daic_labels.E_DAIC: {"train": 163, "dev": 56, "test": 56},
}
_DEPRESSED_PERCENT = {"train": 28.0, "dev": 34.0}
_PERCENT_TOLERANCE = 2.0
_MEAN_MINUTES = {daic_labels.DAIC_WOZ: 16.0}
_MINUTES_TOLERANCE = 1.0
_EXAMPLES = {
    daic_labels.DAIC_WOZ: "{0}_P/{0}_TRANSCRIPT.csv",
    daic_labels.E_DAIC: "data/{0}_P/{0}_Transcript.csv",
}
_TRANSCRIPT = re.compile(r"(\d+)_transcript\.csv", re.IGNORECASE)
_DEPTHS = tuple("*/" * depth + "*.[cC][sS][vV]" for depth in range(4))


def find_root(folder: Path) -> Path | None:
    """The folder with the split tables, or with ``labels/`` that holds them."""
    return find_below(folder, lambda path: path.name.lower() != "labels" and bool(daic_labels.find_tables(path)))


def options_from(settings: Mapping[str, Any], faults: Faults) -> dict[str, Any]:
    """``exclude``: sessions by their numbers, as numbers or text."""
    exclude = settings.get("exclude", [])
    if not isinstance(exclude, list) or not all(isinstance(session, int | str) for session in exclude):
        faults.add(f"exclude must be a list of sessions, such as [300, 301]; found {exclude!r}")
        return {"exclude": []}
    return {"exclude": [session_of(str(session)) for session in exclude]}


def read_manifest(source: CorpusSource, report: Report) -> pd.DataFrame | None:
    """The turns of all sessions that have a score.

    Args:
        source: The corpus; its options are those of :func:`options_from`.
        report: Told every damaged table and missing transcript, and all that is left out.
    """
    root = Path(source.root)
    try:
        editions = daic_labels.find_tables(root)
    except UserError as error:
        report.add(str(error))
        return None
    if len(editions) != 1:
        found = " and ".join(editions) or "neither DAIC-WOZ nor E-DAIC"
        report.add(f"{root}: holds the split tables of {found}; expected those of one of the two: give each a folder of its own")
        return None
    ((edition, tables),) = editions.items()
    exclude = source.options.get("exclude", [])
    wanted, splits = daic_labels.read_participants(tables, root, exclude, report)
    listed = set[str]().union(*splits.values())
    _tell_excluded(exclude, listed, report)
    transcripts = _transcripts(root, report)
    unlisted = sorted(set(transcripts) - listed)
    report.skip(f"sessions in no split ({', '.join(EXCLUDED)} were excluded by the authors)", unlisted)
    missing = [_EXAMPLES[edition].format(person.session) for person in wanted if person.session not in transcripts]
    if missing:
        report.add(
            f"{root}: {len(missing)} of {len(wanted)} sessions have no transcript: {listing(missing)}; unpack or copy them, "
            "or leave the sessions out with exclude"
        )
    rows: list[dict[str, Any]] = []
    for person in wanted:
        if person.session in transcripts:
            rows += _rows(person, *transcripts[person.session], root, report)
    if not wanted:
        report.add(f"{root}: no session is left; the split tables list none that has a score and is not in exclude")
    return None if report.messages else _typed(rows)


def facts(table: pd.DataFrame, source: CorpusSource, hours: float) -> list[Fact]:
    """Sessions of each split (AVEC 2017 and 2019), the share of the depressed among them, and sessions without Ellie.

    Sessions that the user leaves out count as there; where no test session has a score, those count that the test tables list.
    The shares are known roughly (about 28 % and 34 %), of DAIC-WOZ only. Its documentation gives the mean length of a session, in
    whole minutes, and the three without turns of Ellie.
    """
    ((edition, tables),) = daic_labels.find_tables(Path(source.root)).items()
    listed, exclude = daic_labels.read_listed(tables), set(source.options.get("exclude", []))
    subjects = table[table["talker"] == "subject"].drop_duplicates("session")
    found = []
    for split, size in _SIZES[edition].items():
        rows, excluded = subjects[subjects["split"] == split], len(exclude & listed.get(split, set()))
        if split == "test" and rows.empty:
            found.append(Fact("sessions listed in test", size, len(listed.get(split, ()))))
            continue
        found.append(Fact(f"sessions in {split}", size, len(rows) + excluded))
        if edition == daic_labels.DAIC_WOZ and split in _DEPRESSED_PERCENT:
            share = round(100 * rows["depressed"].sum() / max(1, len(rows)), 1)
            tolerance = _PERCENT_TOLERANCE + 100 * excluded / size
            found.append(Fact(f"depressed in {split}, %", _DEPRESSED_PERCENT[split], share, tolerance))
    if edition in _MEAN_MINUTES:
        minutes = 60 * hours / max(1, table["recording"].nunique())
        found.append(Fact("mean length of a recording, min", _MEAN_MINUTES[edition], minutes, _MINUTES_TOLERANCE))
        alone = set(subjects["session"]) - set(table.loc[table["talker"] == "interviewer", "session"])
        expected = WITHOUT_ELLIE & set(subjects["session"])
        found.append(Fact("sessions without Ellie's turns", len(expected), len(alone)))
    return found


def _transcripts(root: Path, report: Report) -> dict[str, tuple[Path, Path]]:
    """Session to its transcript and recording; where there are several, one that has a recording, else the one least deep."""
    paths = [path for depth in _DEPTHS for path in visible(root, depth) if _is_text(path.relative_to(root).as_posix())]
    named = [(match[1], path) for path in paths if (match := _TRANSCRIPT.fullmatch(path.name))]
    names = {folder: {name.lower(): name for name in sorted(os.listdir(folder))} for folder in {path.parent for _, path in named}}
    best: dict[str, tuple[Path, Path]] = {}
    others = []
    for has_recording in (True, False):
        for session, path in named:
            usual = f"{session}_AUDIO.wav"
            recording = names[path.parent].get(usual.lower())
            if (recording is not None) != has_recording:
                continue
            if session in best:
                others.append(path.relative_to(root).as_posix())
            else:
                best[session] = path, path.parent / (recording or usual)
    report.skip("further copies of a session's transcript (one with a recording beside it is read)", others)
    return best


def _is_text(name: str) -> bool:
    """Whether a file's name is UTF-8; the manifest holds text, and no name of this corpus is anything else."""
    return name.encode(errors="replace").decode() == name


def _tell_excluded(exclude: list[str], listed: set[str], report: Report) -> None:
    if unknown := set(exclude) - listed - set(EXCLUDED):
        report.add(f"exclude names sessions that are in no split: {listing(sorted(unknown))}; delete them there")
    report.skip("left out by exclude in corpora.toml", sorted(listed & set(exclude)))


def _rows(person: Participant, transcript: Path, recording: Path, root: Path, report: Report) -> list[dict[str, Any]]:
    try:
        turns = read_turns(transcript, person.session, report)
    except UserError as error:
        report.add(str(error))
        return []
    name = recording.relative_to(root).as_posix()
    return [_row(person, turn, name) for turn in turns]


def _row(person: Participant, turn: Turn, recording: str) -> dict[str, Any]:
    subject = turn.talker == "subject"
    return {
        "segment": segment_of(person.session, turn.number),
        "recording": recording,
        "start": turn.start,
        "end": turn.end,
        "speaker": person.session if subject else "ellie",
        "talker": turn.talker,
        "session": person.session,
        "split": person.split,
        "text": turn.text,
        "depressed": float(person.depressed),
        "gender": person.gender if subject else "",
        "phq8": person.phq8,
    }


def _typed(rows: list[dict[str, Any]]) -> pd.DataFrame:
    import pandas as pd

    return in_order(pd.DataFrame(rows))
