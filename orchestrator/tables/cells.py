"""The table itself, before it is shown in any format: cells with their statistics, and the caption."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from orchestrator.records import SweepRecord, TrialResult
from orchestrator.statistics import Summary, summarize
from orchestrator.tables.frame import trial_faults, trials_frame
from search_spaces.table import Column, Published, Row, TableSpec
from trainables.errors import Faults

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True)
class Cell:
    """One row and metric, in the unit that is shown (percent where the column says so).

    Attributes:
        values: The value of each seed, in the order of the seeds.
        summary: Their statistics; None without any value.
        interval: That of the summary as it is shown: within the possible range.
        best: Whether no other row is better at the precision shown.
        published: The source's own number.
    """

    values: tuple[float, ...]
    summary: Summary | None
    interval: tuple[float, float] | None
    best: bool
    published: Published | None


@dataclass(frozen=True)
class Table:
    """A table ready to be shown: ``cells[row key, metric]``."""

    spec: TableSpec
    cells: dict[tuple[str, str], Cell]
    caption: str

    def cell(self, row: Row, column: Column) -> Cell:
        """The cell of a row and a column."""
        return self.cells[row.key, column.metric]


def make_table(sweep: SweepRecord, trials: Sequence[TrialResult], partial: bool = False) -> Table:
    """The table of a sweep.

    Raises:
        UserError: A metric is not finite; or, unless ``partial``, seeds are missing or doubled, or corpora, protocols, scales
            or the code of a stage are mixed: all such faults at once. With ``partial`` the caption tells them instead.
    """
    problems = trial_faults(sweep, trials)
    faults = Faults(f"the trials of {sweep.study!r} (--partial makes the table all the same, and says so)")
    for problem in () if partial else problems:
        faults.add(problem)
    faults.raise_if_any()
    frame = trials_frame(sweep, trials)
    cells = {}
    for column in sweep.table.columns:
        cells |= _column_cells(sweep.table, column, frame[frame["metric"] == column.metric])
    return Table(sweep.table, cells, _caption(sweep, problems, any(map(_is_clipped, cells.values()))))


def _column_cells(spec: TableSpec, column: Column, frame: pandas.DataFrame) -> dict[tuple[str, str], Cell]:
    scale = 100.0 if column.percent else 1.0
    cells = {}
    for row in spec.rows:
        found = frame[frame["row"] == row.key]
        names = [
            f"{column.metric} of {row.key}, seed {seed} ({mark})," for seed, mark in zip(found.seed, found.fingerprint, strict=True)
        ]
        values = dict(zip(names, found["value"], strict=True))
        summary = summarize(values, scale) if values else None
        scaled, published = tuple(value * scale for value in values.values()), row.published.get(column.metric)
        cells[row.key, column.metric] = Cell(scaled, summary, _shown_interval(summary, column), False, published)
    shown = {place: round(cell.summary.mean, column.decimals) for place, cell in cells.items() if cell.summary}
    top = (max if column.higher_is_better else min)(shown.values(), default=None)
    return {place: replace(cell, best=place in shown and shown[place] == top) for place, cell in cells.items()}


def _shown_interval(summary: Summary | None, column: Column) -> tuple[float, float] | None:
    if summary is None or summary.ci_low is None or summary.ci_high is None:
        return None
    if column.percent and column.bounded:
        return max(summary.ci_low, 0.0), min(summary.ci_high, 100.0)
    return summary.ci_low, summary.ci_high


def _is_clipped(cell: Cell) -> bool:
    return bool(cell.summary and cell.interval and cell.interval != (cell.summary.ci_low, cell.summary.ci_high))


def _caption(sweep: SweepRecord, problems: Sequence[str], clipped: bool) -> str:
    spec, number = sweep.table, len(sweep.seeds)
    range_note = " (clipped to the possible range)" if clipped else ""
    sentences = [
        f"{spec.title}, after {spec.source}.",
        f"Each number is the mean ± sample standard deviation over n seeds (n in parentheses, {number} in a full row), with "
        f"the 95 % t interval of the mean over seeds{range_note}, which covers the variation between seeds only.",
        f"Scale: {sweep.scale}; {_seed_range(sweep.seeds)}. Protocol: {sweep.protocol}.",
        "Bold: the best measured value of a column. Published: the source's own number.",
        _corpora(sweep),
    ]
    if problems:
        sentences.append(f"PARTIAL TABLE, not to be quoted: {'; '.join(problems)}.")
    return " ".join(sentences)


def _seed_range(seeds: Sequence[int]) -> str:
    if len(seeds) == 1:
        return f"seed {seeds[0]}"
    run = list(seeds) == list(range(seeds[0], seeds[0] + len(seeds)))
    return f"seeds {seeds[0]}-{seeds[-1]}" if run else f"seeds {', '.join(map(str, seeds))}"


def _corpora(sweep: SweepRecord) -> str:
    names = ", ".join(
        f"{role} = {corpus.name}{' (synthetic twin)' if corpus.twin else ''}" for role, corpus in sorted(sweep.corpora.items())
    )
    if any(corpus.twin for corpus in sweep.corpora.values()):
        return f"Corpora: {names}: such numbers are never comparable to the paper's."
    return f"Corpora: {names}."
