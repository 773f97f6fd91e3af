"""The table itself, before it is shown in any format."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

from orchestrator.records import CellStatistics, RecordedSweep, SweepRecord, TrialResult
from orchestrator.statistics import summarize
from orchestrator.statistics.controls import best_control, held_rows
from orchestrator.statistics.over_seeds import complete, distinct_metrics, shown_value
from orchestrator.tables.faults import doubtful_faults, fatal_faults, statistics_fault, usable_trials
from search_spaces.table import Column, Published, Row, TableSpec
from trainables.errors import Faults

ALPHA = 0.05
"""Below it a corrected p calls a row better or worse than the baseline, or equivalent to the published number."""

Verdict = Literal["better", "worse"]

WITHOUT_STATISTICS = "without intervals and tests: they are computed when the sweep ends"
"""The problem of a partial table whose trials have no statistics yet."""

_IN_UNITS = ("mean", "std", "ci_low", "ci_high", "difference", "difference_low", "difference_high")
_IN_UNITS += ("control_difference", "control_low", "control_high")


@dataclass(frozen=True)
class Cell:
    """One row and column, in the unit that is shown (percent where the column says so).

    Attributes:
        values: Of the column's metric by seed, in the order of the seeds.
        statistics: As MLflow has them, or mean, std and n alone if they are not told yet; None without any value.
        interval: That of the mean as it is shown: within the possible range.
        best: Whether no other row of its family (:meth:`search_spaces.table.TableSpec.family`) is better at the precision shown.
        published: The source's own number.
    """

    values: Mapping[int, float]
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
        cells: By row key and column key.
        links: Address of each row's run in MLflow; that of the sweep's under ''.
        problems: Why the table is partial; empty if it is whole.
        analysed: Whether there are intervals and tests at all; without them a partial table shows what has been measured so far.
        best_control: The control that the rows are held against, by the recorded means; None without controls or statistics.
    """

    sweep: SweepRecord
    cells: dict[tuple[str, str], Cell]
    links: dict[str, str]
    problems: tuple[str, ...] = ()
    analysed: bool = True
    best_control: Row | None = None

    @property
    def spec(self) -> TableSpec:
        """What the table shows."""
        return self.sweep.table

    @cached_property
    def headline(self) -> Column:
        """The column of the one question that the table asks."""
        return self.spec.column(self.spec.headline)

    @property
    def baseline(self) -> Row | None:
        """The row that others are compared with unless they have their own."""
        return next((row for row in self.spec.rows if row.key == self.spec.baseline), None)

    @cached_property
    def baselines(self) -> tuple[Row, ...]:
        """All rows that others are compared with, in the order of the table."""
        keys = {self.spec.baseline, *map(self.spec.opponent, self.spec.rows)}
        return tuple(row for row in self.spec.rows if row.key in keys)

    @cached_property
    def published_columns(self) -> frozenset[str]:
        """Keys of the columns that the source has a number of."""
        return frozenset(column for (_, column), cell in self.cells.items() if cell.published)

    def compares(self, column: Column) -> bool:
        """Whether the rows are compared with a baseline in this column."""
        return self.analysed and bool(self.baselines) and column == self.headline

    def cell(self, row: Row, column: Column) -> Cell:
        """The cell of a row and a column."""
        return self.cells[row.key, column.key]

    def cells_of(self, row: Row) -> tuple[Cell, ...]:
        """All cells of a row."""
        return tuple(self.cell(row, column) for column in self.spec.columns)

    def statistics(self, row: Row) -> CellStatistics | None:
        """The headline statistics of a row, in the unit that is shown."""
        return self.cell(row, self.headline).statistics

    def tested(self) -> dict[str, CellStatistics]:
        """By row key, the headline statistics of the rows that were tested against their baseline."""
        found = {row.key: self.statistics(row) for row in self.spec.rows if self.spec.opponent(row)}
        return {key: statistics for key, statistics in found.items() if statistics and statistics.p_vs_baseline is not None}

    def pairs(self, row: str, other: str) -> int:
        """The seeds in which two rows both have a headline value, by the rows' keys."""
        mine, theirs = (self.cells[key, self.spec.headline].values for key in (row, other))
        return len(mine.keys() & theirs.keys())

    def paired(self, row: str) -> int:
        """The seeds in which a row and its baseline both have a headline value, by the row's key."""
        return self.pairs(row, self.spec.opponent(next(each for each in self.spec.rows if each.key == row)))

    def differs(self, row: Row, column: Column) -> bool:
        """Whether a row's mean is another than the column's null, with ``p_null`` below 0.05."""
        statistics = self.cell(row, column).statistics
        return statistics is not None and statistics.p_null is not None and statistics.p_null < ALPHA

    def verdict(self, row: Row) -> Verdict | None:
        """Whether a row is better or worse than its baseline: in the headline metric, with ``p_vs_baseline`` below 0.05."""
        statistics = self.statistics(row)
        if statistics is None or statistics.p_vs_baseline is None or statistics.p_vs_baseline >= ALPHA or not statistics.difference:
            return None
        return "better" if (statistics.difference > 0) == self.headline.higher_is_better else "worse"

    @property
    def has_controls(self) -> bool:
        """Whether there are rows that listen to nothing but a shortcut."""
        return any(row.control for row in self.spec.rows)

    @cached_property
    def held(self) -> dict[str, CellStatistics]:
        """By row key, the headline statistics of the rows that are held against the best control."""
        if self.best_control is None:
            return {}
        found = {row.key: self.statistics(row) for row in held_rows(self.spec)}
        return {key: statistics for key, statistics in found.items() if statistics}

    def no_better(self, row: Row) -> bool:
        """Whether a row is not shown to be better than the best control: the interval of its difference is not all on the better
        side, or there is none.
        """
        if (statistics := self.held.get(row.key)) is None:
            return False
        low, high = statistics.control_low, statistics.control_high
        return low is None or high is None or not (low > 0 if self.headline.higher_is_better else high < 0)


def make_table(recorded: RecordedSweep, partial: bool = False) -> Table:
    """The table of a sweep, with the statistics that were recorded with it; here they are only checked and scaled.

    A partial table has no cell for a metric that one of its row's trials lacks. Where the recorded statistics are not those of the
    trials, as while a sweep runs and after it was killed, a partial table has mean, deviation and n of the trials alone.

    Raises:
        UserError: Every fault at once: a value is not finite or a seed is there twice; and, unless ``partial``, whatever makes the
            trials unlike each other or the table incomplete (:func:`orchestrator.tables.faults.doubtful_faults`), and recorded
            statistics that are not those of the trials. With ``partial`` the caption tells the latter two instead.
    """
    sweep, trials = recorded.sweep, usable_trials(recorded)
    fatal, doubtful, untold = fatal_faults(sweep, trials), doubtful_faults(recorded, trials), statistics_fault(recorded, trials)
    offer = "" if fatal else " (--partial makes the table all the same, and says so)"
    faults = Faults(f"the trials of {sweep.study!r}{offer}")
    for message in fatal if partial else [*fatal, *doubtful, *filter(None, [untold])]:
        faults.add(message)
    faults.raise_if_any()
    cells = {}
    for column in sweep.table.columns:
        cells |= _column_cells(recorded, column, trials, analysed=untold is None)
    problems = [*doubtful, *([WITHOUT_STATISTICS] if untold else [])]
    best = _best_control(recorded, cells) if untold is None else None
    return Table(sweep, cells, dict(recorded.links), tuple(problems), untold is None, best)


def _best_control(recorded: RecordedSweep, cells: Mapping[tuple[str, str], Cell]) -> Row | None:
    """By the means as they were recorded: once they are scaled, unlike ones could be equal."""
    headline = recorded.sweep.table.headline
    shown = [row for (row, column), cell in cells.items() if column == headline and cell.statistics]
    return best_control(recorded.sweep.table, {row: recorded.cells[row][f"{headline}_mean"] for row in shown})


def _column_cells(
    recorded: RecordedSweep, column: Column, trials: Sequence[TrialResult], analysed: bool
) -> dict[tuple[str, str], Cell]:
    scale, cells, spec = 100.0 if column.percent else 1.0, {}, recorded.sweep.table
    by_row: dict[str, list[TrialResult]] = {row.key: [] for row in spec.rows}
    for trial in trials:
        by_row[trial.row].append(trial)
    for row in spec.rows:
        raw = {metric: _values_of(by_row[row.key], metric) for metric in distinct_metrics(spec.columns)}
        known = complete(spec, column, lambda metric, raw=raw: bool(raw[metric]))
        told = (
            CellStatistics.from_metrics(column.key, recorded.cells.get(row.key, {})) if analysed else _measured(spec, column, raw)
        )
        values = {seed: value * scale for seed, value in raw[column.metric].items()}
        statistics = _scaled(told, scale) if known else None
        interval, published = _shown_interval(statistics, column), row.published.get(column.key)
        cells[row.key, column.key] = Cell(values, statistics, interval, False, published)
    return _with_best(spec, column, cells) if column.ranked else cells


def _with_best(spec: TableSpec, column: Column, cells: Mapping[tuple[str, str], Cell]) -> dict[tuple[str, str], Cell]:
    family = {row.key: spec.family(row) for row in spec.rows}
    shown = {place: round(cell.statistics.mean, column.decimals) for place, cell in cells.items() if cell.statistics}
    top: dict[str | None, float] = {}
    for (row, _), value in shown.items():
        top[family[row]] = (max if column.higher_is_better else min)(value, top.get(family[row], value))
    return {
        (row, key): replace(cell, best=(row, key) in shown and shown[row, key] == top[family[row]])
        for (row, key), cell in cells.items()
    }


def _values_of(of_row: Sequence[TrialResult], metric: str) -> dict[int, float]:
    """By seed; empty if a trial of the row lacks the metric, because the others answer another question."""
    return {t.seed: t.metrics[metric] for t in of_row} if all(metric in t.metrics for t in of_row) else {}


def _measured(spec: TableSpec, column: Column, values: Mapping[str, Mapping[int, float]]) -> CellStatistics | None:
    """Without the interval: over seeds alone it would be shorter than the one that takes its place."""
    if (shown := shown_value(spec, column, values)) is None:
        return None
    own = values[column.metric]
    if column.suffix:
        return CellStatistics(n=len(own), mean=shown)
    summary = summarize({f"seed {seed}": value for seed, value in own.items()})
    return CellStatistics(n=summary.n, mean=summary.mean, std=summary.std)


def _scaled(statistics: CellStatistics | None, scale: float) -> CellStatistics | None:
    if statistics is None:
        return None
    numbers = {name: getattr(statistics, name) for name in _IN_UNITS}
    return statistics.model_copy(update={name: value * scale for name, value in numbers.items() if value is not None})


def _shown_interval(statistics: CellStatistics | None, column: Column) -> tuple[float, float] | None:
    if statistics is None or statistics.ci_low is None or statistics.ci_high is None:
        return None
    if column.percent and column.bounded and not column.minus:
        return max(statistics.ci_low, 0.0), min(statistics.ci_high, 100.0)
    return statistics.ci_low, statistics.ci_high
