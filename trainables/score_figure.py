"""How the scores of a classifier are drawn: confusion matrices, and receiver operating characteristics of two classes.

Several files of predictions stand beside each other, such as those of segments and of subjects. The figures are those of Lu et al.
(``cbam_resnet``): Figures 13 and 18, where the abscissa is the predicted and the ordinate the actual class, and Figure 17. The
paper does not say whether its matrices count or divide; here a cell has both, the number of units and the share of its row, which
is also its shade: a row's shares do not change with how often a class occurs, and the diagonal has the recalls.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from trainables.pictures import COLOURS, save_picture

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CONFUSION, ROC = "confusion", "roc"
"""Names of the pictures."""

_DPI = 200
_COLUMN, _PAGE = 3.4, 7.0  # inches, of print: no figure of less than eight classes is wider than a page
_SMALL, _USUAL = 7, 8  # points
_CELL, _LEAST = 0.45, 1.5  # inches, of a cell, and of a matrix of few
_NAMES, _BELOW = 0.85, 0.7  # inches of the classes' names beside a matrix, and below it
_LINE, _CHARACTERS = 0.15, 14  # inches of a line of a title, and its letters to the inch
_DASHES = ("-", "--", "-.", ":")  # curves are told apart without colour too
_DARK = 0.71  # share of the row from which black text on the cell would have less contrast than white


def score_pictures(directory: Path, tables: Mapping[str, pd.DataFrame], classes: tuple[str, ...], title: str) -> None:
    """Save ``figures/confusion.png`` and, of two classes, ``figures/roc.png``, the same bytes for the same tables.

    Args:
        directory: The stage's result directory.
        tables: Files of predictions (:func:`trainables.metrics.write_predictions`) by the name that the pictures have for them;
            columns ``truth`` and ``predicted``, as class indices, and ``p1`` of two classes. No other column is shown.
        classes: Names of the task's classes, by index; of two, the second is the positive one.
        title: Above each picture.
    """
    save_picture(directory, CONFUSION, confusion_figure(tables, classes, title))
    if len(classes) == 2 and any(table["truth"].nunique() == 2 for table in tables.values()):
        save_picture(directory, ROC, roc_figure(tables, classes[1], title))


def confusion_figure(tables: Mapping[str, pd.DataFrame], classes: tuple[str, ...], title: str) -> Figure:
    """A confusion matrix of each table: truth down, prediction across, all classes of the task whether they occur or not."""
    side = max(_LEAST, _CELL * len(classes))
    down = math.ceil(len(tables) / max(1, int((_PAGE - _NAMES) / (side + _LINE))))
    across = math.ceil(len(tables) / down)
    names = [[*_lines(name, side), f"n = {len(table):,}"] for name, table in tables.items()]
    height = side + _BELOW + _LINE * max(map(len, names))
    figure = _paper(max(_COLUMN, _NAMES + across * (side + _LINE)), down * height, title)
    panels = figure.subplots(down, across, squeeze=False).ravel()
    for number, (axes, table) in enumerate(zip(panels, tables.values(), strict=False)):
        _draw_confusion(axes, table, classes)
        axes.set_title("\n".join(names[number]), fontsize=_USUAL)
        if number % across:
            axes.set_yticks([])
        else:
            axes.set_ylabel("true", fontsize=_USUAL)
    for axes in panels[len(tables) :]:
        axes.set_visible(False)
    return figure


def _draw_confusion(axes: Axes, table: pd.DataFrame, classes: tuple[str, ...]) -> None:
    """Counts and shares of a row; a class that is never the truth has no shares."""
    import numpy as np
    from sklearn.metrics import confusion_matrix

    counts = confusion_matrix(table["truth"], table["predicted"], labels=range(len(classes)))
    totals = counts.sum(axis=1, keepdims=True)
    shares = counts / np.maximum(totals, 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (truth, predicted), count in np.ndenumerate(counts):
        share = f"{100 * shares[truth, predicted]:.0f} %" if totals[truth] else "–"
        colour = "white" if shares[truth, predicted] > _DARK else "black"
        axes.text(predicted, truth, f"{count:,}\n{share}", ha="center", va="center", color=colour, fontsize=_SMALL)
    names = [_plain(name) for name in classes]
    tilted = {"rotation": 30, "ha": "right", "rotation_mode": "anchor"} if len(classes) > 2 else {}
    axes.set_xticks(range(len(classes)), names, fontsize=_SMALL, **tilted)
    axes.set_yticks(range(len(classes)), names, fontsize=_SMALL)
    axes.tick_params(length=0)
    axes.set_xlabel("predicted", fontsize=_USUAL)
    axes.spines[:].set_color("#bbbbbb")


def roc_figure(tables: Mapping[str, pd.DataFrame], positive: str, title: str) -> Figure:
    """The curve of each table over the threshold on ``p1``, with the area under it (AUC), and the line of chance.

    Units of the same probability pass a threshold together: the curve is a straight line there, and they count half in the area. A
    table whose truth has one class has no curve, and the legend says so.

    Args:
        tables: As in :func:`score_pictures`.
        positive: Name of class 1.
        title: Above the picture.
    """
    figure = _paper(_COLUMN, _COLUMN + _LINE * (len(tables) + 1), title)
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], color="#888888", linewidth=0.8, linestyle=(0, (1, 2)), label="chance (AUC 0.500)")
    for number, (name, table) in enumerate(tables.items()):
        style = {"color": COLOURS[number % len(COLOURS)], "linestyle": _DASHES[number % len(_DASHES)], "linewidth": 1.4}
        _draw_curve(axes, _plain(name), table, style)
    axes.set_xlabel("false positive rate", fontsize=_USUAL)
    axes.set_ylabel(f"true positive rate (recall of {_plain(positive)})", fontsize=_USUAL)
    axes.tick_params(labelsize=_SMALL)
    axes.set_xlim(-0.01, 1.01)
    axes.set_ylim(-0.01, 1.01)
    axes.set_aspect("equal")
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside lower center", ncols=1, fontsize=_SMALL, frameon=False, handlelength=3)
    return figure


def _draw_curve(axes: Axes, name: str, table: pd.DataFrame, style: dict[str, object]) -> None:
    from sklearn.metrics import auc, roc_curve

    if table["truth"].nunique() < 2:
        axes.plot([], [], label=f"{name}: no curve, its truth has one class", **style)
        return
    false, true, _ = roc_curve(table["truth"], table["p1"])
    axes.plot(false, true, label=f"{name} (AUC {auc(false, true):.3f}, n = {len(table):,})", **style)


def _paper(width: float, height: float, title: str) -> Figure:
    """An empty figure, so many inches wide and, without its title, high."""
    from matplotlib.figure import Figure

    lines = _lines(title, width)
    figure = Figure(figsize=(width, height + _LINE * len(lines)), dpi=_DPI, layout="constrained")
    figure.get_layout_engine().set(h_pad=0.06, w_pad=0.04)
    figure.suptitle("\n".join(lines), fontsize=_USUAL)
    return figure


def _lines(title: str, width: float) -> list[str]:
    """A title in lines of at most so many inches."""
    return textwrap.wrap(_plain(title), int(_CHARACTERS * width))


def _plain(text: str) -> str:
    """Text that is not taken for a formula."""
    return text.replace("$", r"\$")
