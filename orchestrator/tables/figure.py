"""The headline metric of a table as one figure: every seed, mean and interval, and the published number."""

from __future__ import annotations

from pathlib import Path

from orchestrator.tables.cells import Table


def headline_figure(table: Table, path: Path) -> Path:
    """Write a PNG: per row its seeds as points, mean and 95 % interval beside them, the published number as a hollow diamond.

    The same table gives the same bytes (with the same matplotlib).
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    column = next(column for column in table.spec.columns if column.metric == table.spec.headline)
    rows = table.spec.rows
    figure = Figure(figsize=(7.5, 1.6 + 0.42 * len(rows)), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for height, row in enumerate(rows):
        cell = table.cell(row, column)
        axes.plot(cell.values, [height] * len(cell.values), "o", color="tab:blue", alpha=0.35, markersize=5)
        if cell.summary:
            mean = cell.summary.mean
            reach = [[mean - cell.interval[0]], [cell.interval[1] - mean]] if cell.interval else None
            axes.errorbar(mean, height + 0.22, xerr=reach, fmt="s", color="tab:blue", capsize=3, markersize=5)
        if cell.published:
            axes.plot(cell.published.mean, height - 0.22, "D", color="tab:orange", markerfacecolor="none", markersize=6)
    axes.set_yticks(range(len(rows)), [" · ".join(row.label) for row in rows])
    axes.invert_yaxis()
    axes.set_xlabel(f"{column.title} (%)" if column.percent else column.title)
    axes.set_title(f"{table.spec.title}, after {table.spec.source}", fontsize="medium")
    axes.grid(axis="x", alpha=0.3)
    handles = [
        axes.plot([], [], "o", color="tab:blue", alpha=0.35, label="seeds")[0],
        axes.errorbar([], [], xerr=[], fmt="s", color="tab:blue", capsize=3, label="mean, 95 % t interval over seeds"),
        axes.plot([], [], "D", color="tab:orange", markerfacecolor="none", label="published")[0],
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=3, fontsize="small", frameon=False)
    figure.savefig(path, metadata={"Software": None})
    return path
