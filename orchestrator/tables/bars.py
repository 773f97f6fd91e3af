"""Grouped bars of several columns over the rows of a table, such as an emotion's mean in healthy and in depressed subjects."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from orchestrator.tables.cells import ALPHA, Table
from orchestrator.tables.plotting import entitle, legend, png, svg
from orchestrator.tables.text import P_HOLM
from search_spaces.table import Bars, Panel, Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7")  # Okabe and Ito
_HATCHES = ("", "///", "...", "xxx")  # told apart in grey too
_WIDTH = 0.8  # of all bars of one row together; rows are 1 apart
_GAP = 0.9  # between groups
_MARGIN = 0.8  # beside the first and the last row
_WHISKER: dict[str, Any] = {"color": "black", "linewidth": 0.9, "linestyle": "-"}
_STAR: dict[str, Any] = {"marker": "*", "color": "black", "linestyle": "", "markersize": 7}


def is_bars(name: str) -> bool:
    """Whether a picture of this name is one of bars."""
    return name.startswith("bars_")


def bar_figures(table: Table) -> dict[str, bytes]:
    """A PNG and an SVG, by file name, for each value of the parameter that tells pictures apart.

    In it a panel below the other for each scale; in a panel the rows' bars side by side, by group; on each bar a whisker for its
    interval; above a row's bars a star where the tested column differs from its null. A row without one of the parameters is left
    out, and a number that is not there yet has no bar.
    """
    bars = table.spec.bars
    needed = {bars.picture, bars.group, bars.bar, bars.panel}
    rows = [row for row in table.spec.rows if needed <= row.params.keys()]
    files = {}
    for value in dict.fromkeys(str(row.params[bars.picture]) for row in rows):
        figure = _figure(table, bars, value, [row for row in rows if str(row.params[bars.picture]) == value])
        name = f"bars_{re.sub(r'[^a-z0-9]+', '-', value.lower()).strip('-')}"
        files |= {f"{name}.png": png(figure), f"{name}.svg": svg(figure)}
    return files


def _figure(table: Table, bars: Bars, picture: str, rows: Sequence[Row]) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    of_panel = {panel.value: [row for row in rows if str(row.params[bars.panel]) == panel.value] for panel in bars.panels}
    panels = [panel for panel in bars.panels if of_panel[panel.value]]
    figure = Figure(figsize=(7.5, 1.3 + 2.6 * len(panels)), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    entitle(figure, table, picture)
    for axes, panel in zip(figure.subplots(len(panels), squeeze=False)[:, 0], panels, strict=True):
        _draw_panel(axes, table, bars, panel, of_panel[panel.value])
    styles = {table.spec.column(key).title: _style(number) for number, key in enumerate(bars.columns)}
    test = table.spec.column(bars.test)
    starred = any(table.differs(row, test) for row in rows)
    if any(table.cell(row, table.spec.column(key)).interval for row in rows for key in bars.columns):
        styles["95 % interval"] = _WHISKER
    legend(figure, styles | ({f"{test.title}: {P_HOLM} < {ALPHA}": _STAR} if starred else {}))
    return figure


def _draw_panel(axes: Axes, table: Table, bars: Bars, panel: Panel, rows: Sequence[Row]) -> None:
    places = _places([str(row.params[bars.group]) for row in rows])
    tops = [_draw_row(axes, table, bars, panel, row, place) for row, place in zip(rows, places, strict=True)]
    highest = max([panel.low, *tops])
    high = panel.high if panel.high is not None else highest + (highest - panel.low) * 0.12
    for row, place, top in zip(rows, places, tops, strict=True):
        if table.differs(row, table.spec.column(bars.test)):
            axes.plot(place, top + (high - panel.low) * 0.04, clip_on=False, **_STAR)
    if high > panel.low:
        axes.set_ylim(panel.low, high)
    axes.set_xlim(places[0] - _MARGIN, places[-1] + _MARGIN)
    axes.set_xticks(places, [str(row.params[bars.bar]) for row in rows], fontsize="small", rotation=30 if len(rows) > 8 else 0)
    axes.tick_params(axis="x", length=0)
    for group in dict.fromkeys(str(row.params[bars.group]) for row in rows):
        inside = [place for place, row in zip(places, rows, strict=True) if str(row.params[bars.group]) == group]
        axes.annotate(
            group,
            xy=((inside[0] + inside[-1]) / 2, 1),
            xycoords=("data", "axes fraction"),
            xytext=(0, 2),
            textcoords="offset points",
            ha="center",
            va="bottom",
            fontweight="bold",
            fontsize="small",
        )
    axes.set_ylabel(panel.title)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", alpha=0.3)
    axes.set_axisbelow(True)


def _places(groups: Sequence[str]) -> list[float]:
    """Where each row stands: 1 apart, and further from the row before where that is of another group."""
    places: list[float] = []
    for number, group in enumerate(groups):
        apart = 1 if not number else 1 + _GAP * (group != groups[number - 1])
        places.append(places[-1] + apart if places else 0.0)
    return places


def _draw_row(axes: Axes, table: Table, bars: Bars, panel: Panel, row: Row, place: float) -> float:
    """Draw a row's bars; returns how high they and their intervals reach."""
    width, top = _WIDTH / len(bars.columns), panel.low
    for number, key in enumerate(bars.columns):
        column = table.spec.column(key)
        cell = table.cell(row, column)
        if cell.statistics is None:
            continue
        scale = 100.0 if panel.percent and not column.percent else 1.0
        mean, at = cell.statistics.mean * scale, place + (number + 0.5) * width - _WIDTH / 2
        axes.bar(at, mean - panel.low, width, bottom=panel.low, **_style(number))
        top = max(top, mean)
        if cell.interval:
            low, high = (end * scale for end in cell.interval)
            axes.errorbar(at, mean, yerr=[[mean - low], [high - mean]], capsize=2, **_WHISKER | {"linestyle": ""})
            top = max(top, high)
    return top


def _style(number: int) -> dict[str, Any]:
    """Of the bars of one column."""
    hatch = _HATCHES[number % len(_HATCHES)]
    return {"facecolor": _COLOURS[number % len(_COLOURS)], "hatch": hatch, "edgecolor": "white", "linewidth": 0}
