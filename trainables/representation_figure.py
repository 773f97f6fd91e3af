"""How a map of utterances is drawn: the same points twice, coloured by emotion and by speaker."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from trainables.pictures import COLOURS

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MARKERS = ("o", "^")
NAMED = 10
"""Values of a column with a colour of their own; the others are grey."""
_ID = 14  # characters of a name in the legend
_LINE = 100  # of the title


class Probe(NamedTuple):
    """The number of a colouring: the unweighted average recall of a linear probe, and how many classes it has."""

    uar: float
    classes: int

    def words(self, column: str) -> str:
        """As a title has it."""
        number = f"UAR {100 * self.uar:.1f} % (chance {100 / self.classes:.1f} %)"
        return f"by {column}; linear probe of {self.classes} {column}s: {number}"


def map_figure(table: pd.DataFrame, title: str, emotions: Sequence[str], emotion: Probe, speaker: Probe) -> Figure:
    """A figure of two panels with the same points; the axes of a t-SNE have no unit, and so no numbers.

    Args:
        table: Columns ``x``, ``y``, ``emotion``, ``speaker``; one row per point.
        title: Above both.
        emotions: All that have a colour, in the order of the legend; those that do not occur are left out.
        emotion: The number above the left panel.
        speaker: That above the right one.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 5.6), dpi=120, layout="constrained")
    figure.suptitle(textwrap.fill(title, _LINE), fontsize="medium")
    present = [name for name in emotions if (table["emotion"] == name).any()]
    speakers = table["speaker"].value_counts().sort_index().sort_values(ascending=False, kind="stable").index[:NAMED]
    for axes, column, values, probe in zip(
        figure.subplots(1, 2), ("emotion", "speaker"), (present, sorted(speakers)), (emotion, speaker), strict=True
    ):
        axes.set_title(probe.words(column), fontsize="small")
        _draw(axes, table, column, values)
    return figure


def _draw(axes: Axes, table: pd.DataFrame, column: str, values: Sequence[str]) -> None:
    """The points, a colour and marker for each value; the others below them in grey."""
    labels, others = [_label(value) for value in values], table[~table[column].isin(values)]
    if count := others[column].nunique():
        axes.scatter(others["x"], others["y"], s=8, color="#bbbbbb", linewidths=0)
        labels.insert(0, f"{count} others" if count > 1 else "1 other")
    for number, value in enumerate(values):
        among, marker = table[table[column] == value], _MARKERS[number // len(COLOURS)]
        style = {"color": COLOURS[number % len(COLOURS)], "marker": marker, "edgecolors": "#444444", "linewidths": 0.2}
        axes.scatter(among["x"], among["y"], s=16, alpha=0.8, **style)
    axes.spines[:].set_color("#bbbbbb")
    axes.set_aspect("equal", adjustable="datalim")
    axes.set_xticks([])
    axes.set_yticks([])
    place = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.02)}
    axes.legend(list(axes.collections), labels, ncols=4, fontsize="small", frameon=False, **place)


def _label(value: str) -> str:
    """A name in the legend: its end, where names differ, if it is long; not taken for a formula."""
    shown = value if len(value) <= _ID else f"…{value[-_ID + 1 :]}"
    return shown.replace("$", r"\$")
