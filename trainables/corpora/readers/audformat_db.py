"""A database in audformat (``db.yaml`` and its tables), read through the package ``audformat``.

The rows are those of the tables that hold the role's label, filewise or segmented; an empty end means the end of the file. A column
is found under the names of :mod:`trainables.corpora.columns`, as a column, as a scheme, or in the labels of a scheme (where
audformat keeps what is known of a speaker: ``speaker: {labels: {s1: {gender: female}}}``). Splits are those of the tables' splits.
Where tables contradict each other, ``tables = ["emotion.test"]`` in corpora.toml chooses those with the label.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainables.corpora import columns
from trainables.corpora.columns import ALIASES, FOLDER_SPLIT, closest, manifest_from
from trainables.corpora.generic import ABOUT, KNOWN_MISSING, facts
from trainables.corpora.manifest import COLUMNS, LABELS
from trainables.corpora.readers._files import find_below
from trainables.corpora.readers._formats import has_package
from trainables.corpora.reading import listing
from trainables.corpora.roles import ROLES
from trainables.corpora.tables import MANIFEST_NAMES, as_text, text_column
from trainables.errors import Faults

if TYPE_CHECKING:
    import audformat
    import pandas as pd

    from trainables.corpora.corpus import CorpusSource
    from trainables.corpora.reading import Report

__all__ = ["ABOUT", "KNOWN_MISSING", "SETTINGS", "facts", "find_root", "options_from", "read_manifest"]

SETTINGS = ("tables", *columns.SETTINGS)
_FROM_INDEX = ("recording", "start", "end", "split")


def find_root(folder: Path) -> Path | None:
    """The folder with db.yaml: the one given, or its parent or a folder in it if it has no table of its own."""
    if (folder / "db.yaml").is_file():
        return folder
    if any((folder / name).is_file() for name in MANIFEST_NAMES):
        return None
    return find_below(folder, lambda candidate: (candidate / "db.yaml").is_file())


def options_from(settings: dict[str, Any], faults: Faults) -> dict[str, Any]:
    """``tables``, and those of every reader of a table."""
    tables = settings.get("tables", [])
    if not isinstance(tables, list) or not all(isinstance(name, str) for name in tables):
        faults.add(f"tables must be a list of table names, found {tables!r}")
        tables = []
    return {"tables": tables, **columns.options_from(settings, faults)}


def read_manifest(source: CorpusSource, report: Report) -> pd.DataFrame | None:
    """One row per file or segment that the tables with the role's label hold."""
    if not has_package("audformat", report):
        return None
    import audformat

    try:
        database = audformat.Database.load(source.root, load_data=True, verbose=False)
        table = _table(database, source, report)
    except Exception as error:  # the package and its parsers raise whatever a damaged file makes them raise
        report.add(f"{Path(source.root) / 'db.yaml'}: audformat cannot read it ({error}); mend it, or choose with `tables`")
        return None
    return None if table is None or report.messages else manifest_from(table, source, report)


def _table(database: audformat.Database, source: CorpusSource, report: Report) -> pd.DataFrame | None:
    """The database's words under the manifest's names."""
    tables = source.options.get("tables") or None
    if unknown := [name for name in tables or () if name not in database.tables]:
        report.add(f"tables: {listing(unknown)} are not in {source.root}{closest(unknown[0], tuple(database.tables))}")
        return None
    names = _names(database, source)
    label = _rows_of(source, names)
    if label not in names:
        known = ", ".join((label, *ALIASES.get(label, ())))
        report.add(
            f"{Path(source.root) / 'db.yaml'}: no column or scheme for {label} ({known}); name it in corpora.toml: "
            f'[{source.role}.columns] {label} = "..." (the database has {", ".join(sorted(_known(database)))})'
        )
        return None
    others = [name for name in dict.fromkeys(names.values()) if name != names[label]]
    frame = database.get(names[label], others, tables=tables)
    renames = source.options.get("columns", {})
    named = {renames.get(name, name): column for name, column in names.items()}  # as manifest_from looks for them
    return _as_words(frame, named, _splits(database, report))


def _names(database: audformat.Database, source: CorpusSource) -> dict[str, str]:
    """The manifest's column to the database's column or scheme."""
    renames, known = source.options.get("columns", {}), {name.lower(): name for name in sorted(_known(database))}
    names = {}
    for name in (*COLUMNS, *LABELS):
        words = (renames[name].lower(),) if name in renames else (name, *ALIASES.get(name, ()))
        match = next((known[word] for word in words if word in known), None)
        if match is not None and name not in _FROM_INDEX and (name in renames or match not in renames.values()):
            names[name] = match
    return names


def _known(database: audformat.Database) -> set[str]:
    """All names that ``Database.get`` understands."""
    known = set(database.schemes) | {name for table in database.tables.values() for name in table.columns}
    for scheme in database.schemes.values():
        if isinstance(scheme.labels, dict):
            known |= {name for entry in scheme.labels.values() if isinstance(entry, dict) for name in entry}
    return known


def _rows_of(source: CorpusSource, names: dict[str, str]) -> str:
    """The manifest's column whose rows are the manifest's: the role's label, or what it is derived from."""
    label = ROLES[source.role].label or "speaker"
    return "emotion" if label == "sentiment" and label not in names else label


def _splits(database: audformat.Database, report: Report) -> dict[str, str]:
    """File to split."""
    splits: dict[str, str] = {}
    twice = []
    for table in database.tables.values():
        kind = database.splits[table.split_id].type if table.split_id in database.splits else ""
        if kind in ("train", "dev", "test"):
            twice += [file for file in table.files if splits.setdefault(file, kind) != kind]
    if twice:
        report.add(f"files are in tables of several splits: {listing(twice)}; choose with `tables`, or mend the splits")
    return splits


def _as_words(frame: pd.DataFrame, names: dict[str, str], splits: dict[str, str]) -> pd.DataFrame:
    import pandas as pd

    files = frame.index.get_level_values("file")
    cells = {"recording": text_column(files), FOLDER_SPLIT: text_column(splits.get(file, "") for file in files)}
    for level in ("start", "end"):
        if level in frame.index.names:
            cells[level] = text_column(_words(frame.index.get_level_values(level).total_seconds()))
    cells |= {name: text_column(_words(frame[column])) for name, column in names.items()}
    return pd.DataFrame(cells)


def _words(values: Iterable[Any]) -> Iterable[str]:
    import pandas as pd

    return ("" if pd.isna(value) else as_text(value) for value in values)
