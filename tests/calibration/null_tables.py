"""Tables in which no row is better than another, drawn from a known world of speakers and seeds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from orchestrator.statistics.sums import SpeakerSums
from search_spaces.table import Column, Row, TableSpec

ROWS = ("baseline", "a", "b", "c", "d")
METRIC = "f1_macro"


def spec() -> TableSpec:
    """A table of four compared rows."""
    return TableSpec(
        study="null",
        title="Null",
        source="nowhere",
        row_titles=("row",),
        rows=tuple(Row(key=key, label=(key,)) for key in ROWS),
        columns=(Column(metric=METRIC, title="F1", percent=True, higher_is_better=True),),
        headline=METRIC,
        baseline="baseline",
    )


@dataclass(frozen=True)
class Mix:
    """Standard deviations of what decides whether a unit is recognised (the mean is 1, recognised means above 0).

    Attributes:
        difficulty: Of a speaker, the same for all rows.
        speaker: Of a speaker's liking for one row, whatever the seed.
        seed: Of one row's training run, by class.
        noise: Of one unit in one run.
    """

    difficulty: float
    speaker: float
    seed: float
    noise: float


MIXES = {
    "mixed": Mix(difficulty=0.8, speaker=0.5, seed=0.2, noise=0.7),
    "seeds vary": Mix(difficulty=0.8, speaker=0.2, seed=0.5, noise=0.5),
    "speakers vary": Mix(difficulty=0.8, speaker=1.0, seed=0.05, noise=0.3),
}


@dataclass(frozen=True)
class Scenario:
    """A world and a protocol: ``speakers`` with one to three units and one class each, 30 % of them in each test set."""

    seeds: int
    speakers: int
    positive: float
    fixed_test: bool
    mix: str

    def __str__(self) -> str:
        split = "fixed" if self.fixed_test else "random"
        return f"{self.seeds:2d} seeds, {self.speakers:3d} speakers ({self.positive:.0%} positive), {split:6s} split, {self.mix}"


def null_table(scenario: Scenario, generator: np.random.Generator, name: str) -> dict[str, dict[int, SpeakerSums]]:
    """Confusion counts by row and seed; all rows are drawn alike. ``name`` makes the speakers other ones than another table's."""
    mix, rows, seeds = MIXES[scenario.mix], len(ROWS), scenario.seeds
    label = np.arange(scenario.speakers) < round(scenario.positive * scenario.speakers)
    speaker = np.repeat(np.arange(scenario.speakers), generator.integers(1, 4, scenario.speakers))
    truth = label[speaker].astype(int)
    recognised = 1 + generator.normal(0, mix.difficulty, scenario.speakers)[speaker]
    recognised = recognised + generator.normal(0, mix.speaker, (rows, 1, scenario.speakers))[..., speaker]
    recognised = recognised + generator.normal(0, mix.seed, (rows, seeds, 2))[..., truth]
    recognised = recognised + generator.normal(0, mix.noise, (rows, seeds, len(speaker)))
    predicted = np.where(recognised > 0, truth, 1 - truth)
    tests = (
        [_test_speakers(label, generator)] * seeds
        if scenario.fixed_test
        else [_test_speakers(label, generator) for _ in range(seeds)]
    )
    return {
        row: {seed: _counts(predicted[i, seed], truth, speaker, tests[seed], name) for seed in range(seeds)}
        for i, row in enumerate(ROWS)
    }


def _test_speakers(label: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    classes = [np.flatnonzero(label == value) for value in (False, True)]
    return np.sort(np.concatenate([generator.choice(those, round(0.3 * len(those)), replace=False) for those in classes]))


def _counts(predicted: np.ndarray, truth: np.ndarray, speaker: np.ndarray, test: np.ndarray, name: str) -> SpeakerSums:
    confusion = np.zeros((speaker.max() + 1, 2, 2))
    np.add.at(confusion, (speaker, truth, predicted), 1)
    speakers, counts = tuple(f"{name}-{number}" for number in test), confusion[test]
    return SpeakerSums(speakers, counts, counts.sum(axis=2), digest=repr(test.tolist()))
