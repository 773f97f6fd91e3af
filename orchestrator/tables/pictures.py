"""The pictures of a table."""

from __future__ import annotations

from orchestrator.tables.bars import bar_figures
from orchestrator.tables.cells import Table
from orchestrator.tables.curve import curve_figure
from orchestrator.tables.figure import MOST_ROWS, headline_figure
from orchestrator.tables.lines import lines_figure


def pictures(table: Table) -> dict[str, bytes]:
    """By file name: those of its own kind first, where the table is a curve (``curve.png``, of one line or of several) or has bars
    (``bars_...png`` and ``.svg``), and ``table.png`` unless there are more than :data:`~orchestrator.tables.figure.MOST_ROWS` rows.
    """
    drawn = lines_figure if table.spec.curve and (table.spec.curve.columns or table.spec.curve.panel) else curve_figure
    curve = {"curve.png": drawn(table)} if table.spec.curve else {}
    bars = bar_figures(table) if table.spec.bars else {}
    rows = {"table.png": headline_figure(table)} if len(table.spec.rows) <= MOST_ROWS else {}
    return {**curve, **bars, **rows}
