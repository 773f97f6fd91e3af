"""A table for a terminal 120 columns wide, which is also the width of logs."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from orchestrator.tables import text
from orchestrator.tables.caption import sentences, warning
from orchestrator.tables.cells import Table
from search_spaces.table import Column, Row

if TYPE_CHECKING:
    import rich.table
    from rich.text import Text

WIDTH = 120
_STYLES = {"better": "bold green", "worse": "red", None: ""}


def terminal(table: Table) -> rich.table.Table:
    """For a rich console. Intervals stand dim below their numbers. Where there are fewer columns, numbers wrap, but none is cut."""
    from rich import box
    from rich.table import Table as RichTable
    from rich.text import Text

    shown = RichTable(
        title=f"{table.spec.title} ({table.spec.source})",
        caption=Text("\n".join(["", *filter(None, [warning(table), *sentences(table)])])),
        caption_justify="left",
        box=box.HORIZONTALS,
        show_edge=False,
        padding=(0, 1, 0, 0),
    )
    for title in table.spec.row_titles:
        shown.add_column(Text(title), overflow="fold")
    for column in table.spec.columns:
        shown.add_column(Text(text.title(column)), justify="right", overflow="fold")
        shown.add_column(Text("published"), justify="right", overflow="fold")
        if table.compares(column):
            shown.add_column(Text(text.difference_title(table)), justify="right", overflow="fold")
            shown.add_column(Text(text.P_HOLM), justify="right", overflow="fold")
    rows = table.spec.rows
    for row, following in zip(rows, [*rows[1:], None], strict=True):
        cells = [Text(label) for label in row.label]
        cells += [cell for column in table.spec.columns for cell in _cells(table, row, column)]
        shown.add_row(*cells, end_section=following is not None and text.starts_group(row, following))
    return shown


def plain(table: Table) -> str:
    """The same as text without colours."""
    from rich.console import Console

    console = Console(file=io.StringIO(), width=WIDTH)
    console.print(terminal(table))
    return console.file.getvalue()


def _cells(table: Table, row: Row, column: Column) -> list[Text]:
    from rich.text import Text

    cell, mark = table.cell(row, column), text.mark(table, row, column)
    # The mark comes first, so that the numbers stay below each other.
    number = Text.assemble(f"{mark} " if mark else "", (text.measured(cell, column), "bold" if cell.best else ""))
    cells = [_below(number, text.interval(cell, column)), Text("\n".join(text.published_lines(cell, column)), style="dim")]
    if table.compares(column):
        difference = Text(text.difference(table, row), style=_STYLES[table.verdict(row)])
        cells += [_below(difference, text.difference_interval(table, row)), Text(text.corrected_p(table, row))]
    return cells


def _below(number: Text, interval: str) -> Text:
    from rich.text import Text

    return number if interval == text.NOTHING else number + Text(f"\n{interval}", style="dim")
