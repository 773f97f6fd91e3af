"""Finding a corpus' table of segments and reading it: CSV, TSV, JSON lines or Parquet, every value as text.

Text first, because ids may be all digits ('007') or start with '-', and a reader that guesses types loses them.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainables.errors import Faults, UserError

if TYPE_CHECKING:
    import pandas as pd

MANIFEST_NAMES = (
    "manifest.csv",
    "manifest.tsv",
    "manifest.parquet",
    "metadata.csv",
    "metadata.jsonl",
    "metadata.parquet",
)
"""File names looked for where corpora.toml names none (``metadata.*``: Hugging Face audiofolder)."""

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
        if not (root / named).is_file():
            faults.add(f"manifest {named!r} is not in {root}; found there: {_contents(root)}")
            return []
        return [(root / named, "")]
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


def read_table(path: Path) -> pd.DataFrame:
    """Read a table; every value a str, '' where there is none.

    Raises:
        UserError: Not of a known kind, not UTF-8, or damaged; names the file and, where it can, the line.
    """
    read = _READERS.get(path.suffix.lower())
    if read is None:
        raise UserError(f"{path}: unknown kind of table {path.suffix!r}; expected one of {', '.join(_READERS)}")
    try:
        return read(path)
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 text (byte {error.start}); save it as UTF-8") from error
    except (OSError, ValueError, csv.Error) as error:
        raise UserError(f"{path}: cannot be read ({error})") from error


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
    text = path.read_bytes().decode("utf-8-sig")  # -sig: spreadsheets put a byte-order mark in front of the first column's name
    header = text.split("\n", 1)[0]
    delimiter = max(",\t;|", key=header.count)
    rows = [row for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter) if any(cell.strip() for cell in row)]
    if not rows:
        raise UserError(f"{path}: is empty; its first line must name the columns")
    names, body = [name.strip() for name in rows[0]], rows[1:]
    for number, row in enumerate(body, 2):
        if len(row) != len(names):
            raise UserError(
                f"{path}: row {number} has {len(row)} cells, the header {len(names)}; quote cells that hold {delimiter!r}"
            )
    return _frame(path, names, body)


def _read_json_lines(path: Path) -> pd.DataFrame:
    records: list[dict[str, Any]] = []
    for number, line in enumerate(path.read_bytes().decode("utf-8-sig").splitlines(), 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line, parse_int=str, parse_float=str)
        except json.JSONDecodeError as error:
            raise UserError(f"{path}: line {number} is not JSON ({error.msg})") from error
        if not isinstance(record, dict):
            raise UserError(f"{path}: line {number} is not a JSON object")
        records.append(record)
    names = list(dict.fromkeys(name for record in records for name in record))
    return _frame(path, names, [[_as_text(record.get(name)) for name in names] for record in records])


def _read_parquet(path: Path) -> pd.DataFrame:
    import pyarrow.parquet

    table = pyarrow.parquet.read_table(path)
    columns = [[_as_text(value) for value in column.to_pylist()] for column in table.columns]
    return _frame(path, table.column_names, list(zip(*columns, strict=True)))


def _frame(path: Path, names: list[str], rows: list[Any]) -> pd.DataFrame:
    import pandas as pd

    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise UserError(f"{path}: several columns have one name: {', '.join(map(repr, repeated))}")
    return pd.DataFrame(rows, columns=names, dtype="str")


def _as_text(value: Any) -> str:
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
