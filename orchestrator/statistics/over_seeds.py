"""What a column shows of a row's seeds where it is not their mean: the maximum, the value at the best seed, and gaps.

Decisions on their uncertainty, by a simulated DAIC-WOZ (``tests/calibration/test_columns.py``: 35 development speakers of whom 12
are depressed, 47 test speakers, 5 or 20 seeds that differ little or much):

- A maximum has no interval. With the maximum taken anew in every bootstrap replicate an interval does cover the expected maximum of
  so many seeds (89 to 96 %), but not what a reader takes it for, the score of the seed that was chosen among other speakers: that
  it covers in 45 to 76 %, because the maximum is too high by as much as the seeds scatter by chance.
- The value at the seed that is best by another metric has the interval of one seed, over speakers alone, where that other metric is
  of other speakers: the choice then knows nothing of the test speakers, and the interval covers the chosen seed's true score (in
  99 %). Where a speaker is in both, or where that cannot be told, it has none.
- A gap to a maximum or to a chosen seed has Student's interval over speakers, maximum and all: speakers that both numbers share
  are resampled alike, others independently, and it covers the expected gap (96 to 98 %).
- A gap between two plain means is a difference for every seed, and has the two-level interval of their mean. With 3 seeds, which
  test 15 of 50 speakers each and differ by deviations from 0 to 0.1, it covers the expected gap in 95 to 100 % of 150 simulated
  tables, where an interval over speakers alone covers it in 81 to 95 %.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import fmean
from typing import TYPE_CHECKING

from search_spaces.table import Column, TableSpec

if TYPE_CHECKING:
    from orchestrator.statistics.resampling import SeedScores

_TIED = 1e-12

Interval = tuple[float | None, float | None]


def chosen_seeds(column: Column, values: Mapping[str, Mapping[int, float]]) -> tuple[int, ...]:
    """The seeds of whose values a column shows the mean: all, those with the maximum, or those that are best by another metric.

    Args:
        column: The column.
        values: By metric and seed; both of a column's metrics have the same seeds.
    """
    of = values[column.metric]
    if column.over_seeds == "mean":
        return tuple(sorted(of))
    rank = values[column.best_by] if column.over_seeds == "at_best" else of
    best = max(rank[seed] for seed in of)
    return tuple(sorted(seed for seed in of if rank[seed] >= best - _TIED))


def shown_value(spec: TableSpec, column: Column, values: Mapping[str, Mapping[int, float]]) -> float | None:
    """The number of a column, from the values of one row by metric and seed; None if it lacks a metric that is needed."""
    if not all(values.get(metric) for metric in column.metrics):
        return None
    own = fmean(values[column.metric][seed] for seed in chosen_seeds(column, values))
    if not column.minus:
        return own
    other = shown_value(spec, spec.column(column.minus), values)
    return None if other is None else own - other


def interval_of(spec: TableSpec, column: Column, scores: Mapping[str, SeedScores]) -> Interval:
    """The 95 % interval of a column that is no plain mean; see the module's docstring for where there is one.

    Args:
        spec: The table.
        column: The column.
        scores: Of one row, by metric.
    """
    from orchestrator.statistics.two_level import two_level

    if not column.minus:
        if column.over_seeds == "max" or not _other_speakers(scores[column.metric], scores[column.best_by]):
            return None, None
        estimate = two_level(_reduced(column, scores))
        share = scores[column.metric].share
        return (estimate.interval_of_share() if share else estimate.interval()) if estimate else (None, None)
    other = spec.column(column.minus)
    if of_plain_means(column, other) and scores[column.metric].seeds == scores[other.metric].seeds:
        gap = _gap(scores[column.metric], scores[other.metric])
    else:
        gap = _gap(_reduced(column, scores), _reduced(other, scores))
    estimate = two_level(gap)
    return estimate.interval() if estimate else (None, None)


def of_plain_means(column: Column, other: Column) -> bool:
    """Whether a gap between two columns is a mean over seeds itself, of one difference a seed."""
    return column.over_seeds == other.over_seeds == "mean"


def _reduced(column: Column, scores: Mapping[str, SeedScores]) -> SeedScores:
    """A column's number as the score of a single seed, which it varies over speakers like."""
    import numpy as np

    from orchestrator.statistics.resampling import SeedScores

    own = scores[column.metric]
    values = {metric: dict(zip(scores[metric].seeds, scores[metric].values.tolist(), strict=True)) for metric in column.metrics}
    chosen = [own.seeds.index(seed) for seed in chosen_seeds(column, values)]
    value = own.values[chosen].mean(keepdims=True)
    if own.replicates is None:
        return SeedScores((0,), value)
    anew = own.replicates.max(axis=0) if column.over_seeds == "max" else own.replicates[chosen].mean(axis=0)
    return SeedScores((0,), value, anew[np.newaxis], tuple(own.sums[number] for number in chosen), own.share)


def _gap(minuend: SeedScores, subtrahend: SeedScores) -> SeedScores:
    """The difference of two scores of the same seeds, whose test sets need not be the same."""
    from orchestrator.statistics.resampling import SeedScores

    value = minuend.values - subtrahend.values
    if minuend.replicates is None or subtrahend.replicates is None:
        return SeedScores(minuend.seeds, value)
    return SeedScores(minuend.seeds, value, minuend.replicates - subtrahend.replicates, minuend.sums + subtrahend.sums)


def _other_speakers(scores: SeedScores, rank: SeedScores) -> bool:
    """Whether it is known that no speaker is in both."""
    if not scores.sums or not rank.sums:
        return False
    mine, theirs = ({name for each in of.sums for name in each.speakers} for of in (scores, rank))
    return mine.isdisjoint(theirs)


def distinct_metrics(columns: Sequence[Column]) -> list[str]:
    """The metrics that columns are made of, each once."""
    return list(dict.fromkeys(metric for column in columns for metric in column.metrics))


def complete(spec: TableSpec, column: Column, has: Callable[[str], bool]) -> bool:
    """Whether a row that ``has`` certain metrics has this column's number."""
    others = spec.column(column.minus).metrics if column.minus else ()
    return all(has(metric) for metric in (*column.metrics, *others))
