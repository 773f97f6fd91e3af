"""The reader for any corpus that comes with a table, in a Hugging Face audiofolder, or sorted into a folder per class.

A table is looked for in the root and in its split folders (:func:`trainables.corpora.tables.find_tables`); what its columns may be
called, and what they may leave out, is told in :mod:`trainables.corpora.columns`.

Where there is no table, folders may stand for classes: ``<root>[/train|validation|test]/<class>/**/*.wav``. The class is the
diagnosis in a role that needs one, else the emotion. Nothing there says who speaks, so ``speaker_pattern`` must.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainables.corpora import columns
from trainables.corpora.columns import ALIASES, FOLDER, FOLDER_SPLIT, manifest_from
from trainables.corpora.readers._files import folders_in
from trainables.corpora.reading import Fact, Report
from trainables.corpora.roles import ROLES
from trainables.corpora.tables import AUDIO_SUFFIXES, MANIFEST_NAMES, SPLIT_WORDS, find_tables, read_table, text_column
from trainables.errors import Faults, UserError

if TYPE_CHECKING:
    import pandas as pd

    from trainables.corpora.corpus import CorpusSource

__all__ = ["ABOUT", "KNOWN_MISSING", "SETTINGS", "facts", "find_root", "options_from", "read_manifest"]

SETTINGS = ("manifest", *columns.SETTINGS)
"""What a corpus' table in corpora.toml may hold for this reader."""

ABOUT = None
KNOWN_MISSING: frozenset[str] = frozenset()


def find_root(folder: Path) -> Path | None:
    """The folder itself: what is missing in it is told by :func:`read_manifest`, with what was looked for."""
    return folder


def facts(table: pd.DataFrame, source: CorpusSource, hours: float) -> list[Fact]:
    """Nothing is known of a corpus that could be any."""
    return []


def options_from(settings: Mapping[str, Any], faults: Faults) -> dict[str, Any]:
    """The reader's options, from a corpus' table in corpora.toml; faults are told in its words."""
    options: dict[str, Any] = {"manifest": settings.get("manifest"), **columns.options_from(settings, faults)}
    if not isinstance(options["manifest"], str | None):
        faults.add(f"manifest must be a file name, found {options['manifest']!r}")
    return options


def read_manifest(source: CorpusSource, report: Report, aliases: Mapping[str, tuple[str, ...]] = ALIASES) -> pd.DataFrame | None:
    """Read the corpus' tables, or else its class folders, into one manifest, in order; None if that cannot be done at all.

    Args:
        source: The corpus; its options are those of :func:`options_from`.
        report: Receives everything that keeps the tables from being a manifest. The values are checked elsewhere.
        aliases: Other names of the manifest's columns that are understood.
    """
    import pandas as pd

    root, named = Path(source.root), source.options.get("manifest")
    if named is None and (table := _class_folders(root, source.role, report)) is not None:
        return manifest_from(table, source, report)
    raw = []
    for path, split in find_tables(root, named, report):
        try:
            table = read_table(path)
        except UserError as error:
            report.add(str(error))
            continue
        folder = path.parent.relative_to(root).as_posix()
        raw.append(table.assign(**{FOLDER: text_column([folder] * len(table)), FOLDER_SPLIT: text_column([split] * len(table))}))
    if report.messages or not raw:
        return None
    return manifest_from(pd.concat(raw, ignore_index=True).fillna(""), source, report, aliases)


def _class_folders(root: Path, role: str, report: Report) -> pd.DataFrame | None:
    """Recordings sorted into two or more folders in the root or in its split folders; None if they are not, or have a table."""
    import pandas as pd

    if find_tables(root, None, Faults("")) or any(
        (folder / name).is_file() for folder in folders_in(root) for name in MANIFEST_NAMES
    ):
        return None
    splits = [(folder, SPLIT_WORDS[folder.name.lower()]) for folder in folders_in(root) if folder.name.lower() in SPLIT_WORDS]
    found = [
        (path.relative_to(root).as_posix(), folder.name, split)
        for top, split in splits or [(root, "")]
        for folder in folders_in(top)
        for path in _recordings(folder)
    ]
    if len({name for _, name, _ in found}) < 2:
        return None
    listed = {path for path, _, _ in found}
    others = [path for path in (path.relative_to(root).as_posix() for path in _recordings(root)) if path not in listed]
    report.skip("recordings that lie in no class folder", others)
    label = "depressed" if ROLES[role].label == "depressed" else "emotion"
    paths, words, sides = zip(*found, strict=True)
    return pd.DataFrame({"recording": text_column(paths), label: text_column(words), FOLDER_SPLIT: text_column(sides)})


def _recordings(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in AUDIO_SUFFIXES and not path.name.startswith(".") and path.is_file():
            yield path
