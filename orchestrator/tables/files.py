"""The files of a table: every format and picture, made before the first is written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from orchestrator.tables.cells import Table
from orchestrator.tables.html import html_page
from orchestrator.tables.pictures import pictures
from orchestrator.tables.render import Format, render
from trainables.errors import UserError

REFUSED = "REFUSED.txt"
"""Beside the files of a table that are older than the refusal of the present one."""

_TEXTS = {Format.markdown: "table.md", Format.latex: "table.tex", Format.csv: "table.csv"}


def table_files(table: Table, drawn: Mapping[str, bytes] | None = None) -> dict[str, bytes]:
    """By file name: Markdown, LaTeX, CSV, the page, and the pictures (``drawn`` where they are there already)."""
    drawn = pictures(table) if drawn is None else drawn
    texts = {name: render(table, form) for form, name in _TEXTS.items()}
    texts["table.html"] = html_page(table, drawn)
    return {**{name: words.encode() for name, words in texts.items()}, **drawn}


def write_files(files: Mapping[str, bytes], folder: Path) -> list[Path]:
    """Write files, by path within ``folder``, which is made; returns where they are.

    A refusal (:func:`write_refusal`) that is in a folder written to is removed.

    Raises:
        UserError: A file cannot be written.
    """
    written = [write_file(folder / name, content) for name, content in files.items()]
    for place in sorted({path.parent for path in written}):
        (place / REFUSED).unlink(missing_ok=True)
    return written


def write_refusal(folder: Path, reasons: Iterable[str]) -> None:
    """Say in a study's folder, if there is one, why the files in it are not those of the present table.

    Raises:
        UserError: It cannot be written.
    """
    if folder.is_dir():
        listed = "".join(f"  - {reason}\n" for reason in reasons)
        text = f"The table of {folder.name} was refused, so any table here is an older one and not to be quoted:\n{listed}"
        write_file(folder / REFUSED, text.encode())


def write_file(path: Path, content: bytes) -> Path:
    """Write one file, in a folder that is made.

    Raises:
        UserError: It cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}; give --output a place that can be written") from error
    return path
