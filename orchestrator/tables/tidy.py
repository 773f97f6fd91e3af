"""A table as tidy CSV, for whoever computes on."""

from __future__ import annotations

import csv
import io

from orchestrator.records import CellStatistics
from orchestrator.tables.cells import Table
from orchestrator.tables.text import control_verdict
from search_spaces.table import Column, Row


def tidy_csv(table: Table) -> str:
    """One line per row and column, by its key, at full precision, intervals not clipped.

    The columns are those of :class:`orchestrator.records.CellStatistics` (p values, effect size and ``p_superior`` without unit,
    all else in the line's ``unit``), the verdict on the headline metric and the published numbers. ``p_null`` is there where a
    column has a null. Of a table with controls there are also the differences from the best of them, which one that is (its row),
    and the verdict on it.
    """
    controls = ["best_control", "control_verdict"] if table.has_controls else []
    absent = [] if any(column.null is not None for column in table.spec.columns) else ["p_null"]
    absent += [] if controls else [name for name in CellStatistics.model_fields if name.startswith("control_")]
    statistics = [name for name in CellStatistics.model_fields if name not in absent]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    published = ["published_mean", "published_std", "published_runs"]
    writer.writerow(["row", *table.spec.row_titles, "metric", "unit", *statistics, "verdict", *controls, *published])
    for row in table.spec.rows:
        for column in table.spec.columns:
            cell = table.cell(row, column)
            numbers = (
                [getattr(cell.statistics, name) for name in statistics] if cell.statistics else [0] + [None] * (len(statistics) - 1)
            )
            verdicts = _verdicts(table, row, column)[: 1 + len(controls)]
            source = [cell.published.mean, cell.published.std, cell.published.runs] if cell.published else [None] * 3
            unit = "percent" if column.percent else "1"
            writer.writerow([row.key, *row.label, column.key, unit, *map(_exact, numbers), *verdicts, *map(_exact, source)])
    return text.getvalue()


def _verdicts(table: Table, row: Row, column: Column) -> tuple[str, str, str]:
    """On the baseline, which control is the best, and on that; '' where nothing is compared."""
    if column != table.headline:
        return "", "", ""
    best = table.best_control.key if row.key in table.held else ""
    return table.verdict(row) or "", best, control_verdict(table, row)


def _exact(number: float | None) -> str:
    return "" if number is None else repr(number)
