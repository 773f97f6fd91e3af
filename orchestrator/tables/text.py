"""How numbers, marks and titles are written, alike in every format."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.tables.cells import Cell, Table
from search_spaces.table import Column, Row

NOTHING = "–"
MARKS = {"better": "†", "worse": "‡", None: ""}
NO_BETTER = "§"
DIFFERS = "★"
EQUIVALENT = "≈"
INTERVAL = "95 % interval"
P_HOLM = "p (Holm)"


def title(column: Column) -> str:
    """A column's title with its unit."""
    if not column.percent:
        return column.title
    return f"{column.title} ({'points' if column.minus else '%'})"


def beside_title(table: Table, column: Column) -> str | None:
    """Title of what stands beside a column's numbers: p where they are tested, else the source's numbers; None for a column that
    is neither tested nor ranked, and that the source has no number of; nor of a ranked one, where it has some of other columns.
    """
    if column.null is not None:
        return P_HOLM
    having = table.published_columns
    return "published" if (column.key in having if having else column.ranked) else None


def has_interval(column: Column) -> bool:
    """Whether the column's numbers can have intervals; a maximum has none."""
    return column.over_seeds != "max" or bool(column.minus)


def beside_lines(cell: Cell, column: Column) -> tuple[str, str]:
    """What stands beside a number, in two lines: p, or the source's number with its deviation below."""
    if column.null is not None:
        return probability(cell.statistics.p_null if cell.statistics else None), ""
    return published_lines(cell, column)


def beside(cell: Cell, column: Column) -> str:
    """The same in one line."""
    return " ".join(filter(None, beside_lines(cell, column)))


def difference_title(table: Table) -> str:
    """Title of the column of differences, of a table that has a baseline."""
    return f"Δ vs {baseline_name(table)}"


def baseline_name(table: Table) -> str:
    """What the rows are compared with, in running text."""
    return row_name(table, table.baselines[0]) if len(table.baselines) == 1 else "its baseline"


def row_name(table: Table, row: Row) -> str:
    """A row in running text: the last of its labels, or all of them where another row has the same."""
    alike = [other for other in table.spec.rows if other.label[-1] == row.label[-1]]
    return row.label[-1] if len(alike) == 1 else " · ".join(filter(None, row.label))


def number(value: float | None, decimals: int, sign: bool = False) -> str:
    """A number at fixed precision; zero has no sign."""
    if value is None:
        return NOTHING
    rounded = round(value, decimals) + 0.0  # turns -0.0 into 0.0
    return f"{rounded:{'+' if sign and rounded else ''}.{decimals}f}"


def measured(cell: Cell, column: Column) -> str:
    """``mean ± std (n)``, or without the deviation where there is none; a gap and what is tested against 0 have a sign."""
    if cell.statistics is None:
        return NOTHING
    signed = bool(column.minus) or column.null == 0
    mean, std = number(cell.statistics.mean, column.decimals, signed), cell.statistics.std
    deviation = "" if std is None else f" ± {number(std, column.decimals)}"
    return f"{mean}{deviation} ({cell.statistics.n})"


def mark(table: Table, row: Row, column: Column) -> str:
    """Beside a number: that it differs from the column's null; beside a headline number also that the row is better or worse than
    its baseline, and no better than the best control; or ''.
    """
    differs = DIFFERS if table.differs(row, column) else ""
    if column != table.headline:
        return differs
    return differs + MARKS[table.verdict(row)] + (NO_BETTER if table.no_better(row) else "")


def interval(cell: Cell, column: Column) -> str:
    """``[low, high]`` of the mean."""
    return _brackets(*(cell.interval or (None, None)), column)


def published_lines(cell: Cell, column: Column) -> tuple[str, str]:
    """The source's number, and below it its deviation and the mark of a measured one that is equivalent to it."""
    if cell.published is None:
        return NOTHING, ""
    mean, std = number(cell.published.mean, column.decimals), cell.published.std
    return mean, " ".join(
        ([] if std is None else [f"± {number(std, column.decimals)}"]) + ([EQUIVALENT] if cell.equivalent else [])
    )


def difference(table: Table, row: Row) -> str:
    """The row's difference from its baseline in the headline metric."""
    if row in table.baselines:
        return "baseline"
    statistics = table.statistics(row)
    return number(statistics.difference if statistics else None, table.headline.decimals, sign=True)


def difference_interval(table: Table, row: Row) -> str:
    """``[low, high]`` of the difference."""
    statistics = table.statistics(row)
    ends = (statistics.difference_low, statistics.difference_high) if statistics else (None, None)
    return _brackets(*ends, table.headline)


def probability(p: float | None) -> str:
    """A p value."""
    if p is None:
        return NOTHING
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def corrected_p(table: Table, row: Row) -> str:
    """p of the row against its baseline after Holm's correction."""
    statistics = table.statistics(row)
    return probability(statistics.p_vs_baseline if statistics else None)


def control_difference(table: Table, row: Row) -> str:
    """The row's difference from the best control in the headline metric."""
    statistics = table.held.get(row.key)
    return number(statistics.control_difference if statistics else None, table.headline.decimals, sign=True)


def control_interval(table: Table, row: Row) -> str:
    """``[low, high]`` of the same."""
    statistics = table.held.get(row.key)
    ends = (statistics.control_low, statistics.control_high) if statistics else (None, None)
    return _brackets(*ends, table.headline)


def control_verdict(table: Table, row: Row) -> str:
    """Whether a row is better than the best control, in words; '' of a row that is not held against it."""
    if row.key not in table.held:
        return ""
    return "no better" if table.no_better(row) else "better"


def rows_beside(table: Table, columns: Sequence[Column]) -> list[Row]:
    """The rows to show where some of the columns stand by themselves: all but those that have something in other columns alone."""
    shown = {
        row.key: {
            column.key for column in table.spec.columns if table.cell(row, column).statistics or table.cell(row, column).published
        }
        for row in table.spec.rows
    }
    here = {column.key for column in columns}
    return [row for row in table.spec.rows if shown[row.key] & here or not shown[row.key]]


def starts_group(previous: Row | None, row: Row) -> bool:
    """Whether a rule goes above a row: its first label of several is another one, or the controls begin below what they control."""
    if previous is None:
        return False
    return (len(row.label) > 1 and row.label[0] != previous.label[0]) or (row.control and previous.compared)


def _brackets(low: float | None, high: float | None, column: Column) -> str:
    if low is None or high is None:
        return NOTHING
    return f"[{number(low, column.decimals)}, {number(high, column.decimals)}]"
