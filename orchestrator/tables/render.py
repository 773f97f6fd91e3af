"""A table as Markdown, LaTeX, CSV or HTML text, or for the terminal. The same table gives the same bytes."""

from __future__ import annotations

import csv
import html
import io
import re
from enum import StrEnum
from typing import TYPE_CHECKING

from orchestrator.tables.cells import Cell, Table
from search_spaces.table import Column, Row

if TYPE_CHECKING:
    import rich.table

_NOTHING = "–"
_LATEX = {
    **{"\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "%": r"\%", "_": r"\_", "&": r"\&", "#": r"\#", "$": r"\$"},
    **{"~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"$<$", ">": r"$>$", "–": "--", "—": "---"},
    **{"±": r"$\pm$", "×": r"$\times$", "≤": r"$\leq$", "≥": r"$\geq$", "→": r"$\rightarrow$", "−": "$-$"},
    **{"α": r"$\alpha$", "β": r"$\beta$", "γ": r"$\gamma$", "δ": r"$\delta$", "ε": r"$\epsilon$", "η": r"$\eta$"},
    **{"θ": r"$\theta$", "λ": r"$\lambda$", "μ": r"$\mu$", "ρ": r"$\rho$", "σ": r"$\sigma$", "τ": r"$\tau$"},
}


class Format(StrEnum):
    """The formats of a table."""

    terminal = "terminal"
    markdown = "markdown"
    latex = "latex"
    csv = "csv"
    html = "html"


def render(table: Table, form: Format) -> str:
    """The table as text that ends with a newline."""
    writers = {
        Format.markdown: markdown,
        Format.latex: latex,
        Format.csv: tidy_csv,
        Format.html: html_page,
        Format.terminal: _plain,
    }
    return writers[form](table)


def markdown(table: Table) -> str:
    """A GitHub-flavoured table with the caption below."""
    head = [_markdown_text(title) for title in _titles(table)]
    aligned = ["---"] * len(table.spec.row_titles) + ["---:"] * (len(head) - len(table.spec.row_titles))
    lines = [head, aligned]
    for row in table.spec.rows:
        cells = [_markdown_text(text) for text in row.label]
        for column in table.spec.columns:
            cell = table.cell(row, column)
            measured = _measured(cell, column)
            cells += [f"**{measured}**" if cell.best else measured, _interval(cell, column), _published(cell, column)]
        lines.append(cells)
    body = "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
    return f"{body}\n\n{_markdown_text(table.caption)}\n"


def latex(table: Table) -> str:
    """A booktabs ``table`` environment; the preamble needs ``\\usepackage{booktabs}`` only."""
    texts, columns = len(table.spec.row_titles), table.spec.columns
    groups = " & ".join([*[""] * texts, *[rf"\multicolumn{{3}}{{c}}{{{_latex_text(_title(column))}}}" for column in columns]])
    rules = "".join(rf"\cmidrule(lr){{{start}-{start + 2}}}" for start in range(texts + 1, texts + 3 * len(columns) + 1, 3))
    heads = [_latex_text(title) for title in table.spec.row_titles] + ["measured", r"95\,\% interval", "published"] * len(columns)
    lines = [rf"{groups.strip()} \\", rules, rf"{' & '.join(heads)} \\", r"\midrule"]
    previous = None
    for row in table.spec.rows:
        if previous is not None and texts > 1 and row.label[0] != previous.label[0]:
            lines.append(r"\midrule")
        lines.append(rf"{_latex_row(table, row)} \\")
        previous = row
    body = "\n".join(lines)
    return (
        "\\begin{table}\n\\centering\n"
        f"\\caption{{{_latex_text(table.caption)}}}\n"
        f"\\label{{tab:{re.sub(r'[^a-zA-Z0-9]+', '-', table.spec.study)}}}\n"
        f"\\begin{{tabular}}{{{'l' * texts}{'rrr' * len(columns)}}}\n\\toprule\n{body}\n\\bottomrule\n"
        "\\end{tabular}\n\\end{table}\n"
    )


def tidy_csv(table: Table) -> str:
    """One line per row and metric at full precision, intervals not clipped; all numbers of a line are in its ``unit``."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    statistics = ["mean", "std", "n", "ci_low", "ci_high", "published_mean", "published_std"]
    writer.writerow(["row", *table.spec.row_titles, "metric", "unit", *statistics])
    for row in table.spec.rows:
        for column in table.spec.columns:
            cell = table.cell(row, column)
            summary, published = cell.summary, cell.published
            measured = (
                [summary.mean, summary.std, summary.n, summary.ci_low, summary.ci_high] if summary else [None, None, 0, None, None]
            )
            numbers = [*measured, *([published.mean, published.std] if published else [None, None])]
            unit = "percent" if column.percent else "1"
            writer.writerow([row.key, *row.label, column.metric, unit, *["" if n is None else repr(n) for n in numbers]])
    return text.getvalue()


def html_page(table: Table) -> str:
    """One ``<table>`` with its caption, to be put into any page."""
    lines = ["<table>", f"<caption>{html.escape(table.caption)}</caption>", "<thead>"]
    lines += [_html_row("th", _titles(table)), "</thead>", "<tbody>"]
    for row in table.spec.rows:
        cells = [html.escape(text) for text in row.label]
        for column in table.spec.columns:
            cell = table.cell(row, column)
            measured = _measured(cell, column)
            cells += [
                f"<strong>{measured}</strong>" if cell.best else measured,
                _interval(cell, column),
                _published(cell, column),
            ]
        lines.append(_html_row("td", cells, escape=False))
    return "\n".join([*lines, "</tbody>", "</table>", ""])


def terminal(table: Table) -> rich.table.Table:
    """For a rich console: the intervals below the numbers, so that it fits 100 columns."""
    from rich.table import Table as RichTable
    from rich.text import Text

    shown = RichTable(title=f"{table.spec.title} ({table.spec.source})", caption=Text(table.caption), caption_justify="left")
    for title in table.spec.row_titles:
        shown.add_column(Text(title))
    for column in table.spec.columns:
        shown.add_column(Text(_title(column)), justify="right")
        shown.add_column("published", justify="right", style="dim")
    rows = table.spec.rows
    for row, following in zip(rows, [*rows[1:], None], strict=True):
        cells = [Text(text) for text in row.label]
        for column in table.spec.columns:
            cell = table.cell(row, column)
            number = Text(_measured(cell, column), style="bold green" if cell.best else "")
            interval = Text(f"\n{_interval(cell, column)}", style="dim") if cell.summary else Text("")
            cells += [number + interval, Text(_published(cell, column))]
        last_of_group = following is not None and len(row.label) > 1 and following.label[0] != row.label[0]
        shown.add_row(*cells, end_section=last_of_group)
    return shown


def _plain(table: Table) -> str:
    from rich.console import Console

    console = Console(file=io.StringIO(), width=120)
    console.print(terminal(table))
    return console.file.getvalue()


def _titles(table: Table) -> list[str]:
    return [*table.spec.row_titles, *(t for c in table.spec.columns for t in (_title(c), "95 % interval", "published"))]


def _title(column: Column) -> str:
    return f"{column.title} (%)" if column.percent else column.title


def _number(value: float, column: Column) -> str:
    return f"{value:.{column.decimals}f}"


def _with_std(mean: float, std: float | None, column: Column) -> str:
    return _number(mean, column) if std is None else f"{_number(mean, column)} ± {_number(std, column)}"


def _measured(cell: Cell, column: Column) -> str:
    if cell.summary is None:
        return _NOTHING
    return f"{_with_std(cell.summary.mean, cell.summary.std, column)} ({cell.summary.n})"


def _interval(cell: Cell, column: Column) -> str:
    if cell.interval is None:
        return _NOTHING
    return f"[{_number(cell.interval[0], column)}, {_number(cell.interval[1], column)}]"


def _published(cell: Cell, column: Column) -> str:
    return _with_std(cell.published.mean, cell.published.std, column) if cell.published else _NOTHING


def _markdown_text(text: str) -> str:
    return re.sub(r"([\\`*_|<>~\[\]])", r"\\\1", text)


def _latex_text(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in text)


def _latex_row(table: Table, row: Row) -> str:
    cells = [_latex_text(text) for text in row.label]
    for column in table.spec.columns:
        cell = table.cell(row, column)
        measured = _latex_text(_measured(cell, column))
        # \boldmath: within \textbf alone the sign ± would stay light.
        bold = rf"{{\boldmath\textbf{{{measured}}}}}"
        cells += [bold if cell.best else measured, _latex_text(_interval(cell, column)), _latex_text(_published(cell, column))]
    return " & ".join(cells)


def _html_row(tag: str, cells: list[str], escape: bool = True) -> str:
    return f"<tr>{''.join(f'<{tag}>{html.escape(cell) if escape else cell}</{tag}>' for cell in cells)}</tr>"
