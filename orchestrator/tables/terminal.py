"""A table for a terminal 120 columns wide, which is also the width of logs."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

from orchestrator.tables import text
from orchestrator.tables.caption import sentences, warning
from orchestrator.tables.cells import Table
from search_spaces.table import Column, Row

if TYPE_CHECKING:
    import rich.table
    from rich.console import Group, RenderableType
    from rich.text import Text

WIDTH = 120
_STYLES = {"better": "bold green", "worse": "red", None: ""}


def terminal(table: Table) -> Group:
    """For a rich console. Intervals stand dim below their numbers. Columns that do not fit beside the others stand below them,
    after the rows' labels once more. Where a terminal is narrower, numbers wrap, but none is cut.
    """
    from rich.console import Group
    from rich.text import Text

    blocks = [_block(table, columns) for columns in _fitting(table)]
    blocks[0].title = f"{table.spec.title} ({table.spec.source})"
    said = Text("\n".join(["", *filter(None, [warning(table), *sentences(table)])]))
    if len(blocks) == 1:
        blocks[0].caption = said
        return Group(*blocks)
    between = [part for block in blocks for part in (Text(""), block)][1:]
    said.stylize("table.caption")
    return Group(*between, said)  # over the whole width: the last block may be narrow


def _fitting(table: Table) -> list[list[Column]]:
    """The columns in their order, in as few blocks as break no number; a column that is too wide by itself has its own."""
    blocks: list[list[Column]] = [[]]
    for column in table.spec.columns:
        if blocks[-1] and not _is_whole(table, [*blocks[-1], column]):
            blocks.append([])
        blocks[-1].append(column)
    return blocks


def _is_whole(table: Table, columns: Sequence[Column]) -> bool:
    """Whether these columns fit beside each other with every number in one line; titles and labels may wrap."""
    shown = _as_text(_block(table, columns))
    cells = [(table.cell(row, column), column) for row in table.spec.rows for column in columns]
    return all(words(cell, column) in shown for cell, column in cells for words in (text.measured, text.interval))


def _block(table: Table, columns: Sequence[Column]) -> rich.table.Table:
    from rich import box
    from rich.table import Table as RichTable
    from rich.text import Text

    shown = RichTable(caption_justify="left", box=box.HORIZONTALS, show_edge=False, padding=(0, 1, 0, 0))
    for title in table.spec.row_titles:
        shown.add_column(Text(title), overflow="fold")
    for column in columns:
        shown.add_column(Text(text.title(column)), justify="right", overflow="fold")
        if beside := text.beside_title(table, column):
            shown.add_column(Text(beside), justify="right", overflow="fold")
        if table.compares(column):
            shown.add_column(Text(text.difference_title(table)), justify="right", overflow="fold")
            shown.add_column(Text(text.P_HOLM), justify="right", overflow="fold")
    rows = text.rows_beside(table, columns)
    for row, following in zip(rows, [*rows[1:], None], strict=True):
        cells = [Text(label) for label in row.label]
        cells += [cell for column in columns for cell in _cells(table, row, column)]
        shown.add_row(*cells, end_section=following is not None and text.starts_group(row, following))
    return shown


def plain(table: Table) -> str:
    """The same as text without colours."""
    return _as_text(terminal(table))


def _as_text(shown: RenderableType) -> str:
    from rich.console import Console

    console = Console(file=io.StringIO(), width=WIDTH)
    console.print(shown)
    return console.file.getvalue()


def _cells(table: Table, row: Row, column: Column) -> list[Text]:
    from rich.text import Text

    cell, mark = table.cell(row, column), text.mark(table, row, column)
    # The mark comes first, so that the numbers stay below each other.
    number = Text.assemble(f"{mark} " if mark else "", (text.measured(cell, column), "bold" if cell.best else ""))
    cells = [_below(number, text.interval(cell, column))]
    if text.beside_title(table, column):
        cells.append(Text("\n".join(text.beside_lines(cell, column)), style="dim"))
    if table.compares(column):
        difference = Text(text.difference(table, row), style=_STYLES[table.verdict(row)])
        cells += [_below(difference, text.difference_interval(table, row)), Text(text.corrected_p(table, row))]
    return cells


def _below(number: Text, interval: str) -> Text:
    from rich.text import Text

    return number if interval == text.NOTHING else number + Text(f"\n{interval}", style="dim")
