"""How numbers, marks and titles are written, alike in every format."""

from __future__ import annotations

from orchestrator.tables.cells import Cell, Table
from search_spaces.table import Column, Row

NOTHING = "–"
MARKS = {"better": "†", "worse": "‡", None: ""}
NO_BETTER = "§"
EQUIVALENT = "≈"
INTERVAL = "95 % interval"
P_HOLM = "p (Holm)"


def title(column: Column) -> str:
    """A column's title with its unit."""
    return f"{column.title} (%)" if column.percent else column.title


def difference_title(table: Table) -> str:
    """Title of the column of differences, of a table that has a baseline."""
    return f"Δ vs {row_name(table, table.baseline)}"


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
    """``mean ± std (n)``, or without the deviation where there is none."""
    if cell.statistics is None:
        return NOTHING
    mean, std = number(cell.statistics.mean, column.decimals), cell.statistics.std
    deviation = "" if std is None else f" ± {number(std, column.decimals)}"
    return f"{mean}{deviation} ({cell.statistics.n})"


def mark(table: Table, row: Row, column: Column) -> str:
    """Beside a headline number: the marks of a row that is better or worse than the baseline, and no better than the best control,
    or ''.
    """
    if column != table.headline:
        return ""
    return MARKS[table.verdict(row)] + (NO_BETTER if table.no_better(row) else "")


def interval(cell: Cell, column: Column) -> str:
    """``[low, high]`` of the mean."""
    return _brackets(*(cell.interval or (None, None)), column)


def published(cell: Cell, column: Column) -> str:
    """The source's number, marked where the measured one is equivalent to it."""
    return " ".join(filter(None, published_lines(cell, column)))


def published_lines(cell: Cell, column: Column) -> tuple[str, str]:
    """The same in two lines, the deviation below, for formats that set intervals below their numbers."""
    if cell.published is None:
        return NOTHING, ""
    mean, std = number(cell.published.mean, column.decimals), cell.published.std
    return mean, " ".join(
        ([] if std is None else [f"± {number(std, column.decimals)}"]) + ([EQUIVALENT] if cell.equivalent else [])
    )


def difference(table: Table, row: Row) -> str:
    """The row's difference from the baseline in the headline metric."""
    if row.key == table.spec.baseline:
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
    """p of the row against the baseline after Holm's correction."""
    statistics = table.statistics(row)
    return probability(statistics.p_vs_baseline if statistics else None)


def control_difference(table: Table, row: Row) -> str:
    """The row's difference from the best control in the headline metric."""
    statistics = table.held().get(row.key)
    return number(statistics.control_difference if statistics else None, table.headline.decimals, sign=True)


def control_interval(table: Table, row: Row) -> str:
    """``[low, high]`` of the same."""
    statistics = table.held().get(row.key)
    ends = (statistics.control_low, statistics.control_high) if statistics else (None, None)
    return _brackets(*ends, table.headline)


def control_verdict(table: Table, row: Row) -> str:
    """Whether a row is better than the best control, in words; '' of a row that is not held against it."""
    if row.key not in table.held():
        return ""
    return "no better" if table.no_better(row) else "better"


def starts_group(previous: Row | None, row: Row) -> bool:
    """Whether a rule goes above a row: its first label of several is another one, or the controls begin below what they control."""
    if previous is None:
        return False
    return (len(row.label) > 1 and row.label[0] != previous.label[0]) or (row.control and previous.compared)


def _brackets(low: float | None, high: float | None, column: Column) -> str:
    if low is None or high is None:
        return NOTHING
    return f"[{number(low, column.decimals)}, {number(high, column.decimals)}]"
