"""A row against the baseline of its table."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache

import numpy as np

from orchestrator.statistics.resampling import SeedScores
from orchestrator.statistics.two_level import two_level

EXACT_UP_TO = 16
"""The most seeds whose sign-flip test goes through all patterns of signs."""

RANDOM_PATTERNS = 100_000
"""How many it draws beyond."""


@dataclass(frozen=True)
class Comparison:
    """Paired differences of a row from the baseline.

    ``n`` is the number of pairs, all else as in :class:`orchestrator.records.CellStatistics`.
    """

    n: int
    difference: float
    difference_low: float | None
    difference_high: float | None
    p_uncorrected: float | None
    effect_size: float | None
    p_superior: float

    def fields(self) -> dict[str, float | None]:
        """What a cell's statistics take over."""
        return {name: value for name, value in asdict(self).items() if name != "n"}


def compare(differences: SeedScores, higher_is_better: bool) -> Comparison:
    """Judge paired differences.

    ``p_uncorrected`` is the larger p of two tests, each of which can be wrong alone: the sign-flip test makes no assumption on
    the distribution but takes the speakers as given (on a fixed test set it finds differences between equals in most tables, see
    ``tests/calibration``); the two-level t test reaches beyond these speakers but trusts its variance even of two seeds. Where the
    metric cannot be had from sums per speaker there is neither an interval nor a p, because a test over seeds alone would be that
    sign-flip test.
    """
    values, estimate = differences.values, two_level(differences)
    low, high = estimate.interval() if estimate else (None, None)
    return Comparison(
        n=len(values),
        difference=float(np.mean(values)),
        difference_low=low,
        difference_high=high,
        p_uncorrected=max(sign_flip_p(values), estimate.p_value()) if estimate else None,
        effect_size=hedges_g(values),
        p_superior=share_superior(values, higher_is_better),
    )


def sign_flip_p(differences: np.ndarray) -> float:
    """Two-sided p of "each difference is as likely to have the other sign" by the sum over seeds.

    All 2^n patterns of signs up to 16 seeds; beyond, 100,000 random ones from a fixed seed, the observed one counting as one more.

    Args:
        differences: Paired, one a seed ``[n]``.
    """
    observed, slack = abs(differences.sum()), 1e-12 * np.abs(differences).sum()
    reached = int(np.count_nonzero(np.abs(_patterns(len(differences)) @ differences) >= observed - slack))
    if len(differences) <= EXACT_UP_TO:
        return reached / 2 ** len(differences)
    return (reached + 1) / (RANDOM_PATTERNS + 1)


def sign_flip_floor(n: int) -> float:
    """The least p that :func:`sign_flip_p` can give with ``n`` seeds: 0.0625 with 5, 0.03125 with 6."""
    least = 2 / 2**n
    return least if n <= EXACT_UP_TO else max(least, 1 / (RANDOM_PATTERNS + 1))


def hedges_g(differences: np.ndarray) -> float | None:
    """Hedges' g_z: mean over sample deviation of the differences, times Gamma(v/2) / (sqrt(v/2) Gamma((v-1)/2)) with v = n - 1.

    None where the deviation is 0 and below three seeds, where the correction has no finite value but 0 (Hedges 1981, equation 6e).
    """
    if len(differences) < 3 or not np.ptp(differences) > 0:
        return None
    half = (len(differences) - 1) / 2
    correction = math.exp(math.lgamma(half) - math.lgamma(half - 0.5)) / math.sqrt(half)
    return float(differences.mean() / differences.std(ddof=1)) * correction


def share_superior(differences: np.ndarray, higher_is_better: bool) -> float:
    """P(A>B): share of seeds in which the row is better, ties counting half (Bouthillier et al. 2021, section 4)."""
    better = differences > 0 if higher_is_better else differences < 0
    return float(np.mean(better + 0.5 * (differences == 0)))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's correction over a family of tests (Holm 1979)."""
    from statsmodels.stats.multitest import multipletests

    return [float(p) for p in multipletests(p_values, method="holm")[1]] if p_values else []


@cache
def _patterns(n: int) -> np.ndarray:
    """Signs ``[patterns, n]``."""
    if n <= EXACT_UP_TO:
        return 1.0 - 2.0 * ((np.arange(2**n)[:, None] >> np.arange(n)) & 1)
    return np.random.default_rng(0).choice(np.array([-1.0, 1.0]), (RANDOM_PATTERNS, n))
