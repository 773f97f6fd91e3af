"""The headline metric of a table as one picture: every seed, mean and interval, and the published numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.tables import text
from orchestrator.tables.cells import Cell, Table
from orchestrator.tables.plotting import DASHED, DIAMOND, MEAN, SEED, any_interval, any_published, legend, paper, png

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def headline_figure(table: Table) -> bytes:
    """A PNG with a line per row: its seeds as points, the mean with its interval below them, the published number as a hollow
    diamond; the baseline's mean is a dashed line through all rows.
    """
    rows, column = table.spec.rows, table.headline
    figure, axes = paper(table, 1.7 + 0.42 * len(rows))
    for height, row in enumerate(rows):
        _draw(axes, table.cell(row, column), height)
    mean = "mean, 95 % interval" if any_interval(table) else "mean"
    styles = {"seeds": SEED, mean: MEAN, **({"published": DIAMOND} if any_published(table) else {})}
    baseline = table.statistics(table.baseline) if table.baseline else None
    if baseline:
        axes.axvline(baseline.mean, **DASHED, zorder=0)
        styles[f"{text.row_name(table, table.baseline)} (baseline)"] = DASHED
    marks = [text.mark(table, row, column) for row in rows]
    labels = [" · ".join(filter(None, row.label)) for row in rows]
    axes.set_yticks(range(len(rows)), [f"{label} {mark}".strip() for label, mark in zip(labels, marks, strict=True)])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlabel(text.title(column))
    axes.grid(axis="x", alpha=0.3)
    legend(figure, styles)
    return png(figure)


def _draw(axes: Axes, cell: Cell, height: int) -> None:
    axes.plot(list(cell.values.values()), [height] * len(cell.values), **SEED)
    if cell.statistics:
        mean = cell.statistics.mean
        reach = [[mean - cell.interval[0]], [cell.interval[1] - mean]] if cell.interval else None
        axes.errorbar(mean, height + 0.22, xerr=reach, capsize=3, **MEAN)
    if cell.published:
        axes.plot(cell.published.mean, height - 0.22, **DIAMOND)
