"""The scores of a row, and what they would have been with other speakers.

Speakers are resampled, never utterances: the utterances of a speaker are no independent evidence. All test sets of a table share
one weight for each speaker, so that what a speaker does to several seeds, or to a row and its baseline, is seen to go together.

The weights are those of the Bayesian bootstrap (Rubin 1981, Annals of Statistics 9): independent exponentials. Within any test set
they are uniform on the simplex, so one draw serves test sets that overlap in part; and as no weight is 0, no replicate loses a
class or a whole test set, as copying speakers does in sets of ten.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from orchestrator.statistics.scores import Score
from orchestrator.statistics.sums import SpeakerSums
from trainables.errors import UserError

REPLICATES = 2000
"""The Monte Carlo error of an interval's width is then 1.6 %."""


@dataclass(frozen=True)
class SeedScores:
    """A score (or a paired difference of scores) of one row, seed by seed.

    Attributes:
        seeds: Ascending.
        values: ``[seeds]``.
        replicates: The same with resampled speakers ``[seeds, replicates]``; None where the metric cannot be had from sums.
        sums: The test set of each seed; empty where the metric cannot be had from sums.
        share: Whether the values are shares (:class:`orchestrator.statistics.scores.Score`).
    """

    seeds: tuple[int, ...]
    values: np.ndarray
    replicates: np.ndarray | None = None
    sums: tuple[SpeakerSums, ...] = ()
    share: bool = False

    @classmethod
    def without_sums(cls, values: Mapping[int, float]) -> SeedScores:
        """Scores by seed of a metric that cannot be recomputed."""
        seeds = tuple(sorted(values))
        return cls(seeds, np.array([values[seed] for seed in seeds]))

    def speakers(self) -> int | None:
        """Speakers in the test sets of all seeds together; None where the metric cannot be had from sums."""
        return len({name for each in self.sums for name in each.speakers}) if self.sums else None

    def minus(self, other: SeedScores, name: str = "the baseline") -> SeedScores | None:
        """Differences over the seeds that both have, paired by seed and speaker; None without such a seed.

        ``name`` is what a message calls the other one.

        Raises:
            UserError: At some seed the two were not tested on the same units.
        """
        seeds = tuple(seed for seed in self.seeds if seed in other.seeds)
        if not seeds:
            return None
        mine, theirs = ([scores.seeds.index(seed) for seed in seeds] for scores in (self, other))
        values = self.values[mine] - other.values[theirs]
        # Equal scores of unlike confusions can differ by a rounding error, which no test may take for a difference.
        values = np.where(np.abs(values) < 1e-12, 0.0, values)
        if self.replicates is None or other.replicates is None:
            return SeedScores(seeds, values)
        for seed, i, j in zip(seeds, mine, theirs, strict=True):
            _require_paired(seed, name, self.sums[i], other.sums[j])
        return SeedScores(seeds, values, self.replicates[mine] - other.replicates[theirs], tuple(self.sums[i] for i in mine))


def resample(sums: Mapping[int, SpeakerSums], score: Score, weights: Mapping[str, np.ndarray]) -> SeedScores:
    """The score of each seed's test set, as it is and with each of the speakers' weights.

    Args:
        sums: By seed, of the score's statistic.
        score: What is had from them.
        weights: ``[replicates]`` of each speaker (:func:`speaker_weights`).
    """
    seeds = tuple(sorted(sums))
    sets = tuple(sums[seed] for seed in seeds)
    values = np.array([float(score.of_sums(each.sums.sum(axis=0))) for each in sets])
    return SeedScores(seeds, values, np.stack([_replicates(each, score, weights) for each in sets]), sets, score.share)


def speaker_weights(speakers: set[str], replicates: int = REPLICATES) -> dict[str, np.ndarray]:
    """Exponential weights ``[replicates]`` of each speaker, from a generator of its own that is seeded by its name.

    So a cell's numbers do not depend on which other rows, seeds and speakers a table has already got.
    """
    return {name: np.random.default_rng(_entropy(name)).standard_exponential(replicates) for name in speakers}


def _entropy(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:16], "big")


def _replicates(sums: SpeakerSums, score: Score, weights: Mapping[str, np.ndarray]) -> np.ndarray:
    chosen = np.stack([weights[name] for name in sums.speakers])
    flat = sums.sums.reshape(len(sums.speakers), -1)
    return score.of_sums((chosen.T @ flat).reshape(-1, *sums.sums.shape[1:]))


def _require_paired(seed: int, name: str, mine: SpeakerSums, theirs: SpeakerSums) -> None:
    if mine.digest != theirs.digest:
        raise UserError(
            f"seed {seed} is not paired with {name}: {mine.units} test units of {len(mine.speakers)} speakers against "
            f"{theirs.units} of {len(theirs.speakers)}, expected the same units, speakers and labels; give both rows the same "
            "corpus and split"
        )
