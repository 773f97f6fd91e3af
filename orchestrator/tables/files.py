"""The files of a table: every format and picture, made before the first is written."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from orchestrator.tables.cells import Table
from orchestrator.tables.html import html_page
from orchestrator.tables.pictures import pictures
from orchestrator.tables.render import Format, render
from trainables.errors import UserError

_TEXTS = {Format.markdown: "table.md", Format.latex: "table.tex", Format.csv: "table.csv"}


def table_files(table: Table, drawn: Mapping[str, bytes] | None = None) -> dict[str, bytes]:
    """By file name: Markdown, LaTeX, CSV, the page, and the pictures (``drawn`` where they are there already)."""
    drawn = pictures(table) if drawn is None else drawn
    texts = {name: render(table, form) for form, name in _TEXTS.items()}
    texts["table.html"] = html_page(table, drawn)
    return {**{name: words.encode() for name, words in texts.items()}, **drawn}


def write_files(files: Mapping[str, bytes], folder: Path) -> list[Path]:
    """Write files, by path within ``folder``, which is made; returns where they are.

    Raises:
        UserError: A file cannot be written.
    """
    written = []
    for name, content in files.items():
        path = folder / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        except OSError as error:
            raise UserError(f"cannot write {path}: {error.strerror}; give --output a place that can be written") from error
        written.append(path)
    return written
