"""The headline metric of a one-dimensional sweep over its parameter, as a picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from orchestrator.tables import text
from orchestrator.tables.cells import Table
from orchestrator.tables.plotting import (
    BASELINE,
    DASHED,
    DIAMOND,
    MEAN,
    MEASURED,
    PUBLISHED,
    SEED,
    any_interval,
    any_published,
    legend,
    paper,
    png,
)
from search_spaces.table import Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_APART = 0.055  # of the height of the axes: labels closer than this would overlap
_MARGIN = 1.018  # of the width of the axes: a number outside belongs to no value of the parameter
_BAND: dict[str, Any] = {"color": MEASURED, "alpha": 0.15}
_RING: dict[str, Any] = {"marker": "o", "linestyle": "", "color": BASELINE, "markerfacecolor": "none", "markersize": 12}
_LEVEL: dict[str, Any] = {"color": "gray", "linewidth": 0.8}


def curve_figure(table: Table) -> bytes:
    """A PNG of a table whose spec has a curve.

    Over the parameter: the seeds as points, the mean as a line with a band for its interval, the published numbers as hollow
    diamonds. A row without the parameter is a level line with its name at the right; its published number is in the margin.
    The baseline has a ring, or a dashed line.

    Raises:
        ValueError: The axis is logarithmic and a value is not positive: the study's file is wrong.
    """
    curve = table.spec.curve
    points = points_of(table, table.spec.rows)
    levels = [row for row in table.spec.rows if not _is_number(row.params.get(curve.parameter))]
    figure, axes = paper(table, 4.6)
    if curve.log:
        axes.set_xscale("log")
    _draw_points(axes, table, points)
    _draw_levels(axes, table, levels)
    axes.set_xlabel(curve.title)
    axes.set_ylabel(text.title(table.headline))
    axes.grid(alpha=0.3)
    legend(figure, _styles(table, points))
    return png(figure)


def points_of(table: Table, rows: Sequence[Row]) -> list[tuple[float, Row]]:
    """The rows that have the curve's parameter, with its value, in the order of the values.

    Raises:
        ValueError: The axis is logarithmic and a value is not positive: the study's file is wrong.
    """
    curve = table.spec.curve
    values = [(row.params.get(curve.parameter), row) for row in rows]
    points = sorted(((float(value), row) for value, row in values if _is_number(value)), key=lambda point: point[0])
    if curve.log and points and points[0][0] <= 0:
        raise ValueError(f"curve of {table.spec.study!r}: {curve.parameter} = {points[0][0]:g} has no place on a logarithmic axis")
    return points


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _draw_points(axes: Axes, table: Table, points: list[tuple[float, Row]]) -> None:
    for value, row in points:
        cell = table.cell(row, table.headline)
        axes.plot([value] * len(cell.values), list(cell.values.values()), **SEED)
        if cell.published:
            axes.plot(value, cell.published.mean, **DIAMOND, zorder=4)
        if cell.statistics and row == table.baseline:
            axes.plot(value, cell.statistics.mean, **_RING)
    cells = [table.cell(row, table.headline) for _, row in points]
    values = [value for value, _ in points]
    means = [cell.statistics.mean if cell.statistics else math.nan for cell in cells]
    low, high = zip(*(cell.interval or (math.nan, math.nan) for cell in cells), strict=True) if cells else ((), ())
    axes.plot(values, means, linewidth=1.8, zorder=3, **MEAN)
    axes.fill_between(values, low, high, **_BAND, linewidth=0)


def _draw_levels(axes: Axes, table: Table, rows: list[Row]) -> None:
    """The lines, and their names at the right; call it last, because it keeps the axis as it then is."""
    known = [(statistics.mean, row) for row in rows if (statistics := table.statistics(row))]
    for mean, row in known:
        axes.axhline(mean, **(DASHED if row == table.baseline else _LEVEL), zorder=1)
    for mean, row in known:
        if source := table.cell(row, table.headline).published:
            place = {"transform": axes.get_yaxis_transform(), "clip_on": False}
            axes.plot([_MARGIN, _MARGIN], [mean, source.mean], color=PUBLISHED, linestyle=":", linewidth=1, **place)
            axes.plot(_MARGIN, source.mean, **DIAMOND, **place)
    low, high = axes.get_ylim()
    axes.set_ylim(low, high)
    known.sort(key=lambda level: level[0])
    for (mean, row), height in zip(known, spread([(mean - low) / (high - low) for mean, _ in known], _APART), strict=True):
        name = text.row_name(table, row) + (" (baseline)" if row == table.baseline else "")
        axes.annotate(
            name,
            xy=(1, (mean - low) / (high - low)),
            xytext=(1.05, height),
            xycoords="axes fraction",
            va="center",
            fontsize="small",
            arrowprops={"arrowstyle": "-", "relpos": (0, 0.5), "color": "gray", "linewidth": 0.5},
        )


def spread(heights: list[float], apart: float) -> list[float]:
    """Rising heights moved so that neighbours are at least ``apart``, and the last at most 1 where that is possible."""
    moved: list[float] = []
    for height in heights:
        moved.append(max(height, moved[-1] + apart) if moved else height)
    for index in range(len(moved) - 1, -1, -1):
        ceiling = moved[index + 1] - apart if index + 1 < len(moved) else 1.0
        moved[index] = min(moved[index], ceiling)
    return moved


def _styles(table: Table, points: list[tuple[float, Row]]) -> dict[str, dict[str, Any]]:
    styles = {"seeds": SEED, "mean": MEAN}
    if any_interval(table):
        styles["95 % interval"] = {**_BAND, "linewidth": 8}
    if any_published(table):
        styles["published"] = DIAMOND
    if any(row == table.baseline for _, row in points):
        styles["baseline"] = _RING
    return styles
