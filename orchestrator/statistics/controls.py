"""A row against the best control of its table.

A control hears nothing but a shortcut. A row that is not shown to be better than the best of them may have learnt that shortcut, so
it is marked; the mark is what a row has until it has cleared the bar, and clearing it is the claim. Decisions:

- The bar is the control with the best mean, chosen after the fact. The best of several means is on average too high for the control
  that it is of, so a row clears it too seldom rather than too often: careful, not lenient.
- A row clears it if the two-level 95 % interval of the paired difference lies wholly on the better side, which a row that is just
  as good as the control does in about 2.5 % of tables. There is no sign-flip test beside it as there is for the baseline
  (:func:`orchestrator.statistics.comparison.compare`): with less than six seeds it could clear no row, however good.
- It is not corrected for the number of rows. Correction guards the claim that one row of many is a find; here no row is searched
  for, each is held against a bar by itself. The price: where k rows are all as good as a single control, the chance that any of
  them goes unmarked is up to k times as high.
"""

from __future__ import annotations

from collections.abc import Mapping
from statistics import fmean
from typing import TYPE_CHECKING

from search_spaces.table import Row, TableSpec
from trainables.errors import Faults, UserError

if TYPE_CHECKING:
    from orchestrator.statistics.resampling import SeedScores


def held_rows(spec: TableSpec) -> list[Row]:
    """The rows that are held against the best control: those that are compared, and the baseline; none without controls."""
    if not any(row.control for row in spec.rows):
        return []
    return [row for row in spec.rows if (row.compared or row.key == spec.baseline) and not row.control]


def best_control(spec: TableSpec, means: Mapping[str, float]) -> Row | None:
    """The control with the best mean of the headline metric, the first in the table of equal ones.

    Args:
        spec: The table.
        means: Over seeds, by row key; rows without one are passed over.

    Returns:
        None if no control has a mean.
    """
    higher = spec.column(spec.headline).higher_is_better
    controls = [row for row in spec.rows if row.control and row.key in means]
    return max(controls, key=lambda row: means[row.key] if higher else -means[row.key], default=None)


def control_differences(
    spec: TableSpec, scores: Mapping[tuple[str, str], SeedScores], faults: Faults
) -> dict[tuple[str, str], dict[str, float | None]]:
    """The fields of each held row's headline cell that concern the best control.

    Args:
        spec: The table.
        scores: By row key and metric.
        faults: Is told of rows that were tested on other units than the best control.
    """
    from orchestrator.statistics.comparison import compare

    column = spec.column(spec.headline)
    best = best_control(spec, {key: fmean(own.values.tolist()) for (key, metric), own in scores.items() if metric == column.metric})
    fields = {}
    for row in held_rows(spec) if best else ():
        if (own := scores.get((row.key, column.metric))) is None:
            continue
        try:
            differences = own.minus(scores[best.key, column.metric], f"the best control, {best.key!r}")
        except UserError as error:
            faults.add(f"row {row.key!r}, {error}")
            continue
        if differences:
            found = compare(differences, column.higher_is_better)
            names = ("control_difference", "control_low", "control_high")
            numbers = (found.difference, found.difference_low, found.difference_high)
            fields[row.key, column.metric] = dict(zip(names, numbers, strict=True))
    return fields
