"""Intervals and tests of a mean over seeds that hold for other speakers and other seeds.

The score of seed s on its test set is Y_s = theta + a_s + (what its speakers do), with a_s independent of variance A
(initialisation, batch order), and speakers drawn from a population; seeds may share test speakers wholly (a fixed test set),
partly (random splits) or not at all. Then the variance of the mean of n seeds is

    V = v/n + (1 - 1/n) c,    v = Var(Y_s) = A + its speakers' part,    c = Cov(Y_s, Y_t) by the speakers that both tested.

The seeds' sample variance s2 has expectation v - c, and knows nothing of c: that is why a t interval over seeds is too short (the
same gap that Nadeau and Bengio 2003 close by a guess of the correlation). The speakers' bootstrap gives the rest, with d*[b, s] the
score of seed s in replicate b:

    J = Var_b(mean_s d*)      the speakers' part of V, seeds held fixed; whatever the overlap of the test sets
    E = E_b(var_s d*)         what of s2 is due to the speakers
    A = max(0, s2 - E)        between-seed variance proper
    V = max(J + A/n, s2/n)

Without the clipping V = s2/n + (J - E/n), and J - E/n is the bootstrap's mean covariance between seeds, an estimate of c. For a
fixed test set this is the two-way random effects estimate (speakers + seeds - interaction); Owen 2007 (Annals of Applied
Statistics 1) bootstraps both ways at once instead. That and percentiles need many seeds; with 3 to 10 a t quantile is needed.

What it does not cover: speakers of the training set, which all seeds draw from one corpus, and stages that all seeds share.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from orchestrator.statistics.resampling import SeedScores
from orchestrator.statistics.sums import SpeakerSums

_CONFIDENCE = 0.95


@dataclass(frozen=True)
class TwoLevel:
    """A mean over seeds with its variance over speakers and seeds.

    Attributes:
        mean: Over seeds.
        variance: V of the module's docstring.
        df: Degrees of freedom of ``variance`` (Satterthwaite).
        speakers: Effective number of test speakers of the smallest group, such as the class of the fewest speakers.
    """

    mean: float
    variance: float
    df: float
    speakers: float

    def interval(self) -> tuple[float, float]:
        """Student's t interval of the mean."""
        half = self._quantile() * math.sqrt(self.variance)
        return self.mean - half, self.mean + half

    def interval_of_share(self) -> tuple[float, float]:
        """The same for a mean in 0..1 whose variance shrinks towards both ends as mean * (1 - mean): Wilson's interval.

        All theta with |mean - theta| <= t sqrt(V theta (1 - theta) / (mean (1 - mean))). It stays within 0..1, and covers where
        Student's does not: at a score of .8 with 12 test speakers, 96 % instead of 92 % in the worlds of ``tests/calibration``.
        At 0 or 1 no resampling moves the score; there each effective speaker of the smallest group counts as one right or wrong
        answer: an F1 of 0 of the depressed says something of the depressed alone (with all 47 of DAIC-WOZ's test participants for
        its 14 depressed ones, the interval of such an F1 holds the true one in no draw; with the 14 in all).
        """
        spread = self.mean * (1 - self.mean)
        deff = self.variance / spread if spread > 0 else 1 / self.speakers
        width = self._quantile() ** 2 * deff
        centre = (self.mean + width / 2) / (1 + width)
        half = math.sqrt(width * max(spread, 0.0) + width**2 / 4) / (1 + width)
        # With the mean always inside, which rounding may leave out at 0 and 1.
        return max(0.0, min(centre - half, self.mean)), min(1.0, max(centre + half, self.mean))

    def p_value(self, null: float = 0.0) -> float:
        """Two-sided p of a true mean of ``null``."""
        from scipy.special import stdtr

        if self.mean == null:
            return 1.0
        if self.variance == 0:
            return 0.0
        return 2 * float(stdtr(self.df, -abs(self.mean - null) / math.sqrt(self.variance)))

    def _quantile(self) -> float:
        from scipy.special import stdtrit

        return float(stdtrit(self.df, 0.5 + _CONFIDENCE / 2))


def two_level(scores: SeedScores) -> TwoLevel | None:
    """The mean over seeds and its variance, see the module's docstring.

    With one seed V is J alone: the variation between seeds is unknown then, and not covered. None where it cannot be known:
    no sums, or a test set in which a single speaker has part.

    Decision on the degrees of freedom: Satterthwaite, df = V^2 / (J^2 / (N - 1) + (s2/n)^2 / (n - 1)), with N the effective number
    of test speakers (:func:`effective_speakers`). It is that of the two-way analysis of variance for a fixed test set, less its
    negligible interaction term, and n - 1 as good as exactly for disjoint ones.
    """
    if scores.replicates is None or min(int(each.sizes.any(axis=1).sum()) for each in scores.sums) < 2:
        return None
    n, correction, speakers = len(scores.seeds), small_sample_correction(scores.sums), effective_speakers(scores.sums)
    mean, joint = float(np.mean(scores.values)), correction * float(scores.replicates.mean(axis=0).var(ddof=1))
    if n == 1:
        return TwoLevel(mean, joint, speakers - 1, fewest_speakers(scores.sums))
    s2 = float(scores.values.var(ddof=1))
    explained = correction * _variance_between_seeds(scores.replicates)
    variance = max(joint + max(0.0, s2 - explained) / n, s2 / n)
    uncertainty = joint**2 / (speakers - 1) + (s2 / n) ** 2 / (n - 1)
    df = variance**2 / uncertainty if uncertainty > 0 else speakers - 1
    return TwoLevel(mean, variance, df, fewest_speakers(scores.sums))


def effective_speakers(sums: Sequence[SpeakerSums]) -> float:
    """Kish's effective number of the speakers of all seeds' test sets together: (sum w)^2 / sum w^2.

    w is a speaker's share of a test set's units, summed over seeds: the number of speakers for a fixed test set with as many units
    from each, fewer where some are in more test sets or bring more units than others.
    """
    return _effective([(each.speakers, each.sizes.sum(axis=1)) for each in sums])


def fewest_speakers(sums: Sequence[SpeakerSums]) -> float:
    """The same of the group that has fewest, over the test sets in which it has any unit."""
    groups = range(max(each.sizes.shape[1] for each in sums))
    having = [[each for each in sums if each.sizes[:, group : group + 1].any()] for group in groups]
    return min(
        _effective([(each.speakers, each.sizes[:, g]) for each in sets]) for g, sets in zip(groups, having, strict=True) if sets
    )


def _effective(sets: Sequence[tuple[tuple[str, ...], np.ndarray]]) -> float:
    """Of speakers and their units ``[speakers]`` in each test set."""
    shares: dict[str, float] = defaultdict(float)
    for names, units in sets:
        for name, share in zip(names, (units / units.sum()).tolist(), strict=True):
            shares[name] += share
    return _kish(np.array([shares[name] for name in sorted(shares)]))


def small_sample_correction(sums: Sequence[SpeakerSums]) -> float:
    """What a bootstrap variance is multiplied by to be unbiased: (m + 1) / (m - 1) for the mean of m speakers (Rubin's weights).

    The scores average over groups (classes, mostly), and often a speaker has units of one only (depressed or not); so m is the
    effective number of speakers of a group, and the corrections are averaged over groups and seeds. Decision: a group of less than
    two speakers shows no variation between them and counts as two.
    """
    factors = []
    for each in sums:
        for units in each.sizes.T:
            if units.any():
                m = max(_kish(units), 2.0)
                factors.append((m + 1) / (m - 1))
    return math.fsum(factors) / len(factors)


def _kish(weights: np.ndarray) -> float:
    return float(weights.sum() ** 2 / np.sum(weights**2))


def _variance_between_seeds(replicates: np.ndarray) -> float:
    deviations = replicates - replicates.mean(axis=1, keepdims=True)
    return float(deviations.var(axis=0, ddof=1).mean())
