"""What can be said of one cell from its values alone.

The interval is Student's t interval of the mean over seeds. It covers the variation between seeds (initialisation, order and the
random split) and nothing else: it does not say how the number would move with other speakers
(:mod:`orchestrator.statistics.two_level` does), nor with another run of a stage that the seeds share, such as pretraining.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean, stdev

from trainables.errors import Faults

_CONFIDENCE = 0.95


@dataclass(frozen=True)
class Summary:
    """Mean, sample standard deviation and t interval of ``n`` values; the last three need two values and are None below."""

    n: int
    mean: float
    std: float | None
    ci_low: float | None
    ci_high: float | None


def summarize(values: Mapping[str, float], scale: float = 1.0) -> Summary:
    """Summarise one cell.

    ``values`` maps a trial's name to its value; each is multiplied by ``scale`` first (100 for percent). The order of the
    values does not change a bit of the result. Raises UserError naming the trials whose value is not finite: leaving them out
    would change the question, so it is never done silently.
    """
    if not values:
        raise ValueError("a cell without values has no summary")
    require_finite(values)
    scaled = [value * scale for value in values.values()]
    mean = fmean(scaled)
    if len(scaled) < 2:
        return Summary(len(scaled), mean, None, None, None)
    std = stdev(scaled)
    half = _t_half_width(std, len(scaled))
    return Summary(len(scaled), mean, std, mean - half, mean + half)


def require_finite(values: Mapping[str, float]) -> None:
    """Raise UserError naming every trial whose value is not finite."""
    faults = Faults("the metrics of the trials")
    for name, value in values.items():
        if not math.isfinite(value):
            faults.add(f"{name} is {value}, expected a finite number; look at that trial's stages and run it again")
    faults.raise_if_any()


def _t_half_width(std: float, n: int) -> float:
    """Half the width of Student's t interval of a mean: t_{n-1} * std / sqrt(n), for a sample ``std`` of ``n`` >= 2 values."""
    from scipy.special import stdtrit

    return float(stdtrit(n - 1, 0.5 + _CONFIDENCE / 2)) * std / math.sqrt(n)
