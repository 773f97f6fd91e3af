"""Every statistic of the headline metric, row by row, for a second table below the first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from orchestrator.records import CellStatistics
from orchestrator.tables import text
from orchestrator.tables.cells import Table
from search_spaces.table import Column


@dataclass(frozen=True)
class Detail:
    """A column of the second table: its title, and its text for each row key."""

    title: str
    texts: dict[str, str]


def details(table: Table) -> list[Detail]:
    """The columns in which at least one row has something to show."""
    headline, found = table.headline, []
    found.append(_detail(table, headline, "speakers", lambda s: None if s.speakers is None else str(s.speakers)))
    if table.compares(headline):
        found += _comparison(table)
    found += _controls(table)
    for column in table.spec.columns:
        title = f"equivalence p, {column.title}"
        found.append(_detail(table, column, title, lambda s: _p(s.p_equivalence)))
    return [detail for detail in found if set(detail.texts.values()) != {text.NOTHING}]


def _comparison(table: Table) -> list[Detail]:
    headline, rows = table.headline, table.spec.rows
    return [
        Detail(text.difference_title(table), {row.key: text.difference(table, row) for row in rows}),
        Detail(text.INTERVAL, {row.key: text.difference_interval(table, row) for row in rows}),
        _detail(table, headline, "p uncorrected", lambda s: _p(s.p_uncorrected)),
        _detail(table, headline, text.P_HOLM, lambda s: _p(s.p_vs_baseline)),
        _detail(table, headline, "least possible p", lambda s: _p(s.p_floor)),
        _detail(
            table, headline, "Hedges' g", lambda s: None if s.effect_size is None else text.number(s.effect_size, 2, sign=True)
        ),
        _detail(table, headline, "P(A>B)", lambda s: None if s.p_superior is None else f"{s.p_superior:.2f}"),
        Detail("verdict", {row.key: table.verdict(row) or text.NOTHING for row in rows}),
    ]


def _controls(table: Table) -> list[Detail]:
    """Nothing but dashes where there are no controls."""
    shown = {
        "Δ vs best control": text.control_difference,
        f"its {text.INTERVAL}": text.control_interval,
        "control verdict": lambda table, row: text.control_verdict(table, row) or text.NOTHING,
    }
    return [Detail(title, {row.key: words(table, row) for row in table.spec.rows}) for title, words in shown.items()]


def _detail(table: Table, column: Column, title: str, shown: Callable[[CellStatistics], str | None]) -> Detail:
    texts = {}
    for row in table.spec.rows:
        statistics = table.cell(row, column).statistics
        texts[row.key] = (shown(statistics) if statistics else None) or text.NOTHING
    return Detail(title, texts)


def _p(p: float | None) -> str | None:
    return None if p is None else text.probability(p)
