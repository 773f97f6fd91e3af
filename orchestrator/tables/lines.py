"""Several columns of a one-dimensional sweep over its parameter, in panels side by side, as one picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from orchestrator.tables import text
from orchestrator.tables.cells import Table
from orchestrator.tables.curve import points_of
from orchestrator.tables.plotting import DIAMOND, SEED, entitle, legend, png
from search_spaces.table import Column, Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_STYLES: tuple[dict[str, Any], ...] = (  # Okabe and Ito's colours; told apart in grey too
    {"color": "#0072b2", "marker": "s", "linestyle": "-"},
    {"color": "#d55e00", "marker": "o", "linestyle": "--"},
    {"color": "#009e73", "marker": "^", "linestyle": "-."},
    {"color": "#cc79a7", "marker": "v", "linestyle": ":"},
)
_LINE: dict[str, Any] = {"linewidth": 1.8, "markersize": 4.5}
_GREY = "#777777"
_ALPHA = 0.15


def lines_figure(table: Table) -> bytes:
    """A PNG of a table whose curve has several columns, or panels.

    In each panel over the parameter, for each column: the seeds as points, the mean as a line with a band for its interval, the
    published numbers as hollow diamonds of its colour. Panels have one upright axis. A row without the parameter, or without the
    one that tells panels apart, is left out.

    Raises:
        ValueError: The axis is logarithmic and a value is not positive: the study's file is wrong.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    curve, panels = table.spec.curve, _panels(table)
    figure = Figure(figsize=(7.5, 4.6), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    entitle(figure, table)
    every = figure.subplots(1, len(panels), squeeze=False, sharex=True, sharey=True)[0]
    for axes, (name, rows) in zip(every, panels.items(), strict=True):
        _draw_panel(axes, table, rows)
        axes.set_title(name, fontsize="medium")
        axes.set_xlabel(curve.title)
    every[0].set_ylabel(curve.upright or ", ".join(map(text.title, table.spec.curve_columns())))
    legend(figure, _legend(table))
    return png(figure)


def _panels(table: Table) -> dict[str, list[Row]]:
    """The rows of each panel, by its name, in the order of the table; one panel without a name where nothing tells them apart."""
    key = table.spec.curve.panel
    if not key:
        return {"": list(table.spec.rows)}
    names = dict.fromkeys(str(row.params[key]) for row in table.spec.rows if key in row.params)
    return {name: [row for row in table.spec.rows if str(row.params.get(key)) == name] for name in names}


def _draw_panel(axes: Axes, table: Table, rows: Sequence[Row]) -> None:
    from matplotlib.ticker import MaxNLocator

    points = points_of(table, rows)
    if table.spec.curve.log:
        axes.set_xscale("log")
    elif all(value.is_integer() for value, _ in points):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    for column, style in _styled(table):
        _draw_line(axes, table, column, points, style)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.3)


def _draw_line(axes: Axes, table: Table, column: Column, points: Sequence[tuple[float, Row]], style: dict[str, Any]) -> None:
    colour = style["color"]
    for value, row in points:
        cell = table.cell(row, column)
        axes.plot([value] * len(cell.values), list(cell.values.values()), **SEED | {"color": colour})
        if cell.published:
            axes.plot(value, cell.published.mean, **DIAMOND | {"color": colour}, zorder=4)
    values, cells = [value for value, _ in points], [table.cell(row, column) for _, row in points]
    axes.plot(values, [cell.statistics.mean if cell.statistics else math.nan for cell in cells], zorder=3, **_LINE, **style)
    low, high = zip(*(cell.interval or (math.nan, math.nan) for cell in cells), strict=True) if cells else ((), ())
    axes.fill_between(values, low, high, color=colour, alpha=_ALPHA, linewidth=0)


def _styled(table: Table) -> list[tuple[Column, dict[str, Any]]]:
    """Every column that is drawn, with the style of its line."""
    return [(column, _STYLES[number % len(_STYLES)]) for number, column in enumerate(table.spec.curve_columns())]


def _legend(table: Table) -> dict[str, dict[str, Any]]:
    cells = [table.cell(row, column) for row in table.spec.rows for column in table.spec.curve_columns()]
    styles = {column.title: {**_LINE, **style} for column, style in _styled(table)}
    styles["seeds"] = SEED | {"color": _GREY}
    if any(cell.interval for cell in cells):
        styles["95 % interval"] = {"color": _GREY, "alpha": 2 * _ALPHA, "linewidth": 8}
    if any(cell.published for cell in cells):
        styles["published"] = DIAMOND | {"color": _GREY}
    return styles
