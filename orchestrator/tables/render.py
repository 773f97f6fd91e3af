"""A table in any of its formats. The same table gives the same bytes."""

from __future__ import annotations

from enum import StrEnum

from orchestrator.tables.cells import Table
from orchestrator.tables.html import html_page
from orchestrator.tables.latex import latex
from orchestrator.tables.markdown import markdown
from orchestrator.tables.terminal import plain
from orchestrator.tables.tidy import tidy_csv


class Format(StrEnum):
    """The formats of a table."""

    terminal = "terminal"
    markdown = "markdown"
    latex = "latex"
    csv = "csv"
    html = "html"


def render(table: Table, form: Format) -> str:
    """The table as text that ends with a newline."""
    writers = {Format.markdown: markdown, Format.latex: latex, Format.csv: tidy_csv, Format.html: html_page, Format.terminal: plain}
    return writers[form](table)
