"""Manifests of lhotse, read through the package ``lhotse``: recordings with supervisions, or cuts.

::

    <name>_recordings_<part>.jsonl.gz and <name>_supervisions_<part>.jsonl.gz      a pair for each part
    <name>_cuts_<part>.jsonl.gz                                                    read where there are no supervisions

A row is a supervision; its ``custom`` entries are columns as anywhere else (``custom: {emotion: happy}``). A part is a split if
its name says so.

Refused, because a row is a span of one file that is mixed down to mono: recordings that are no single file (a command, an address,
several files), supervisions on different channels of one recording, and cuts that are mixed or changed in speed.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainables.corpora.columns import FOLDER, FOLDER_SPLIT, manifest_from
from trainables.corpora.generic import ABOUT, KNOWN_MISSING, facts
from trainables.corpora.readers._files import visible
from trainables.corpora.readers._formats import SETTINGS, chosen, folder_of, has_package, holds, options_from
from trainables.corpora.reading import listing
from trainables.corpora.tables import as_text, text_column

if TYPE_CHECKING:
    import lhotse
    import pandas as pd

    from trainables.corpora.corpus import CorpusSource
    from trainables.corpora.reading import Report

__all__ = ["ABOUT", "KNOWN_MISSING", "SETTINGS", "facts", "find_root", "options_from", "read_manifest"]

_NAME = re.compile(r"(?:.+[_.-])?(recordings|supervisions|cuts)(?:[_.-].+)?\.jsonl(?:\.gz)?")
_FIELDS = ("id", "recording", "start", "end", "text", "speaker", "gender")


def find_root(folder: Path) -> Path | None:
    """The folder itself, if it or a folder up to two levels below has cuts, or supervisions beside their recordings."""
    return folder if holds(folder, _tables) else None


def _tables(folder: Path) -> list[Path]:
    """The supervisions that have recordings beside them, else the cuts."""
    kinds = defaultdict(list)
    for path in visible(folder, "*.jsonl*"):
        if match := _NAME.fullmatch(path.name):
            kinds[match[1]].append(path)
    return [path for path in kinds["supervisions"] if _recordings_of(path) in kinds["recordings"]] or kinds["cuts"]


def _recordings_of(supervisions: Path) -> Path:
    return supervisions.with_name("recordings".join(supervisions.name.rsplit("supervisions", 1)))


def read_manifest(source: CorpusSource, report: Report) -> pd.DataFrame | None:
    """One row per supervision."""
    import pandas as pd

    if not has_package("lhotse", report):
        return None
    root = Path(source.root)
    tables = []
    for path, split in chosen(root, source.options.get("manifest"), _tables, "lhotse manifests", report):
        try:
            rows = list(_cut_rows(path, report) if _kind(path) == "cuts" else _supervision_rows(path, report))
            table = _table(rows)
        except Exception as error:  # the package raises whatever a damaged line makes it raise
            report.add(f"{path}: lhotse cannot read it ({type(error).__name__}: {error}); write it again")
            continue
        base = folder_of(root, path.parent, (row["recording"] for row in rows))
        tables.append(table.assign(**{FOLDER: text_column([base] * len(table)), FOLDER_SPLIT: text_column([split] * len(table))}))
    if report.messages or not tables:
        return None
    return manifest_from(pd.concat(tables, ignore_index=True).fillna(""), source, report)


def _table(rows: list[dict[str, str]]) -> pd.DataFrame:
    import pandas as pd

    names = dict.fromkeys(name for row in rows for name in row)
    return pd.DataFrame({name: text_column(row.get(name, "") for row in rows) for name in names})


def _kind(path: Path) -> str:
    match = _NAME.fullmatch(path.name)
    return match[1] if match else ""


def _supervision_rows(path: Path, report: Report) -> Iterator[dict[str, str]]:
    import lhotse

    recordings = {recording.id: recording for recording in lhotse.RecordingSet.from_file(_recordings_of(path))}
    supervisions = list(lhotse.SupervisionSet.from_file(path))
    unknown = [each.recording_id for each in supervisions if each.recording_id not in recordings]
    if unknown:
        report.add(f"{path}: recordings {listing(unknown)} are not in {_recordings_of(path).name}; write both again")
    _check_channels(path, supervisions, report)
    files = {name: _file_of(recording) for name, recording in recordings.items()}
    _check_files(path, files, report)
    for each in supervisions:
        if files.get(each.recording_id):
            yield _row(each, files[each.recording_id], each.start, each.end)


def _cut_rows(path: Path, report: Report) -> Iterator[dict[str, str]]:
    import lhotse

    cuts = list(lhotse.CutSet.from_file(path))
    mixed = [cut.id for cut in cuts if not isinstance(cut, lhotse.MonoCut) or cut.recording is None]
    if mixed:
        report.add(f"{path}: cuts {listing(mixed)} are no spans of one recording; write plain cuts or supervisions")
        return
    files = {cut.recording_id: _file_of(cut.recording) for cut in cuts}
    _check_channels(path, [each for cut in cuts for each in cut.supervisions], report)
    _check_files(path, files, report)
    for cut in cuts:
        for each in cut.supervisions:
            if files[cut.recording_id]:
                yield _row(each, files[cut.recording_id], cut.start + each.start, cut.start + each.end)


def _file_of(recording: lhotse.Recording) -> str:
    """The path of a recording that is one whole, unchanged file; else ''."""
    plain = len(recording.sources) == 1 and recording.sources[0].type == "file" and not recording.transforms
    return str(recording.sources[0].source) if plain else ""


def _check_files(path: Path, files: dict[str, str], report: Report) -> None:
    if other := [name for name, file in files.items() if not file]:
        report.add(f"{path}: recordings {listing(other)} are not one unchanged file each; save them as files and write it again")


def _check_channels(path: Path, supervisions: list[lhotse.SupervisionSegment], report: Report) -> None:
    channels = defaultdict(set)
    for each in supervisions:
        channels[each.recording_id].add(str(each.channel))
    if several := [name for name, found in channels.items() if len(found) > 1]:
        report.add(
            f"{path}: supervisions on different channels of recordings {listing(several)}, which are mixed down to mono here; "
            "save each channel as a file of its own"
        )


def _row(each: lhotse.SupervisionSegment, file: str, start: float, end: float) -> dict[str, str]:
    """A supervision's cells; its own fields go before custom ones of the same name."""
    custom = {name: as_text(value) for name, value in (each.custom or {}).items() if _is_plain(value) and name not in _FIELDS}
    return {
        **custom,
        "segment": each.id,
        "recording": file,
        "start": repr(float(start)),
        "end": repr(float(end)),
        "speaker": each.speaker or "",
        "text": each.text or "",
        "gender": each.gender or "",
    }


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, str | int | float | bool)
