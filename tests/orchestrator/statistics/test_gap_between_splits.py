"""The gap between two divisions of the same segments: whole speakers on one side, a draw of segments on the other."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t as student

from orchestrator.records import CellStatistics
from orchestrator.statistics.resampling import SeedScores, resample, speaker_weights
from orchestrator.statistics.scores import SCORES
from orchestrator.statistics.sums import speaker_sums
from orchestrator.statistics.two_level import effective_speakers, small_sample_correction, two_level
from search_spaces.table import Column, Row
from tests.orchestrator.statistics.test_over_seeds import Files, spec, statistics, trial
from trainables.errors import UserError

CLEAN = Column(metric="f1_micro", title="accuracy", percent=True, higher_is_better=True)
MIXED = Column(metric="mixed_f1_micro", title="mixed", percent=True, higher_is_better=True)
GAP = Column(metric="mixed_f1_micro", title="gap", percent=True, higher_is_better=None, bounded=False, minus="f1_micro")
COLUMNS = (CLEAN, MIXED, GAP)
KEY = "mixed_f1_micro_minus_f1_micro"
SCORE = SCORES["f1_micro"]
SIDES = ("predictions.parquet", "predictions_mixed.parquet")


def segments(speakers: np.ndarray, each: int, right: float, draw: np.random.Generator) -> pd.DataFrame:
    """Segments of speakers, the even ones healthy."""
    speaker = np.repeat(speakers, each)
    truth = speaker % 2
    predicted = np.where(draw.random(len(speaker)) < right, truth, 1 - truth)
    units = [f"s{name}#{number}" for number, name in enumerate(speaker)]
    return pd.DataFrame({"unit": units, "speaker": [f"s{name}" for name in speaker], "truth": truth, "predicted": predicted})


def accuracy(frame: pd.DataFrame) -> float:
    return float((frame["truth"] == frame["predicted"]).mean())


def trials(row: str, files: Files, seeds: int = 3, drawn_by: str = "") -> list:
    """Fifteen of fifty speakers are tested by speaker, and six segments of everybody where segments are drawn."""
    found = []
    for seed in range(seeds):
        division = np.random.default_rng([*drawn_by.encode(), seed])
        tested = division.choice(50, 15, replace=False)
        said = np.random.default_rng([*row.encode(), seed])
        frames = {"predictions.parquet": segments(tested, 20, 0.6, said)}
        frames["predictions_mixed.parquet"] = segments(np.sort(division.permutation(50)[:49]), 6, 0.9, said)
        files |= {(f"{row}-{seed}", name): frame for name, frame in frames.items()}
        clean, mixed = map(accuracy, frames.values())
        found.append(trial(row, seed, f1_micro=clean, mixed_f1_micro=mixed))
    return found


def cells(seeds: int = 3) -> tuple[dict[tuple[str, str], CellStatistics], Files]:
    files: Files = {}
    return statistics(spec(columns=COLUMNS), trials("a", files, seeds), files), files


def replicates(files: Files, seeds: int) -> tuple[np.ndarray, list]:
    """Gaps with other speakers ``[seeds, replicates]``, and the sums of both sides."""
    sums = {name: [speaker_sums(files[f"a-{seed}", name], SCORE.statistic) for seed in range(seeds)] for name in SIDES}
    weights = speaker_weights({f"s{number}" for number in range(50)})
    clean, mixed = (resample(dict(enumerate(sums[name])), SCORE, weights).replicates for name in SIDES)
    return mixed - clean, [*sums[SIDES[1]], *sums[SIDES[0]]]


def test_the_gap_of_one_seed_has_students_interval_over_the_speakers_of_both_sides() -> None:
    found, files = cells(seeds=1)
    gap = found["a", KEY]
    assert gap.mean == pytest.approx(found["a", "mixed_f1_micro"].mean - found["a", "f1_micro"].mean)
    anew, both = replicates(files, 1)
    half = student.ppf(0.975, effective_speakers(both) - 1) * np.sqrt(small_sample_correction(both) * np.var(anew[0], ddof=1))
    assert (gap.ci_low, gap.ci_high) == (pytest.approx(gap.mean - half), pytest.approx(gap.mean + half))


def test_the_gap_of_several_seeds_has_the_two_level_interval_of_its_differences() -> None:
    """Seeds differ in more than their speakers: an interval over speakers alone would be too short."""
    found, files = cells(seeds=4)
    gap = found["a", KEY]
    values = [accuracy(files[f"a-{seed}", SIDES[1]]) - accuracy(files[f"a-{seed}", SIDES[0]]) for seed in range(4)]
    anew, both = replicates(files, 4)
    low, high = two_level(SeedScores((0, 1, 2, 3), np.array(values), anew, tuple(both))).interval()
    assert (gap.mean, gap.ci_low, gap.ci_high) == (pytest.approx(np.mean(values)), pytest.approx(low), pytest.approx(high))


def test_where_both_sides_say_the_same_of_the_same_segments_the_gap_is_nothing_and_that_for_certain() -> None:
    files: Files = {}
    same = trials("a", files)
    for seed, each in enumerate(same):
        files[f"a-{seed}", SIDES[1]] = files[f"a-{seed}", SIDES[0]]
        same[seed] = each.model_copy(update={"metrics": each.metrics | {"mixed_f1_micro": each.metrics["f1_micro"]}})
    gap = statistics(spec(columns=COLUMNS), same, files)["a", KEY]
    assert (gap.mean, gap.ci_low, gap.ci_high) == (0.0, 0.0, 0.0)


def rows(drawn_by: str) -> dict[tuple[str, str], CellStatistics]:
    """Of a row and its baseline, each tested by the division that is named."""
    files: Files = {}
    told = trials("a", files) + trials("b", files, drawn_by=drawn_by)
    table = spec(Row(key="a", label=("a",)), Row(key="b", label=("b",)), columns=COLUMNS, baseline="a")
    return statistics(table, told, files)


def test_rows_are_paired_side_by_side_and_a_gap_is_compared_with_no_other() -> None:
    found = rows(drawn_by="")
    assert all(found["b", metric].difference is not None for metric in ("f1_micro", "mixed_f1_micro"))
    assert found["b", KEY].difference is None
    assert found["b", KEY].ci_low is not None


def test_rows_that_were_tested_on_other_segments_are_refused_on_both_sides() -> None:
    with pytest.raises(UserError) as caught:
        rows(drawn_by="another")
    assert len(caught.value.messages) == 2
    assert all("is not paired with the baseline" in message for message in caught.value.messages)
