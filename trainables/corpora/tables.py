"""Finding a corpus' table of segments and reading it: CSV, TSV, JSON lines or Parquet, every value as text.

Text first, because ids may be all digits ('007') or start with '-', and a reader that guesses types loses them.
"""

from __future__ import annotations

import csv
import json
import math
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainables.errors import Faults, UserError, printable

if TYPE_CHECKING:
    import pandas as pd

MANIFEST_NAMES = tuple(f"{stem}.{ending}" for stem in ("manifest", "metadata") for ending in ("csv", "tsv", "jsonl", "parquet"))
"""File names looked for where corpora.toml names none (``metadata.*``: Hugging Face audiofolder)."""

AUDIO_SUFFIXES = (".wav", ".flac", ".mp3", ".ogg", ".opus", ".aiff", ".aif", ".au", ".w64", ".sph")
"""Endings (lower case) of the files that readers of folders take for recordings; libsndfile reads all of them."""

SPLIT_WORDS = {
    "train": "train",
    "training": "train",
    "dev": "dev",
    "development": "dev",
    "val": "dev",
    "valid": "dev",
    "validation": "dev",
    "test": "test",
    "testing": "test",
}
"""What corpora call their splits (any case), and what the manifest calls them."""


def find_tables(root: Path, named: str | None, faults: Faults) -> list[tuple[Path, str]]:
    """The corpus' tables and the split each one's folder stands for ('' where it stands for none).

    Args:
        root: The corpus' folder.
        named: The file that corpora.toml names, relative to the root; None to look for :data:`MANIFEST_NAMES`, in the root or
            else in its split folders (audiofolder: ``train/``, ``validation/``, ``test/``).
        faults: Told if there is none or a choice to make.
    """
    if named is not None:
        table = named_in(root, named, faults)
        return [] if table is None else [(table, "")]
    found = _tables_in(root, faults)
    if found:
        return [(path, "") for path in found]
    folders = sorted(folder for folder in root.iterdir() if folder.is_dir())
    by_split = [(folder, SPLIT_WORDS[folder.name.lower()]) for folder in folders if folder.name.lower() in SPLIT_WORDS]
    tables = [(path, split) for folder, split in by_split for path in _tables_in(folder, faults)]
    if not tables and not faults.messages:
        nearby = [folder for folder in (root.parent, *folders) if any((folder / name).is_file() for name in MANIFEST_NAMES)]
        hint = f"; is the root meant to be {nearby[0]}?" if nearby else f"; found there: {_contents(root)}"
        faults.add(f'no manifest in {root}: expected one of {", ".join(MANIFEST_NAMES)}, or `manifest = "..."`{hint}')
    return tables


def named_in(root: Path, named: str, faults: Faults, folders: bool = False) -> Path | None:
    """The file that ``manifest`` in corpora.toml names, written as a path below the root.

    The root is known by where it really lies, and the user may name the file by way of a link to it. What a name below the root
    links to may lie anywhere: its paths are relative to where it is found.

    Args:
        root: The corpus' folder.
        named: Relative to the root, or absolute.
        faults: Told if it is not there, or not below the root.
        folders: Whether it may be a folder.
    """
    place = Path(os.path.normpath(root / named))
    if "\0" in named or not (place.is_file() or (folders and place.is_dir())):
        faults.add(f"manifest {named!r} is not in {root}; found there: {_contents(root)}")
        return None
    for top, found in ((root, place), (root.resolve(), place.parent.resolve() / place.name)):
        if found.is_relative_to(top):
            return root / found.relative_to(top)
    faults.add(f"manifest {named!r} is not below the root {root}; give a root that holds it and the recordings")
    return None


def holds_table(folder: Path) -> bool:
    """Whether a folder, or one of its split folders, has a table of a usual name; one that cannot be read has none."""
    try:
        return bool(find_tables(folder, None, Faults("")))
    except OSError:
        return False


def read_table(path: Path) -> pd.DataFrame:
    """Read a table; every value a str, '' where there is none.

    Raises:
        UserError: Not of a known kind, not UTF-8, or damaged; names the file and, where it can, the line.
    """
    read = _READERS.get(path.suffix.lower())
    if read is None:
        raise UserError(f"{path}: unknown kind of table {path.suffix!r}; expected one of {', '.join(_READERS)}")
    try:
        if read is not _read_parquet:
            path.read_bytes().decode()  # the tables' own readers do not say which byte is wrong
        return read(path)
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 text (byte {error.start}); save it as UTF-8") from error
    except (OSError, ValueError, csv.Error) as error:
        raise UserError(f"{path}: cannot be read ({error})") from error


def text_column(values: Iterable[str]) -> pd.Series:
    """A column of words; names of files that are not Unicode are made :func:`~trainables.errors.printable`."""
    import pandas as pd

    words = list(values)
    try:
        return pd.Series(words, dtype="str")
    except UnicodeEncodeError:
        return pd.Series([printable(word) for word in words], dtype="str")


def _tables_in(folder: Path, faults: Faults) -> list[Path]:
    found = [folder / name for name in MANIFEST_NAMES if (folder / name).is_file()]
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        faults.add(f'{folder} holds several manifests ({names}); say which with `manifest = "{found[0].name}"`')
        return found[:1]
    return found


def _contents(folder: Path) -> str:
    names = sorted(entry.name for entry in folder.iterdir() if not entry.name.startswith("."))
    return ", ".join(names[:10]).encode(errors="replace").decode() + (" ..." if len(names) > 10 else "") if names else "nothing"


def _read_delimited(path: Path) -> pd.DataFrame:
    import pyarrow.csv

    delimiter, names = _header(path)
    wrong: list[str] = []

    def remember(row: pyarrow.csv.InvalidRow) -> str:
        if row.text.strip(f" \t\r\n{delimiter}"):  # a line without a cell is no row, whatever its length
            wrong.append(f"row {row.number} has {row.actual_columns} cells, the header {len(names)}")
        return "skip"

    # The columns are numbered while reading, so that the header is a row of its own and every cell is text.
    numbers = [str(number) for number in range(len(names))]
    table = pyarrow.csv.read_csv(
        path,
        read_options=pyarrow.csv.ReadOptions(column_names=numbers, use_threads=False),  # with threads no row knows its number
        parse_options=pyarrow.csv.ParseOptions(delimiter=delimiter, newlines_in_values=True, invalid_row_handler=remember),
        convert_options=pyarrow.csv.ConvertOptions(column_types=dict.fromkeys(numbers, pyarrow.string())),
    )
    if wrong:
        raise UserError(f"{path}: {wrong[0]}; quote cells that hold {delimiter!r}")
    frame = _frame(path, names, table.slice(1).columns)
    return frame[~_blank(frame)].reset_index(drop=True)


def _header(path: Path) -> tuple[str, list[str]]:
    """The delimiter and the columns' names."""
    with path.open(encoding="utf-8-sig", newline="") as file:  # -sig: spreadsheets put a byte-order mark in front of the first name
        first = next((line for line in file if line.strip()), "")
        delimiter = max(",\t;|", key=first.count)
        file.seek(0)
        names = next((row for row in csv.reader(file, delimiter=delimiter) if any(cell.strip() for cell in row)), None)
    if names is None:
        raise UserError(f"{path}: is empty; its first line must name the columns")
    return delimiter, [name.strip() for name in names]


def _blank(frame: pd.DataFrame) -> pd.Series:
    """Rows without a single cell that holds something."""
    import pandas as pd

    blank = pd.Series(True, index=frame.index)
    for name in frame.columns:
        blank[blank] = frame.loc[blank, name].str.strip() == ""
        if not blank.any():
            break
    return blank


def _read_json_lines(path: Path) -> pd.DataFrame:
    columns: dict[str, list[str]] = {}
    count = 0
    with path.open(encoding="utf-8-sig", newline="\n") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                record = json.loads(line, parse_int=str, parse_float=str)
            except json.JSONDecodeError as error:
                raise UserError(f"{path}: line {number} is not JSON ({error.msg})") from error
            if not isinstance(record, dict):
                raise UserError(f"{path}: line {number} is not a JSON object")
            for name, value in record.items():
                column = columns.setdefault(name, [])
                column.extend([""] * (count - len(column)))  # rows before this one that did not have it
                column.append(as_text(value))
            count += 1
    return _frame(path, list(columns), [column + [""] * (count - len(column)) for column in columns.values()])


def _read_parquet(path: Path) -> pd.DataFrame:
    import pyarrow.parquet
    import pyarrow.types

    table = pyarrow.parquet.read_table(path)
    columns = [
        column.fill_null("")
        if pyarrow.types.is_string(column.type) or pyarrow.types.is_large_string(column.type)
        else [as_text(value) for value in column.to_pylist()]
        for column in table.columns
    ]
    return _frame(path, table.column_names, columns)


def _frame(path: Path, names: list[str], columns: Sequence[Any]) -> pd.DataFrame:
    import pandas as pd

    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise UserError(f"{path}: several columns have one name: {', '.join(map(repr, repeated))}")
    return pd.DataFrame({name: pd.Series(column, dtype="str") for name, column in zip(names, columns, strict=True)})


def as_text(value: Any) -> str:
    """A value as a table would write it; '' for None and NaN, and no '.0' at whole numbers."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))  # a column of ids with a gap in it is stored as floating point
    return str(value)


_READERS: dict[str, Callable[[Path], Any]] = {
    ".csv": _read_delimited,
    ".tsv": _read_delimited,
    ".txt": _read_delimited,
    ".jsonl": _read_json_lines,
    ".parquet": _read_parquet,
}
