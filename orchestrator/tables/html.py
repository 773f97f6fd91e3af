"""A table as a page of HTML that needs nothing else: pictures and style are inside, links lead to the runs in MLflow."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape

from orchestrator.tables import text
from orchestrator.tables.bars import is_bars
from orchestrator.tables.caption import sentences, warning
from orchestrator.tables.cells import Table
from orchestrator.tables.details import details
from orchestrator.tables.figure import MOST_ROWS
from orchestrator.tables.pictures import pictures
from orchestrator.tables.style import CSS
from search_spaces.table import Column, Row


def html_page(table: Table, drawn: Mapping[str, bytes] | None = None) -> str:
    """The page of one table, with the pictures ``drawn`` where they are there already."""
    return page(table.spec.title, section(table, pictures(table) if drawn is None else drawn, "h1"))


def page(title: str, body: str) -> str:
    """A page around ``body``, which is HTML already."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{CSS}</style>\n</head>\n<body>\n<main>\n{body}</main>\n</body>\n</html>\n"
    )


def section(table: Table, drawn: Mapping[str, bytes], heading: str, files: str = "") -> str:
    """A table with its caption, pictures (by file name; those that are PNG) and details, under a ``heading`` (h1 or h2).

    ``files`` is HTML to be put below the heading.
    """
    run = table.links.get("")
    source = f"after {escape(table.spec.source)}" + (f" · {link(run, 'sweep in MLflow')}" if run else "")
    parts = [
        f'<section id="{escape(table.spec.study)}">',
        f"<{heading}>{escape(table.spec.title)}</{heading}>",
        f'<p class="source">{source}</p>',
        files,
        f'<p class="partial">{escape(warning(table))}</p>' if table.problems else "",
        _results(table),
        *(_picture(table, name, picture) for name, picture in drawn.items() if name.endswith(".png")),
        _too_many(table),
        f'<ul class="caption">{"".join(f"<li>{escape(sentence)}</li>" for sentence in sentences(table))}</ul>',
        _details(table),
        "</section>",
    ]
    return "".join(f"{part}\n" for part in parts if part)


def link(address: str, shown: str) -> str:
    """A link; ``shown`` is text."""
    return f'<a href="{escape(address)}">{escape(shown)}</a>'


def _results(table: Table) -> str:
    first, second = [], []
    for column in table.spec.columns:
        beside = text.beside_title(table, column)
        first.append((text.title(column), 2 if beside else 1))
        second += ["measured", *([beside] if beside else [])]
        if table.compares(column):
            first.append((text.difference_title(table), 2))
            second += ["difference", text.P_HOLM]
    titles = "".join(f'<th class="text" rowspan="2" scope="col">{escape(title)}</th>' for title in table.spec.row_titles)
    groups = "".join(f'<th colspan="{width}" scope="colgroup">{escape(title)}</th>' for title, width in first)
    heads = "".join(f'<th scope="col">{escape(title)}</th>' for title in second)
    numbers = [[cell for column in table.spec.columns for cell in _numbers(table, row, column)] for row in table.spec.rows]
    return _table("results", f"<tr>{titles}{groups}</tr>\n<tr>{heads}</tr>", table.spec.rows, numbers)


def _table(kind: str, head: str, rows: Sequence[Row], numbers: Sequence[Sequence[str]]) -> str:
    """``numbers`` are whole ``td`` elements, a list for each row; a rule goes where a group starts."""
    lines, previous = [], None
    for row, cells in zip(rows, numbers, strict=True):
        start = '<tr class="group">' if text.starts_group(previous, row) else "<tr>"
        labels = "".join(f'<th scope="row">{escape(label)}</th>' for label in row.label)
        lines.append(f"{start}{labels}{''.join(cells)}</tr>")
        previous = row
    body = "\n".join(lines)
    return f'<div class="scroll"><table class="{kind}">\n<thead>\n{head}\n</thead>\n<tbody>\n{body}\n</tbody>\n</table></div>'


def _numbers(table: Table, row: Row, column: Column) -> list[str]:
    cell = table.cell(row, column)
    cells = [_measured(table, row, column)]
    if text.beside_title(table, column):
        first, second = text.beside_lines(cell, column)
        cells.append(f"<td>{escape(first)}{_below(second)}</td>")
    if table.compares(column):
        verdict = table.verdict(row)
        difference = escape(text.difference(table, row))
        shown = f'<span class="{verdict}">{difference}</span>' if verdict else difference
        cells.append(f"<td>{shown}{_below(text.difference_interval(table, row))}</td>")
        cells.append(f"<td>{escape(text.corrected_p(table, row))}</td>")
    return cells


def _measured(table: Table, row: Row, column: Column) -> str:
    cell, run = table.cell(row, column), table.links.get(row.key)
    number = text.measured(cell, column)
    shown = link(run, number) if run and cell.statistics else escape(number)
    mark = text.mark(table, row, column)
    bold = f"<strong>{shown}</strong>" if cell.best else shown
    return f"<td>{bold}{f'<sup>{mark}</sup>' if mark else ''}{_below(text.interval(cell, column))}</td>"


def _below(words: str) -> str:
    return "" if words in ("", text.NOTHING) else f"<small>{escape(words)}</small>"


def _picture(table: Table, name: str, png: bytes) -> str:
    is_curve = name == "curve.png"
    drawn = ", ".join(map(text.title, table.spec.curve_columns() if is_curve else (table.headline,)))
    what = f"{'curve' if is_curve else 'seeds, means and intervals'} of {drawn}"
    about = escape(f"{table.spec.title}: {'bars' if is_bars(name) else what}")
    data = base64.b64encode(png).decode("ascii")
    return f'<figure><img alt="{about}" src="data:image/png;base64,{data}"></figure>'


def _too_many(table: Table) -> str:
    """Why there is no picture of the rows, if there is none."""
    if (rows := len(table.spec.rows)) <= MOST_ROWS:
        return ""
    return f'<p class="files">There is no picture of the {rows:,} rows: of more than {MOST_ROWS} none can be read.</p>'


def _details(table: Table) -> str:
    shown = details(table)
    if not shown:
        return ""
    labels = "".join(f'<th class="text" scope="col">{escape(title)}</th>' for title in table.spec.row_titles)
    heads = "".join(f'<th scope="col">{escape(detail.title)}</th>' for detail in shown)
    numbers = [[f"<td>{escape(detail.texts[row.key])}</td>" for detail in shown] for row in table.spec.rows]
    body = _table("details", f"<tr>{labels}{heads}</tr>", table.spec.rows, numbers)
    return f"<h3>Statistics of {escape(table.headline.title)}</h3>\n{body}"
