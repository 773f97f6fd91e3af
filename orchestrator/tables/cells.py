"""The table itself, before it is shown in any format."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from orchestrator.records import CellStatistics, RecordedSweep, SweepRecord, TrialResult
from orchestrator.tables.faults import doubtful_faults, fatal_faults, usable_trials, values_of
from search_spaces.table import Column, Published, Row, TableSpec
from trainables.errors import Faults

ALPHA = 0.05
"""Below it a corrected p calls a row better or worse than the baseline, or equivalent to the published number."""

Verdict = Literal["better", "worse"]

_IN_UNITS = ("mean", "std", "ci_low", "ci_high", "difference", "difference_low", "difference_high")


@dataclass(frozen=True)
class Cell:
    """One row and metric, in the unit that is shown (percent where the column says so).

    Attributes:
        values: The value of each seed, in the order of the seeds.
        statistics: As MLflow has them; None without any value.
        interval: That of the mean as it is shown: within the possible range.
        best: Whether no other row is better at the precision shown.
        published: The source's own number.
    """

    values: tuple[float, ...]
    statistics: CellStatistics | None
    interval: tuple[float, float] | None
    best: bool
    published: Published | None

    @property
    def clipped(self) -> bool:
        """Whether the interval shown is narrower than the statistics'."""
        known = self.statistics is not None and self.interval is not None
        return known and self.interval != (self.statistics.ci_low, self.statistics.ci_high)

    @property
    def equivalent(self) -> bool:
        """Whether the mean is within a published standard deviation of the published one, beyond doubt (TOST)."""
        return self.statistics is not None and self.statistics.p_equivalence is not None and self.statistics.p_equivalence < ALPHA


@dataclass(frozen=True)
class Table:
    """A table ready to be shown.

    Attributes:
        sweep: What was asked.
        cells: By row key and metric.
        links: Address of each row's run in MLflow; that of the sweep's under ''.
        problems: Why the table is partial; empty if it is whole.
    """

    sweep: SweepRecord
    cells: dict[tuple[str, str], Cell]
    links: dict[str, str]
    problems: tuple[str, ...] = ()

    @property
    def spec(self) -> TableSpec:
        """What the table shows."""
        return self.sweep.table

    @property
    def headline(self) -> Column:
        """The column of the one question that the table asks."""
        return next(column for column in self.spec.columns if column.metric == self.spec.headline)

    @property
    def baseline(self) -> Row | None:
        """The row that the others are compared with."""
        return next((row for row in self.spec.rows if row.key == self.spec.baseline), None)

    def compares(self, column: Column) -> bool:
        """Whether the rows are compared with a baseline in this column."""
        return self.baseline is not None and column == self.headline

    def cell(self, row: Row, column: Column) -> Cell:
        """The cell of a row and a column."""
        return self.cells[row.key, column.metric]

    def statistics(self, row: Row) -> CellStatistics | None:
        """The headline statistics of a row, in the unit that is shown."""
        return self.cell(row, self.headline).statistics

    def tested(self) -> list[CellStatistics]:
        """The headline statistics of the rows that were tested against the baseline."""
        found = (self.statistics(row) for row in self.spec.rows)
        return [statistics for statistics in found if statistics is not None and statistics.p_vs_baseline is not None]

    def verdict(self, row: Row) -> Verdict | None:
        """Whether a row is better or worse than the baseline: in the headline metric, with ``p_vs_baseline`` below 0.05."""
        statistics = self.statistics(row)
        if statistics is None or statistics.p_vs_baseline is None or statistics.p_vs_baseline >= ALPHA or not statistics.difference:
            return None
        return "better" if (statistics.difference > 0) == self.headline.higher_is_better else "worse"


def make_table(recorded: RecordedSweep, partial: bool = False) -> Table:
    """The table of a sweep, with the statistics that were recorded with it; here they are only checked and scaled.

    A partial table has no cell for a metric that one of its row's trials lacks.

    Raises:
        UserError: Every fault at once: a value is not finite, a seed is there twice, or a row's recorded statistics are not
            those of its trials; and, unless ``partial``, whatever makes the trials unlike each other or the table incomplete
            (:func:`orchestrator.tables.faults.doubtful_faults`). With ``partial`` the caption tells the latter instead.
    """
    sweep, trials = recorded.sweep, usable_trials(recorded)
    fatal, doubtful = fatal_faults(recorded, trials), doubtful_faults(sweep, trials)
    offer = "" if fatal else " (--partial makes the table all the same, and says so)"
    faults = Faults(f"the trials of {sweep.study!r}{offer}")
    for message in fatal if partial else fatal + doubtful:
        faults.add(message)
    faults.raise_if_any()
    cells = {}
    for column in sweep.table.columns:
        cells |= _column_cells(recorded, column, trials)
    return Table(sweep, cells, dict(recorded.links), tuple(doubtful))


def _column_cells(recorded: RecordedSweep, column: Column, trials: Sequence[TrialResult]) -> dict[tuple[str, str], Cell]:
    scale, cells = 100.0 if column.percent else 1.0, {}
    for row in recorded.sweep.table.rows:
        values = tuple(value * scale for value in values_of(trials, row.key, column.metric))
        statistics = _scaled(CellStatistics.from_metrics(column.metric, recorded.cells.get(row.key, {})), scale)
        interval, published = _shown_interval(statistics, column), row.published.get(column.metric)
        cells[row.key, column.metric] = Cell(values, statistics, interval, False, published)
    shown = {place: round(cell.statistics.mean, column.decimals) for place, cell in cells.items() if cell.statistics}
    top = (max if column.higher_is_better else min)(shown.values(), default=None)
    return {place: replace(cell, best=place in shown and shown[place] == top) for place, cell in cells.items()}


def _scaled(statistics: CellStatistics | None, scale: float) -> CellStatistics | None:
    if statistics is None:
        return None
    numbers = {name: getattr(statistics, name) for name in _IN_UNITS}
    return statistics.model_copy(update={name: value * scale for name, value in numbers.items() if value is not None})


def _shown_interval(statistics: CellStatistics | None, column: Column) -> tuple[float, float] | None:
    if statistics is None or statistics.ci_low is None or statistics.ci_high is None:
        return None
    if column.percent and column.bounded:
        return max(statistics.ci_low, 0.0), min(statistics.ci_high, 100.0)
    return statistics.ci_low, statistics.ci_high
