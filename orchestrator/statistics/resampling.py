"""The scores of a row, and what they would have been with other speakers.

Speakers are resampled, never utterances: the utterances of a speaker are no independent evidence. All test sets of a table share
one weight for each speaker, so that what a speaker does to several seeds, or to a row and its baseline, is seen to go together.

The weights are those of the Bayesian bootstrap (Rubin 1981, Annals of Statistics 9): independent exponentials. Within any test set
they are uniform on the simplex, so one draw serves test sets that overlap in part; and as no weight is 0, no replicate loses a
class or a whole test set, as copying speakers does in sets of ten.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from orchestrator.statistics.counts import SpeakerCounts
from trainables.errors import UserError

REPLICATES = 2000
"""The Monte Carlo error of an interval's width is then 1.6 %."""


@dataclass(frozen=True)
class SeedScores:
    """A score (or a paired difference of scores) of one row, seed by seed.

    Attributes:
        seeds: Ascending.
        values: ``[seeds]``.
        replicates: The same with resampled speakers ``[seeds, replicates]``; None where the metric has no counts.
        counts: The test set of each seed; empty where the metric has no counts.
    """

    seeds: tuple[int, ...]
    values: np.ndarray
    replicates: np.ndarray | None = None
    counts: tuple[SpeakerCounts, ...] = ()

    @classmethod
    def without_counts(cls, values: Mapping[int, float]) -> SeedScores:
        """Scores by seed of a metric that cannot be recomputed."""
        seeds = tuple(sorted(values))
        return cls(seeds, np.array([values[seed] for seed in seeds]))

    def speakers(self) -> int | None:
        """Speakers in the test sets of all seeds together; None where the metric has no counts."""
        return len({name for counts in self.counts for name in counts.speakers}) if self.counts else None

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
            _require_paired(seed, name, self.counts[i], other.counts[j])
        return SeedScores(seeds, values, self.replicates[mine] - other.replicates[theirs], tuple(self.counts[i] for i in mine))


def resample(
    counts: Mapping[int, SpeakerCounts], score: Callable[[np.ndarray], np.ndarray], weights: Mapping[str, np.ndarray]
) -> SeedScores:
    """The score of each seed's test set, as it is and with each of the speakers' weights.

    Args:
        counts: By seed.
        score: One of :data:`orchestrator.statistics.scores.SCORES`.
        weights: ``[replicates]`` of each speaker (:func:`speaker_weights`).
    """
    seeds = tuple(sorted(counts))
    sets = tuple(counts[seed] for seed in seeds)
    values = np.array([float(score(each.confusion.sum(axis=0))) for each in sets])
    return SeedScores(seeds, values, np.stack([_replicates(each, score, weights) for each in sets]), sets)


def speaker_weights(speakers: set[str], replicates: int = REPLICATES) -> dict[str, np.ndarray]:
    """Exponential weights ``[replicates]`` of each speaker, from a generator of its own that is seeded by its name.

    So a cell's numbers do not depend on which other rows, seeds and speakers a table has already got.
    """
    return {name: np.random.default_rng(_entropy(name)).standard_exponential(replicates) for name in speakers}


def _entropy(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:16], "big")


def _replicates(counts: SpeakerCounts, score: Callable[[np.ndarray], np.ndarray], weights: Mapping[str, np.ndarray]) -> np.ndarray:
    chosen = np.stack([weights[name] for name in counts.speakers])
    classes = counts.confusion.shape[-1]
    flat = counts.confusion.reshape(len(counts.speakers), -1)
    return score((chosen.T @ flat).reshape(-1, classes, classes))


def _require_paired(seed: int, name: str, mine: SpeakerCounts, theirs: SpeakerCounts) -> None:
    if mine.digest != theirs.digest:
        raise UserError(
            f"seed {seed} is not paired with {name}: {mine.units} test units of {len(mine.speakers)} speakers against "
            f"{theirs.units} of {len(theirs.speakers)}, expected the same units, speakers and labels; give both rows the same "
            "corpus and split"
        )
