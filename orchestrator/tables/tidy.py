"""A table as tidy CSV, for whoever computes on."""

from __future__ import annotations

import csv
import io

from orchestrator.records import CellStatistics
from orchestrator.tables.cells import Table


def tidy_csv(table: Table) -> str:
    """One line per row and metric at full precision, intervals not clipped.

    The columns are those of :class:`orchestrator.records.CellStatistics` (p values, effect size and ``p_superior`` without unit,
    all else in the line's ``unit``), the verdict on the headline metric and the published numbers.
    """
    statistics = list(CellStatistics.model_fields)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    published = ["published_mean", "published_std", "published_runs"]
    writer.writerow(["row", *table.spec.row_titles, "metric", "unit", *statistics, "verdict", *published])
    for row in table.spec.rows:
        for column in table.spec.columns:
            cell = table.cell(row, column)
            numbers = (
                [getattr(cell.statistics, name) for name in statistics] if cell.statistics else [0] + [None] * (len(statistics) - 1)
            )
            verdict = table.verdict(row) if column == table.headline else None
            source = [cell.published.mean, cell.published.std, cell.published.runs] if cell.published else [None] * 3
            unit = "percent" if column.percent else "1"
            writer.writerow([row.key, *row.label, column.metric, unit, *map(_exact, numbers), verdict or "", *map(_exact, source)])
    return text.getvalue()


def _exact(number: float | None) -> str:
    return "" if number is None else repr(number)
