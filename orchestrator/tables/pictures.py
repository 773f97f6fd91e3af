"""The pictures of a table."""

from __future__ import annotations

from orchestrator.tables.cells import Table
from orchestrator.tables.curve import curve_figure
from orchestrator.tables.figure import headline_figure


def pictures(table: Table) -> dict[str, bytes]:
    """By file name: ``table.png``, and ``curve.png`` first where the table is a curve."""
    curve = {"curve.png": curve_figure(table)} if table.spec.curve else {}
    return {**curve, "table.png": headline_figure(table)}
