"""A table as LaTeX."""

from __future__ import annotations

import re
from collections.abc import Sequence

from orchestrator.tables import text
from orchestrator.tables.caption import caption
from orchestrator.tables.cells import Table
from search_spaces.table import Column, Row

_Group = tuple[str, tuple[str, ...]]
"""Numbers under one heading: it, and the headings below it."""

_CHARACTERS = {
    **{"\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "%": r"\%", "_": r"\_", "&": r"\&", "#": r"\#", "$": r"\$"},
    **{"~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"$<$", ">": r"$>$", "|": r"$|$", "–": "--", "—": "---"},
    **{"±": r"$\pm$", "×": r"$\times$", "≤": r"$\leq$", "≥": r"$\geq$", "→": r"$\rightarrow$", "−": "$-$", "≈": r"$\approx$"},
    **{"α": r"$\alpha$", "β": r"$\beta$", "γ": r"$\gamma$", "δ": r"$\delta$", "ε": r"$\epsilon$", "η": r"$\eta$"},
    **{"θ": r"$\theta$", "λ": r"$\lambda$", "μ": r"$\mu$", "ρ": r"$\rho$", "σ": r"$\sigma$", "τ": r"$\tau$"},
    **{
        "Δ": r"$\Delta$",
        "†": r"$\dagger$",
        "‡": r"$\ddagger$",
        "§": r"\S{}",
        "★": r"$\star$",
        "·": r"$\cdot$",
        "…": r"\ldots{}",
        '"': r"\textquotedbl{}",
    },
}


_WIDTH = 115  # characters that fit into 17 cm at \footnotesize
_SMALL = 0.85  # of a character at \scriptsize, to one at \footnotesize
_GAP = 1.4  # between two columns, in characters


def latex(table: Table) -> str:
    r"""A booktabs ``table*`` environment, which spans both columns of a two-column page and is about 16 cm wide for two metrics.

    Columns that do not fit beside the others stand below them in a tabular of their own, after the rows' labels once more. The
    preamble needs ``\usepackage{booktabs}`` only. Intervals and the published deviations stand below their numbers. A character
    beyond ASCII that is not known here stays as it is: pdflatex takes the accented Latin letters, and names any other.
    """
    body = "\n\n\\medskip\n".join(_tabular(table, columns) for columns in _fitting(table))
    return (
        "\\begin{table*}\n\\centering\n\\footnotesize\n\\setlength{\\tabcolsep}{3pt}\n"
        f"\\caption{{{_escaped(caption(table))}}}\n"
        f"\\label{{tab:{re.sub(r'[^a-zA-Z0-9]+', '-', table.spec.study)}}}\n\\smallskip\n"
        f"{body}\n\\end{{table*}}\n"
    )


def _fitting(table: Table) -> list[list[Column]]:
    """The columns in their order, in as few tabulars as fit into the width of a page."""
    labels = [max(map(len, (title, *(row.label[i] for row in table.spec.rows)))) for i, title in enumerate(table.spec.row_titles)]
    blocks, left = [[]], 0.0
    for column in table.spec.columns:
        width = _width(table, column)
        if left < width and blocks[-1]:
            blocks.append([])
        if not blocks[-1]:
            left = _WIDTH - sum(label + _GAP for label in labels)
        blocks[-1].append(column)
        left -= width
    return blocks


def _width(table: Table, column: Column) -> float:
    """Of everything that a column of the table shows, in characters."""
    heads = [head for _, group in _groups_of(table, column) for head in group]
    rows = [_parts(table, row, column) for row in table.spec.rows]
    return sum(
        max(len(head), *(max(len(parts[i][0]), _SMALL * len(parts[i][1])) for parts in rows)) + _GAP for i, head in enumerate(heads)
    )


def _tabular(table: Table, columns: Sequence[Column]) -> str:
    groups = [group for column in columns for group in _groups_of(table, column)]
    lines = [_titles(table, groups), _rules(table, groups), rf"{_heads(table, groups)} \\", r"\midrule"]
    previous: Row | None = None
    for row in text.rows_beside(table, columns):
        if previous is not None:
            lines.append(r"\midrule" if text.starts_group(previous, row) else r"\addlinespace[2pt]")
        lines += [rf"{' & '.join(line)} \\" for line in _lines(table, row, columns)]
        previous = row
    body = "\n".join(lines)
    aligned = "l" * len(table.spec.row_titles) + "r" * sum(len(heads) for _, heads in groups)
    return f"\\begin{{tabular}}{{{aligned}}}\n\\toprule\n{body}\n\\bottomrule\n\\end{{tabular}}"


def _groups_of(table: Table, column: Column) -> list[_Group]:
    """Groups of a column's numbers."""
    beside = text.beside_title(table, column)
    groups = [(text.title(column), ("measured", beside) if beside else ("measured",))]
    return [*groups, (text.difference_title(table), ("difference", text.P_HOLM))] if table.compares(column) else groups


def _titles(table: Table, groups: Sequence[_Group]) -> str:
    titles = [""] * len(table.spec.row_titles)
    titles += [rf"\multicolumn{{{len(heads)}}}{{c}}{{{_escaped(title)}}}" for title, heads in groups]
    return rf"{' & '.join(titles).strip()} \\"


def _rules(table: Table, groups: Sequence[_Group]) -> str:
    start, rules = len(table.spec.row_titles) + 1, []
    for _, heads in groups:
        rules.append(rf"\cmidrule(lr){{{start}-{start + len(heads) - 1}}}")
        start += len(heads)
    return "".join(rules)


def _heads(table: Table, groups: Sequence[_Group]) -> str:
    heads = [_escaped(title) for title in table.spec.row_titles]
    return " & ".join([*heads, *(head for _, heads in groups for head in heads)])


def _parts(table: Table, row: Row, column: Column) -> list[tuple[str, str]]:
    """What a column shows of a row: each number, and what stands below it."""
    cell = table.cell(row, column)
    parts = [(text.measured(cell, column), text.interval(cell, column))]
    if text.beside_title(table, column):
        parts.append(text.beside_lines(cell, column))
    if table.compares(column):
        parts.append((text.difference(table, row), text.difference_interval(table, row)))
        parts.append((text.corrected_p(table, row), ""))
    return parts


def _lines(table: Table, row: Row, columns: Sequence[Column]) -> tuple[list[str], list[str]]:
    """The row's numbers, and what stands below them."""
    upper, lower = [_escaped(label) for label in row.label], [""] * len(row.label)
    for column in columns:
        parts = _parts(table, row, column)
        upper += [_measured(table, row, column), *(_number(number) for number, _ in parts[1:])]
        lower += [_small(below) for _, below in parts]
    return upper, lower


def _measured(table: Table, row: Row, column: Column) -> str:
    cell = table.cell(row, column)
    number, mark = _number(text.measured(cell, column)), text.mark(table, row, column)
    # \boldmath: within \textbf alone the sign ± would stay light. \rlap: a mark must not move the number out of its column.
    number = rf"{{\boldmath\textbf{{{number}}}}}" if cell.best else number
    return number + (rf"\rlap{{\textsuperscript{{{_escaped(mark)}}}}}" if mark else "")


def _small(words: str) -> str:
    return "" if words in ("", text.NOTHING) else rf"{{\scriptsize {_number(words)}}}"


def _number(words: str) -> str:
    """A hyphen before digits is a minus sign."""
    return _escaped(re.sub(r"-(?=\d)", "−", words))


def _escaped(words: str) -> str:
    return "".join(_CHARACTERS.get(character, character) for character in words)
