"""What the caption says of columns that are no plain means, and of those that are tested against a value."""

from __future__ import annotations

from orchestrator.statistics.over_seeds import of_plain_means
from orchestrator.tables.cells import ALPHA, Table
from orchestrator.tables.text import DIFFERS, title
from search_spaces.table import Column


def columns_caption(table: Table) -> list[str]:
    """A sentence for each such column."""
    told = [(_derived if column.suffix else _tested)(table, column) for column in table.spec.columns]
    return [sentence for sentence in told if sentence]


def two_level_words(seeds: set[int]) -> str:
    """What the two-level intervals over these numbers of seeds cover."""
    if seeds == {1}:
        return "over speakers alone, not over seeds, of which there is one"
    return "two-level (speakers × seeds)" + (", but over speakers alone where there is one seed" if 1 in seeds else "")


def _derived(table: Table, column: Column) -> str:
    interval = _interval(table, column)
    if column.minus:
        return f"{column.title}: {_words(table, column)} less {table.spec.column(column.minus).title}{_unit(column)}; {interval}."
    if column.over_seeds == "max":
        grows = "which grows with n and is too high for the seed that it is of"
        return f"{column.title}: {_words(table, column)}, {grows}; {interval}."
    return f"{column.title}: {_words(table, column)}, the mean where several tie; {interval}."


def _words(table: Table, column: Column) -> str:
    metric = _called(table, column.metric)
    if column.over_seeds == "max":
        return f"the maximum of {metric} over the n seeds"
    if column.over_seeds == "at_best":
        return f"{metric} at the one of n seeds that is best by {_called(table, column.best_by)}"
    return f"the mean of {metric} over the n seeds"


def _called(table: Table, metric: str) -> str:
    """A metric by the title of the column of its mean, if the table has one."""
    return next((column.title for column in table.spec.columns if column.key == metric), metric)


def _unit(column: Column) -> str:
    return ", in percentage points" if column.percent else ""


def _interval(table: Table, column: Column) -> str:
    cells = [table.cell(row, column) for row in table.spec.rows]
    shown = [cell for cell in cells if cell.interval]
    if not shown:
        return "it has no interval"
    if column.minus and of_plain_means(column, table.spec.column(column.minus)):
        return f"the 95 % interval is {two_level_words({cell.statistics.n for cell in shown})}, by Student's t"
    return "the 95 % interval is over speakers alone, not over seeds" + (", by Student's t" if column.minus else "")


def _tested(table: Table, column: Column) -> str:
    """Of the test against the column's null, where there is one."""
    cells = {row.key: table.cell(row, column) for row in table.spec.rows} if column.null is not None else {}
    seeds = {cell.statistics.n for cell in cells.values() if cell.statistics and cell.statistics.p_null is not None}
    if not seeds:
        return ""
    rows = sum(cell.statistics is not None and cell.statistics.p_null is not None for cell in cells.values())
    t = "Student's t over speakers" if seeds == {1} else f"{two_level_words(seeds)} t"
    sentence = f"p of {title(column)}: that its mean is {column.null:g}; {t}; corrected by Holm over {rows} {_rows(rows)}"
    marked = any(table.differs(row, column) for row in table.spec.rows)
    return f"{sentence}; {DIFFERS} p < {ALPHA}." if marked else f"{sentence}; nowhere is p < {ALPHA}."


def _rows(count: int) -> str:
    return "row" if count == 1 else "rows"
