"""What all pictures of tables share: paper, colours, legend, and the same bytes for the same table."""

from __future__ import annotations

import io
import textwrap
from typing import TYPE_CHECKING, Any

from orchestrator.tables.cells import Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MEASURED, PUBLISHED, BASELINE = "#0072b2", "#d55e00", "#444444"  # Okabe and Ito: told apart by colour-blind eyes too
SEED: dict[str, Any] = {"marker": "o", "linestyle": "", "color": MEASURED, "alpha": 0.3, "markersize": 5, "markeredgewidth": 0}
MEAN: dict[str, Any] = {"marker": "s", "color": MEASURED, "markersize": 5}
_LINE = 80  # characters of a title that fit into the width of a figure
DASHED: dict[str, Any] = {"color": BASELINE, "linestyle": "--", "linewidth": 1.1}
DIAMOND: dict[str, Any] = {"marker": "D", "linestyle": "", "color": PUBLISHED, "markerfacecolor": "white", "markersize": 6}


def paper(table: Table, height: float) -> tuple[Figure, Axes]:
    """An empty figure, ``height`` inches high, under the table's title."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.5, height), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    entitle(figure, table)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def entitle(figure: Figure, table: Table, part: str = "") -> None:
    """The table's title above the whole figure, in as many lines as it needs, with the ``part`` of the table that is drawn."""
    lines = textwrap.wrap(f"{table.spec.title}{part and f': {part}'}", _LINE)
    figure.suptitle("\n".join([*lines, f"after {table.spec.source}"]), fontsize="medium")


def legend(figure: Figure, styles: dict[str, dict[str, Any]]) -> None:
    """Below the axes: for each label, a line in this style, or a patch where the style has a hatch."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    shown = [Patch(**style) if "hatch" in style else Line2D([], [], **style) for style in styles.values()]
    figure.legend(shown, list(styles), loc="outside lower center", ncols=len(shown), fontsize="small", frameon=False)


def any_published(table: Table) -> bool:
    """Whether the headline column has published numbers."""
    return any(table.cell(row, table.headline).published for row in table.spec.rows)


def any_interval(table: Table) -> bool:
    """Whether a number of the headline column has an interval."""
    return any(table.cell(row, table.headline).interval for row in table.spec.rows)


def png(figure: Figure) -> bytes:
    """The figure as PNG, without the version of matplotlib in it."""
    picture = io.BytesIO()
    figure.savefig(picture, metadata={"Software": None})
    return picture.getvalue()


def svg(figure: Figure) -> bytes:
    """The figure as SVG with its text as text, without a date, and with the same ids whenever it is drawn."""
    from matplotlib import rc_context

    picture = io.BytesIO()
    with rc_context({"svg.hashsalt": "speech-orchestrator", "svg.fonttype": "none"}):
        figure.savefig(picture, format="svg", metadata={"Date": None, "Creator": None})
    return picture.getvalue()
