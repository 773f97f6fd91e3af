"""A Kaldi data folder: ``wav.scp``, and beside it ``utt2spk``, ``segments``, ``text``, ``spk2gender`` and labels.

::

    wav.scp       <recording> <path>                     segments   <utterance> <recording> <start> <end>   (end -1: to the end)
    utt2spk       <utterance> <speaker>                  text       <utterance> <words ...>
    spk2gender    <speaker> <f or m>                     utt2emotion, utt2depressed, spk2depressed, ...   <name> <value>

Without ``segments`` an utterance is a recording. ``utt2<name>`` and ``spk2<name>`` give a label if the name is a manifest's column
or one of its aliases (:mod:`trainables.corpora.columns`); others (``utt2dur``) are left alone. Folders called train, dev and test
are read together.

A command in wav.scp (``sox ... |``) is a fault: recordings are read here, and no command of a table is ever run.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from trainables.corpora.columns import FOLDER, FOLDER_SPLIT, manifest_from
from trainables.corpora.generic import ABOUT, KNOWN_MISSING, facts
from trainables.corpora.readers._files import read_text, visible
from trainables.corpora.readers._formats import SETTINGS, chosen, folder_of, holds, options_from
from trainables.corpora.reading import listing
from trainables.corpora.tables import text_column
from trainables.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

    from trainables.corpora.corpus import CorpusSource
    from trainables.corpora.reading import Report

__all__ = ["ABOUT", "KNOWN_MISSING", "SETTINGS", "facts", "find_root", "options_from", "read_manifest"]

_GENDERS = {"f": "female", "m": "male"}


def find_root(folder: Path) -> Path | None:
    """The folder itself, if it or a folder up to two levels below has a wav.scp."""
    return folder if holds(folder, _data_folders) else None


def _data_folders(folder: Path) -> list[Path]:
    return [folder] if (folder / "wav.scp").is_file() else []


def read_manifest(source: CorpusSource, report: Report) -> pd.DataFrame | None:
    """One row per utterance."""
    import pandas as pd

    root = Path(source.root)
    tables = []
    for folder, split in chosen(root, source.options.get("manifest"), _data_folders, "wav.scp", report):
        try:
            rows = _rows(root, folder if folder.is_dir() else folder.parent, report)
        except UserError as error:
            report.add(str(error))
            continue
        if rows:
            table = pd.DataFrame({name: text_column(row.get(name, "") for row in rows) for name in rows[0]})
            tables.append(table.assign(**{FOLDER_SPLIT: text_column([split] * len(rows))}))
    if report.messages or not tables:
        return None
    return manifest_from(pd.concat(tables, ignore_index=True).fillna(""), source, report)


def _rows(root: Path, folder: Path, report: Report) -> list[dict[str, str]]:
    """An utterance's cells, all with the same keys."""
    recordings = _pairs(folder / "wav.scp")
    if not recordings:
        report.add(f"{folder / 'wav.scp'}: names no recording; expected lines `recording path`")
    commands = [name for name, path in recordings.items() if path.rstrip().endswith("|") or path == "-"]
    if commands:
        report.add(
            f"{folder / 'wav.scp'}: commands instead of files for {listing(commands)}; write the audio to files and name those"
        )
        return []
    spans = _segments(folder, recordings, report)
    by_utterance = {path.name[4:]: _pairs(path) for path in visible(folder, "utt2*") if path.is_file()}
    by_speaker = {path.name[4:]: _pairs(path) for path in visible(folder, "spk2*") if path.is_file() and path.name != "spk2utt"}
    if (folder / "text").is_file():
        by_utterance["text"] = _pairs(folder / "text")
    speakers = by_utterance.pop("spk", {})
    if speakers and (unknown := [name for name in spans if name not in speakers]):
        report.add(f"{folder / 'utt2spk'}: no speaker for {listing(unknown)}; add them")
    if "gender" in by_speaker:
        by_speaker["gender"] = {name: _GENDERS.get(word.lower(), word) for name, word in by_speaker["gender"].items()}
    _note_unused(folder, spans, recordings, by_utterance | {"spk": speakers}, report)
    base = folder_of(root, folder, recordings.values())
    rows = []
    for name, (recording, start, end) in spans.items():
        cells = {"segment": name, "recording": recordings[recording], "start": start, "end": end, FOLDER: base}
        if speakers:
            cells["speaker"] = speakers.get(name, "")
        own = {column: values.get(cells.get("speaker", ""), "") for column, values in by_speaker.items()}
        cells |= {column: value for column, value in own.items() if column not in cells}
        rows.append(cells | {column: values.get(name, "") for column, values in by_utterance.items() if column not in cells})
    return rows


def _note_unused(
    folder: Path,
    spans: Mapping[str, tuple[str, str, str]],
    recordings: Mapping[str, str],
    by_utterance: Mapping[str, Mapping[str, str]],
    report: Report,
) -> None:
    """Tell of lines that no row is made of; official recipes leave some behind when they drop utterances."""
    used = {recording for recording, _, _ in spans.values()}
    report.note(f"recordings of {folder / 'wav.scp'} that no segment is of", (name for name in recordings if name not in used))
    for column, values in by_utterance.items():
        name = "text" if column == "text" else f"utt2{column}"
        report.note(f"lines of {folder / name} on utterances that do not exist", (each for each in values if each not in spans))


def _segments(folder: Path, recordings: Mapping[str, str], report: Report) -> dict[str, tuple[str, str, str]]:
    """Utterance to recording, start and end; every recording as a whole where there is no file ``segments``."""
    path = folder / "segments"
    if not path.is_file():
        return {name: (name, "0", "") for name in recordings}
    spans = {}
    for number, line in enumerate(read_text(path).splitlines(), 1):
        fields = line.split()
        if not fields:
            continue
        if len(fields) != 4 or fields[1] not in recordings:
            report.add(
                f"{path}: line {number} is not `utterance recording start end` with a recording of wav.scp: {line!r}; mend it"
            )
            continue
        name, recording, start, end = fields
        if name in spans:
            report.add(f"{path}: line {number} gives {name!r} again; utterances must have different names")
        spans[name] = (recording, start, "" if end in ("-1", "-1.0") else end)
    return spans


def _pairs(path: Path) -> dict[str, str]:
    """The first word of each line to the rest of it; a name that comes again is a fault."""
    pairs: dict[str, str] = {}
    for number, line in enumerate(read_text(path).splitlines(), 1):
        if not line.strip():
            continue
        name, *rest = line.split(maxsplit=1)
        if name in pairs:
            raise UserError(f"{path}: line {number} gives {name!r} again; every name must have one line")
        pairs[name] = rest[0].strip() if rest else ""
    return pairs
