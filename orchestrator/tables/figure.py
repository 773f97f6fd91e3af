"""The headline metric of a table as one picture: every seed, mean and interval, and the published numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orchestrator.tables import text
from orchestrator.tables.cells import Cell, Table
from orchestrator.tables.plotting import DASHED, DIAMOND, MEAN, SEED, any_interval, any_published, legend, paper, png

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_ROWS = 60
"""Of the picture: more are more than two screens high, and a thousand take longer to draw than all else of a table to make."""


def headline_figure(table: Table) -> bytes:
    """A PNG with a line per row: its seeds as points, the mean with its interval below them, the published number as a hollow
    diamond. A baseline's mean is a dashed line through all rows, or through those that stand with it where there are several; a
    thin line is the column's null.
    """
    rows, column = table.spec.rows, table.headline
    figure, axes = paper(table, 1.7 + 0.42 * len(rows))
    for height, row in enumerate(rows):
        _draw(axes, table.cell(row, column), height)
    mean = "mean, 95 % interval" if any_interval(table) else "mean"
    styles = {"seeds": SEED, mean: MEAN, **({"published": DIAMOND} if any_published(table) else {})}
    styles |= _draw_baselines(axes, table)
    if column.null is not None:
        axes.axvline(column.null, color="gray", linewidth=0.8, zorder=0)
    marks = [text.mark(table, row, column) for row in rows]
    labels = [" · ".join(filter(None, row.label)) for row in rows]
    axes.set_yticks(range(len(rows)), [f"{label} {mark}".strip() for label, mark in zip(labels, marks, strict=True)])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlabel(text.title(column))
    axes.grid(axis="x", alpha=0.3)
    legend(figure, styles)
    return png(figure)


def _draw_baselines(axes: Axes, table: Table) -> dict[str, dict[str, Any]]:
    """The dashed lines, and what the legend says of them."""
    rows, known = table.spec.rows, [row for row in table.baselines if table.statistics(row)]
    if table.baseline and not known and table.statistics(table.baseline):
        known = [table.baseline]  # which no row is compared with
    for row in known:
        heights = [height for height, other in enumerate(rows) if table.spec.family(other) == row.key]
        if len(known) == 1:
            axes.axvline(table.statistics(row).mean, **DASHED, zorder=0)
        else:
            axes.plot([table.statistics(row).mean] * 2, [min(heights) - 0.5, max(heights) + 0.5], **DASHED, zorder=0)
    if not known:
        return {}
    return {f"{text.row_name(table, known[0])} (baseline)" if len(known) == 1 else "baseline of these rows": DASHED}


def _draw(axes: Axes, cell: Cell, height: int) -> None:
    axes.plot(list(cell.values.values()), [height] * len(cell.values), **SEED)
    if cell.statistics:
        mean = cell.statistics.mean
        reach = [[mean - cell.interval[0]], [cell.interval[1] - mean]] if cell.interval else None
        axes.errorbar(mean, height + 0.22, xerr=reach, capsize=3, **MEAN)
    if cell.published:
        axes.plot(cell.published.mean, height - 0.22, **DIAMOND)
