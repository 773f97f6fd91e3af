from __future__ import annotations

import math
import subprocess
import sys
import time
import warnings

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from orchestrator.records import CellStatistics, TrialResult
from orchestrator.statistics import table_statistics
from orchestrator.statistics.comparison import hedges_g, holm, share_superior, sign_flip_p
from orchestrator.statistics.resampling import resample, speaker_weights
from orchestrator.statistics.scores import SCORES
from orchestrator.statistics.sums import speaker_sums
from orchestrator.statistics.two_level import two_level
from search_spaces.table import Column, Published, Row, TableSpec
from trainables.errors import UserError
from trainables.metrics import classification_scores


def spec(keys: str = "abc", baseline: str | None = "a", **changes) -> TableSpec:
    metrics = {"f1_macro": True, "uar": True}
    fields = {
        "study": "toy",
        "title": "Toy",
        "source": "nowhere",
        "row_titles": ("row",),
        "rows": tuple(Row(key=key, label=(key,), compared=key != "z") for key in keys),
        "columns": tuple(Column(metric=m, title=m, percent=True, higher_is_better=up) for m, up in metrics.items()),
        "headline": "f1_macro",
        "baseline": baseline,
    }
    return TableSpec(**fields | changes)


class Sweep:
    """Trials and their files. Thirty speakers, two units each, all in the test set of every seed unless told."""

    def __init__(self) -> None:
        self.trials: list[TrialResult] = []
        self.files: dict[str, pd.DataFrame] = {}

    def add(self, row: str, seeds: int = 8, accuracy: float = 0.7, first: int = 0, speakers: int = 30, **changes) -> Sweep:
        for seed in range(first, first + seeds):
            draw = np.random.default_rng([*row.encode(), seed])
            speaker = np.repeat(np.arange(speakers), 2)
            truth = speaker % 2
            predicted = np.where(draw.random(len(speaker)) < accuracy, truth, 1 - truth)
            name = f"{row}-{seed}"
            self.files[name] = pd.DataFrame(
                {"unit": range(2 * speakers), "speaker": [f"s{i}" for i in speaker], "truth": truth, "predicted": predicted}
            )
            fields = {"row": row, "seed": seed, "fingerprint": name, "metrics": classification_scores(truth, predicted)}
            facts = {"status": "FINISHED", "scale": "demo", "protocol": "none", "code": {}, "corpora": {}}
            self.trials.append(TrialResult(**fields | facts | changes))
        return self

    def predictions(self, fingerprint: str, file: str) -> pd.DataFrame:
        if file == "predictions_dev.parquet":
            fingerprint = f"{fingerprint}-dev"
        if fingerprint not in self.files:
            raise FileNotFoundError(f"no predictions of {fingerprint}")
        return self.files[fingerprint]

    def statistics(self, table: TableSpec, with_published: bool = False) -> dict[tuple[str, str], CellStatistics]:
        return table_statistics(table, self.trials, self.predictions, with_published)


COMPARISON = (
    "difference",
    "difference_low",
    "difference_high",
    "p_uncorrected",
    "p_vs_baseline",
    "p_floor",
    "effect_size",
    "p_superior",
)


def compared(cell: CellStatistics) -> bool:
    found = {getattr(cell, name) is not None for name in COMPARISON}
    assert len(found) == 1
    return found.pop()


def test_every_cell_has_the_mean_and_sample_deviation_of_its_trials_inside_its_interval():
    sweep = Sweep().add("a").add("b")
    cells = sweep.statistics(spec("abc"))
    assert set(cells) == {(row, metric) for row in "ab" for metric in ("f1_macro", "uar")}
    values = [trial.metrics["uar"] for trial in sweep.trials if trial.row == "b"]
    cell = cells["b", "uar"]
    assert (cell.n, cell.speakers) == (8, 30)
    assert (cell.mean, cell.std) == pytest.approx((np.mean(values), np.std(values, ddof=1)))
    assert 0 <= cell.ci_low < cell.mean < cell.ci_high <= 1


@pytest.mark.parametrize(("seeds", "accuracy"), [(8, 0.85), (12, 0.75), (6, 0.75)])
def test_a_difference_is_paired_by_seed_and_its_p_is_the_larger_of_the_sign_flip_and_the_two_level_test(seeds, accuracy):
    sweep = Sweep().add("a", seeds).add("b", seeds, accuracy)
    cell = sweep.statistics(spec("ab"))["b", "uar"]
    uar = SCORES["uar"]
    counts = {row: {seed: speaker_sums(sweep.files[f"{row}-{seed}"], uar.statistic) for seed in range(seeds)} for row in "ab"}
    weights = speaker_weights({f"s{i}" for i in range(30)})
    differences = resample(counts["b"], uar, weights).minus(resample(counts["a"], uar, weights))
    metrics = {trial.fingerprint: trial.metrics["uar"] for trial in sweep.trials}
    assert differences.values == pytest.approx([metrics[f"b-{seed}"] - metrics[f"a-{seed}"] for seed in range(seeds)])
    estimate = two_level(differences)
    assert cell.p_uncorrected == max(sign_flip_p(differences.values), estimate.p_value())
    assert (cell.difference, cell.difference_low, cell.difference_high) == (estimate.mean, *estimate.interval())
    assert cell.effect_size == hedges_g(differences.values)
    assert cell.p_superior == share_superior(differences.values, higher_is_better=True)


def test_holm_goes_over_the_compared_rows_of_the_headline_metric_alone():
    cells = Sweep().add("a").add("b", accuracy=0.75).add("c", accuracy=0.85).add("z", accuracy=0.5).statistics(spec("abcz"))
    p_values = [cells[row, "f1_macro"].p_uncorrected for row in "bc"]
    assert [cells[row, "f1_macro"].p_vs_baseline for row in "bc"] == pytest.approx(holm(p_values))
    assert {cells[row, "uar"].p_vs_baseline for row in "abcz"} == {None}
    assert all(cells[row, "uar"].p_uncorrected is not None for row in "bc")


def test_the_baseline_and_rows_that_are_no_hypotheses_are_not_compared():
    cells = Sweep().add("a").add("b").add("z").statistics(spec("abz"))
    assert [compared(cells[row, "f1_macro"]) for row in "abz"] == [False, True, False]


@pytest.mark.parametrize("baseline", [None, "c"])
def test_without_a_baseline_that_has_trials_nothing_is_compared(baseline):
    cells = Sweep().add("a").add("b").statistics(spec("abc", baseline))
    assert not any(compared(cell) for cell in cells.values())


@pytest.mark.parametrize(("seeds", "floor"), [(5, 2 * 2 / 2**5), (6, 2 * 2 / 2**6), (1, 1.0)])
def test_the_least_p_that_the_seeds_allow_is_told_and_kept(seeds, floor):
    """Below six seeds nothing can be significant, however large the difference."""
    cells = (
        Sweep().add("a", seeds, accuracy=0.1).add("b", seeds, accuracy=1.0).add("c", seeds, accuracy=1.0).statistics(spec("abc"))
    )
    for row in "bc":
        assert cells[row, "f1_macro"].p_floor == floor
        assert cells[row, "f1_macro"].p_vs_baseline == pytest.approx(floor)


def test_rows_that_predict_alike_do_not_differ_and_nothing_warns():
    sweep = Sweep().add("a")
    for trial in list(sweep.trials):
        sweep.trials.append(trial.model_copy(update={"row": "b"}))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cell = sweep.statistics(spec("ab"))["b", "f1_macro"]
    assert (cell.difference, cell.difference_low, cell.difference_high) == (0, 0, 0)
    assert (cell.p_uncorrected, cell.p_vs_baseline, cell.effect_size, cell.p_superior) == (1, 1, None, 0.5)


def test_one_seed_has_an_interval_over_speakers_but_neither_deviation_nor_significance():
    cells = Sweep().add("a", 1).add("b", 1, accuracy=1.0).statistics(spec("ab"))
    cell = cells["b", "f1_macro"]
    assert (cell.n, cell.std, cell.effect_size, cell.p_uncorrected) == (1, None, None, 1)
    assert cell.ci_low < cell.mean == cell.ci_high == 1


def test_a_single_test_speaker_leaves_intervals_and_tests_unknown():
    cell = Sweep().add("a", speakers=1).add("b", speakers=1).statistics(spec("ab"))["b", "f1_macro"]
    assert (cell.ci_low, cell.difference_low, cell.p_uncorrected, cell.p_vs_baseline, cell.p_floor) == (None,) * 5
    assert cell.difference is not None


def test_pairs_are_the_seeds_that_both_rows_have():
    cells = Sweep().add("a", 6).add("b", 6, first=3).add("c", 6, first=20).statistics(spec("abc"))
    assert cells["b", "f1_macro"].p_floor == 2 / 2**3
    assert not compared(cells["c", "f1_macro"])


def test_the_order_of_the_trials_changes_no_bit():
    sweep = Sweep().add("a").add("b").add("c")
    first = sweep.statistics(spec())
    sweep.trials.reverse()
    assert sweep.statistics(spec()) == first


def test_a_rows_own_numbers_do_not_depend_on_the_other_rows():
    alone, among = Sweep().add("b"), Sweep().add("a", speakers=40).add("b").add("c", first=50)
    assert alone.statistics(spec(baseline=None))["b", "uar"] == among.statistics(spec(baseline=None))["b", "uar"]


def test_trials_that_did_not_finish_and_rows_not_declared_are_left_out():
    sweep = Sweep().add("a").add("b", status="FAILED", metrics={"f1_macro": math.nan}).add("other")
    assert {row for row, _ in sweep.statistics(spec("ab"))} == {"a"}


def test_a_metric_that_some_trial_of_a_row_lacks_has_no_cell():
    sweep = Sweep().add("a", 2)
    sweep.trials[0] = sweep.trials[0].model_copy(update={"metrics": {"uar": sweep.trials[0].metrics["uar"]}})
    assert set(sweep.statistics(spec())) == {("a", "uar")}


def test_a_metric_without_counts_has_students_interval_and_no_test():
    column = Column(metric="loss", title="loss", percent=False, higher_is_better=False)
    sweep = Sweep().add("a", 0)
    for row, value in (("a", 2.0), ("b", 1.0)):
        for seed in range(6):
            sweep.add(row, 1, first=seed, metrics={"loss": value + seed / 10 * (row == "b")})
    sweep.files.clear()
    cell = sweep.statistics(spec("ab", columns=(column,), headline="loss"))["b", "loss"]
    values = [1 + seed / 10 for seed in range(6)]
    low, high = scipy.stats.t.interval(0.95, 5, np.mean(values), scipy.stats.sem(values))
    assert (cell.ci_low, cell.ci_high) == (pytest.approx(low), pytest.approx(high))
    assert (cell.speakers, cell.difference_low, cell.p_uncorrected, cell.p_vs_baseline, cell.p_floor) == (None,) * 5
    assert cell.difference == pytest.approx(-0.75)
    assert cell.p_superior == 1
    assert cell.effect_size < 0


def test_equivalence_is_asked_where_the_published_numbers_are_about_the_same_corpora():
    sweep = Sweep().add("a")
    percent = 100 * np.mean([trial.metrics["f1_macro"] for trial in sweep.trials])
    row = Row(key="a", label=("a",), published={"f1_macro": Published(mean=percent, std=6.0, runs=10)})
    table = spec(rows=(row,))
    assert sweep.statistics(table, with_published=True)["a", "f1_macro"].p_equivalence < 0.05
    assert sweep.statistics(table, with_published=True)["a", "uar"].p_equivalence is None
    assert sweep.statistics(table, with_published=False)["a", "f1_macro"].p_equivalence is None


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_values_that_are_not_finite_are_told_with_their_trials(bad):
    sweep = Sweep().add("a", 3).add("b", 3, metrics={"f1_macro": bad, "uar": 0.5})
    with pytest.raises(UserError, match=r"(?s)3 faults.*f1_macro of b, seed 0 \(b-0\).*f1_macro of b, seed 2"):
        sweep.statistics(spec())


def test_predictions_that_are_missing_or_another_trials_are_told_with_all_their_trials():
    sweep = Sweep().add("a", 3).add("b", 3)
    del sweep.files["a-1"]
    sweep.files["b-2"] = sweep.files["b-1"].assign(predicted=0)
    with pytest.raises(
        UserError, match=r"(?s)row 'a', seed 1 \(a-1\): no predictions.*row 'b', seed 2 \(b-2\): the predictions give f1_macro"
    ):
        sweep.statistics(spec())


def test_rows_tested_on_other_units_than_the_baseline_are_told_together():
    sweep = Sweep().add("a").add("b", speakers=29).add("c", speakers=31)
    with pytest.raises(UserError, match=r"(?s)2 faults.*row 'b', seed 0 is not paired.*row 'c', seed 0 is not paired"):
        sweep.statistics(spec())


def test_a_seed_that_is_there_twice_is_told():
    sweep = Sweep().add("a", 2)
    sweep.trials.append(sweep.trials[0].model_copy(update={"fingerprint": "again"}))
    with pytest.raises(UserError, match="row 'a' has seed 0 twice"):
        sweep.statistics(spec())


def test_importing_the_statistics_imports_nothing_heavy():
    heavy = "{'numpy', 'pandas', 'scipy', 'statsmodels', 'sklearn', 'torch'}"
    code = f"import sys, orchestrator.statistics; sys.exit(str({heavy} & set(sys.modules)) if {heavy} & set(sys.modules) else 0)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_a_table_of_8_rows_10_seeds_and_350_sessions_takes_seconds():
    sweep = Sweep()
    for row in "abcdefgh":
        sweep.add(row, 10, speakers=175)
    start = time.perf_counter()
    cells = sweep.statistics(spec("abcdefgh"))
    assert len(cells) == 16
    assert time.perf_counter() - start < 15  # 1 s on an idle core
