"""What the readers of official layouts share: finding the layout, listing without macOS' leavings, and reading tables as text."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from trainables.errors import UserError

if TYPE_CHECKING:
    import pandas as pd


def find_below(folder: Path, looks_right: Callable[[Path], bool]) -> Path | None:
    """Where a layout begins, if the user gave its folder, or one a level too deep or too high.

    Args:
        folder: As given.
        looks_right: Whether the layout begins in a folder. A folder that cannot be read does not look right.

    Returns:
        The first that looks right of the folder itself, its parent, and its direct children by name; hidden children are not
        looked at. None if there is none.
    """
    return next((candidate for candidate in _candidates(folder) if _holds(looks_right, candidate)), None)


def visible(folder: Path, pattern: str = "*") -> list[Path]:
    """What matches a pattern below a folder, sorted, without names that begin with a dot.

    ``Path.glob`` gives the AppleDouble files (``._Ses01F_impro01.txt``) that macOS leaves in archives, which hold neither text nor
    audio.

    Args:
        folder: Where to look; nothing is found in one that is not there.
        pattern: As in ``Path.glob``.
    """
    return sorted(path for path in folder.glob(pattern) if not path.name.startswith("."))


def folders_in(folder: Path) -> list[Path]:
    """The visible folders that lie directly in a folder, sorted.

    Raises:
        OSError: It cannot be listed.
    """
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def read_text(path: Path) -> str:
    """A text file without its byte-order mark; bytes that are not UTF-8 become U+FFFD, because labels beside them are sound.

    Raises:
        UserError: It cannot be read.
    """
    try:
        return path.read_bytes().decode("utf-8-sig", errors="replace")
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); copy it again") from error


def read_rows(path: Path, delimiter: str = ",", quoting: int = csv.QUOTE_MINIMAL, *, short_rows: bool = False) -> pd.DataFrame:
    """A delimited text with a header, every cell a str: ids may be all digits, or begin with '-'.

    Args:
        path: The file; LF, CRLF and blank lines are alike.
        delimiter: Between cells.
        quoting: A constant of :mod:`csv`.
        short_rows: Whether cells may be missing at the end of a row (they are then ''), as editors that trim blanks leave it.

    Returns:
        One row per line, with the header's names, stripped and in their own case.

    Raises:
        UserError: Unreadable, without a header, or a row with another number of cells than the header.
    """
    import pandas as pd

    reader = csv.reader(io.StringIO(read_text(path), newline=""), delimiter=delimiter, quoting=quoting)  # type: ignore[arg-type]
    try:
        lines = [(reader.line_num, row) for row in reader if "".join(row).strip()]
    except csv.Error as error:
        raise UserError(f"{path}: line {reader.line_num} cannot be read ({error})") from error
    if not lines:
        raise UserError(f"{path}: is empty; its first line must name the columns")
    names = [name.strip() for name in lines[0][1]]
    if len(set(names)) < len(names):
        repeated = sorted({name for name in names if names.count(name) > 1})
        raise UserError(f"{path}: several columns have one name: {', '.join(map(repr, repeated))}")
    rows = []
    for number, row in lines[1:]:
        if len(row) > len(names) or (len(row) < len(names) and not short_rows):
            raise UserError(
                f"{path}: line {number} has {len(row)} cells, the header {len(names)}; mend the line or copy the file again"
            )
        rows.append(row if len(row) == len(names) else row + [""] * (len(names) - len(row)))
    return pd.DataFrame(rows, columns=names, dtype="str")


def _candidates(folder: Path) -> Iterator[Path]:
    """Lazily, because the children are seldom needed and may be many."""
    yield folder
    yield folder.parent
    try:
        yield from sorted(path for path in folder.iterdir() if not path.name.startswith(".") and path.is_dir())
    except OSError:
        return


def _holds(looks_right: Callable[[Path], bool], folder: Path) -> bool:
    try:
        return looks_right(folder)
    except (OSError, UserError):
        return False
