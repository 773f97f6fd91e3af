"""A table as GitHub-flavoured Markdown."""

from __future__ import annotations

import re

from orchestrator.tables import text
from orchestrator.tables.caption import caption
from orchestrator.tables.cells import Table
from search_spaces.table import Column, Row

_IN_ADDRESSES = str.maketrans({"(": "%28", ")": "%29", "|": "%7C", " ": "%20", "<": "%3C", ">": "%3E"})


def markdown(table: Table) -> str:
    """The table with the caption below; each measured number is the link to its row's run in MLflow."""
    texts, columns = len(table.spec.row_titles), table.spec.columns
    titles = [*table.spec.row_titles, *(title for column in columns for title in _titles(table, column))]
    lines = [[_escaped(title) for title in titles], ["---"] * texts + ["---:"] * (len(titles) - texts)]
    for row in table.spec.rows:
        lines.append([*map(_escaped, row.label), *(number for column in columns for number in _numbers(table, row, column))])
    body = "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
    return f"{body}\n\n{_escaped(caption(table))}\n"


def _titles(table: Table, column: Column) -> list[str]:
    compared = [text.difference_title(table), text.P_HOLM] if table.compares(column) else []
    beside = text.beside_title(table, column)
    interval = [text.INTERVAL] if text.has_interval(column) else []
    return [text.title(column), *interval, *([beside] if beside else []), *compared]


def _numbers(table: Table, row: Row, column: Column) -> list[str]:
    cell = table.cell(row, column)
    cells = [_measured(table, row, column), *([text.interval(cell, column)] if text.has_interval(column) else [])]
    if text.beside_title(table, column):
        cells.append(_escaped(text.beside(cell, column)))
    if table.compares(column):
        interval = text.difference_interval(table, row)
        difference = text.difference(table, row)
        cells += [difference if interval == text.NOTHING else f"{difference} {interval}", _escaped(text.corrected_p(table, row))]
    return cells


def _measured(table: Table, row: Row, column: Column) -> str:
    cell, link = table.cell(row, column), table.links.get(row.key)
    number = text.measured(cell, column)
    if cell.statistics and link:
        number = f"[{number}]({link.translate(_IN_ADDRESSES)})"
    return " ".join(filter(None, [f"**{number}**" if cell.best else number, text.mark(table, row, column)]))


def _escaped(words: str) -> str:
    return re.sub(r"([\\`*_|<>~\[\]])", r"\\\1", words)
