"""A table as LaTeX."""

from __future__ import annotations

import re

from orchestrator.tables import text
from orchestrator.tables.caption import caption
from orchestrator.tables.cells import Table
from search_spaces.table import Column, Row

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
        "·": r"$\cdot$",
        "…": r"\ldots{}",
        '"': r"\textquotedbl{}",
    },
}


def latex(table: Table) -> str:
    r"""A booktabs ``table*`` environment, which spans both columns of a two-column page and is about 16 cm wide for two metrics.

    The preamble needs ``\usepackage{booktabs}`` only. Intervals and the published deviations stand below their numbers. A character
    beyond ASCII that is not known here stays as it is: pdflatex takes the accented Latin letters, and names any other.
    """
    texts, columns = len(table.spec.row_titles), table.spec.columns
    lines = [_groups(table), _rules(table), rf"{_heads(table)} \\", r"\midrule"]
    previous: Row | None = None
    for row in table.spec.rows:
        if previous is not None:
            lines.append(r"\midrule" if text.starts_group(previous, row) else r"\addlinespace[2pt]")
        lines += [rf"{' & '.join(line)} \\" for line in _lines(table, row)]
        previous = row
    body = "\n".join(lines)
    numbers = sum(_width(table, column) for column in columns)
    return (
        "\\begin{table*}\n\\centering\n\\footnotesize\n\\setlength{\\tabcolsep}{3pt}\n"
        f"\\caption{{{_escaped(caption(table))}}}\n"
        f"\\label{{tab:{re.sub(r'[^a-zA-Z0-9]+', '-', table.spec.study)}}}\n\\smallskip\n"
        f"\\begin{{tabular}}{{{'l' * texts}{'r' * numbers}}}\n\\toprule\n{body}\n\\bottomrule\n"
        "\\end{tabular}\n\\end{table*}\n"
    )


def _width(table: Table, column: Column) -> int:
    return 4 if table.compares(column) else 2


def _groups(table: Table) -> str:
    groups = [""] * len(table.spec.row_titles)
    for column in table.spec.columns:
        groups.append(rf"\multicolumn{{2}}{{c}}{{{_escaped(text.title(column))}}}")
        if table.compares(column):
            groups.append(rf"\multicolumn{{2}}{{c}}{{{_escaped(text.difference_title(table))}}}")
    return rf"{' & '.join(groups).strip()} \\"


def _rules(table: Table) -> str:
    first = len(table.spec.row_titles) + 1
    last = first + sum(_width(table, column) for column in table.spec.columns)
    return "".join(rf"\cmidrule(lr){{{start}-{start + 1}}}" for start in range(first, last, 2))


def _heads(table: Table) -> str:
    heads = [_escaped(title) for title in table.spec.row_titles]
    for column in table.spec.columns:
        heads += ["measured", "published", *(["difference", text.P_HOLM] if table.compares(column) else [])]
    return " & ".join(heads)


def _lines(table: Table, row: Row) -> tuple[list[str], list[str]]:
    """The row's numbers, and what stands below them."""
    upper, lower = [_escaped(label) for label in row.label], [""] * len(row.label)
    for column in table.spec.columns:
        cell = table.cell(row, column)
        mean, deviation = text.published_lines(cell, column)
        upper += [_measured(table, row, column), _number(mean)]
        lower += [_small(text.interval(cell, column)), _small(deviation)]
        if table.compares(column):
            upper += [_number(text.difference(table, row)), _number(text.corrected_p(table, row))]
            lower += [_small(text.difference_interval(table, row)), ""]
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
