"""Columns that are no plain means (maximum, best seed, gap), tests against a value, and rows with a baseline of their own."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from sklearn.metrics import f1_score

from orchestrator.records import CellStatistics, TrialResult
from orchestrator.statistics import table_statistics
from orchestrator.statistics.comparison import holm
from orchestrator.statistics.over_seeds import chosen_seeds, shown_value
from orchestrator.statistics.resampling import REPLICATES, resample, speaker_weights
from orchestrator.statistics.scores import SCORES
from orchestrator.statistics.sums import speaker_sums
from orchestrator.statistics.two_level import small_sample_correction, two_level
from search_spaces.table import Column, Row, TableSpec
from trainables.errors import UserError

DEV = Column(metric="dev_f1_positive", title="F1 dev", percent=True, higher_is_better=True)
TEST = Column(metric="f1_positive", title="F1 test", percent=True, higher_is_better=True)
HIGHEST = DEV.model_copy(update={"over_seeds": "max"})
AT_BEST = TEST.model_copy(update={"over_seeds": "at_best", "best_by": "dev_f1_positive"})
GAP = HIGHEST.model_copy(update={"minus": "f1_positive_at_best"})
F1 = SCORES["f1_positive"]
Files = dict[tuple[str, str], pd.DataFrame]


def spec(*rows: Row, columns: tuple[Column, ...] = (DEV, HIGHEST, TEST, AT_BEST, GAP), **changes: object) -> TableSpec:
    fields = {"study": "toy", "title": "Toy", "source": "nowhere", "row_titles": ("row",), "headline": columns[0].metric}
    return TableSpec(**fields | {"rows": rows or (Row(key="a", label=("a",)),), "columns": columns} | changes)


def predictions(names: str, speakers: int, accuracy: float, draw: np.random.Generator) -> pd.DataFrame:
    """One unit a speaker, the first third depressed."""
    truth = (np.arange(speakers) < speakers // 3).astype(int)
    predicted = np.where(draw.random(speakers) < accuracy, truth, 1 - truth)
    units = [f"{names}{number}" for number in range(speakers)]
    return pd.DataFrame({"unit": units, "speaker": units, "truth": truth, "predicted": predicted})


def trial(row: str, seed: int, **metrics: float) -> TrialResult:
    facts = {"status": "FINISHED", "scale": "demo", "protocol": "none", "code": {}, "corpora": {}}
    return TrialResult(row=row, seed=seed, fingerprint=f"{row}-{seed}", metrics=metrics, **facts)


def classifier(row: str = "a", seeds: int = 6, dev: str = "dev", accuracy: float = 0.7) -> tuple[list[TrialResult], Files]:
    """Twenty-one development speakers and thirty test speakers."""
    trials, files = [], {}
    for seed in range(seeds):
        draw = np.random.default_rng([*row.encode(), seed])
        sets = {"predictions_dev.parquet": predictions(dev, 21, accuracy, draw)}
        sets["predictions.parquet"] = predictions("test", 30, accuracy, draw)
        f1 = {file: float(f1_score(frame["truth"], frame["predicted"])) for file, frame in sets.items()}
        trials.append(
            trial(row, seed, dev_f1_positive=f1["predictions_dev.parquet"], f1_positive=f1["predictions.parquet"], loss=1.0)
        )
        files |= {(f"{row}-{seed}", file): frame for file, frame in sets.items()}
    return trials, files


def perfect(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(predicted=frame["truth"])


def statistics(table: TableSpec, trials: list[TrialResult], files: Files) -> dict[tuple[str, str], CellStatistics]:
    def read(fingerprint: str, file: str) -> pd.DataFrame:
        if (fingerprint, file) not in files:
            raise FileNotFoundError(f"no {file} of {fingerprint}")
        return files[fingerprint, file]

    return table_statistics(table, trials, read, with_published=False)


def test_columns_show_the_maximum_the_value_at_the_best_seed_and_the_gap_between_them():
    trials, files = classifier()
    cells = statistics(spec(), trials, files)
    dev = [trial.metrics["dev_f1_positive"] for trial in trials]
    best = trials[int(np.argmax(dev))].metrics["f1_positive"]
    assert dev.count(max(dev)) == 1
    assert cells["a", "dev_f1_positive"].mean == pytest.approx(np.mean(dev))
    assert cells["a", "dev_f1_positive_max"].mean == pytest.approx(max(dev))
    assert cells["a", "f1_positive_at_best"].mean == pytest.approx(best)
    assert cells["a", "dev_f1_positive_max_minus_f1_positive_at_best"].mean == pytest.approx(max(dev) - best)
    assert {cells["a", column.key].n for column in spec().columns} == {6}
    assert [cells["a", column.key].std is None for column in spec().columns] == [False, True, False, True, True]


def test_seeds_that_tie_in_what_is_best_share_the_value_evenly():
    values = {"dev_f1_positive": {0: 0.5, 1: 0.8, 2: 0.8}, "f1_positive": {0: 0.9, 1: 0.2, 2: 0.4}}
    assert chosen_seeds(AT_BEST, values) == (1, 2)
    assert shown_value(spec(), AT_BEST, values) == pytest.approx(0.3)
    assert shown_value(spec(), GAP, values) == pytest.approx(0.5)
    assert shown_value(spec(), GAP, {"dev_f1_positive": values["dev_f1_positive"]}) is None


def test_a_maximum_has_no_interval_and_the_best_seed_has_that_of_one_seed():
    trials, files = classifier()
    cells = statistics(spec(), trials, files)
    assert (cells["a", "dev_f1_positive_max"].ci_low, cells["a", "dev_f1_positive_max"].ci_high) == (None, None)
    best = int(np.argmax([trial.metrics["dev_f1_positive"] for trial in trials]))
    alone = speaker_sums(files[f"a-{best}", "predictions.parquet"], F1.statistic)
    expected = two_level(resample({best: alone}, F1, speaker_weights(set(alone.speakers)))).interval_of_share()
    cell = cells["a", "f1_positive_at_best"]
    assert (cell.ci_low, cell.ci_high) == pytest.approx(expected)


def test_where_a_speaker_is_in_both_sets_the_best_seed_has_no_interval():
    trials, files = classifier(dev="test")
    cells = statistics(spec(), trials, files)
    assert cells["a", "f1_positive_at_best"].ci_low is None
    by_loss = AT_BEST.model_copy(update={"best_by": "loss"})  # of which nobody can tell what speakers it is of
    assert statistics(spec(columns=(TEST, by_loss)), trials, files)["a", "f1_positive_at_best"].ci_low is None


def test_the_interval_of_a_gap_resamples_both_sets_of_speakers_and_takes_the_maximum_anew():
    trials, files = classifier()
    cell = statistics(spec(), trials, files)["a", GAP.key]
    best = int(np.argmax([trial.metrics["dev_f1_positive"] for trial in trials]))
    dev = [files[f"a-{seed}", "predictions_dev.parquet"] for seed in range(6)]
    test = files[f"a-{best}", "predictions.parquet"]
    weights = speaker_weights({*dev[0]["speaker"], *test["speaker"]})
    gaps = []
    for replicate in range(300):
        scores = []
        for frame in (*dev, test):
            weight = np.array([weights[name][replicate] for name in frame["speaker"]])
            hits = weight @ (frame["truth"] & frame["predicted"])
            scores.append(2 * hits / (weight @ frame["truth"] + weight @ frame["predicted"]))
        gaps.append(max(scores[:-1]) - scores[-1])
    sums = [speaker_sums(frame, F1.statistic) for frame in (dev[0], test)]
    half = (cell.ci_high - cell.ci_low) / 2
    expected = scipy.stats.t.ppf(0.975, 50) * math.sqrt(small_sample_correction(sums) * np.var(gaps, ddof=1))
    assert half == pytest.approx(expected, rel=0.2)  # 300 replicates, where the table has 2000
    assert REPLICATES == 2000
    assert (cell.ci_high + cell.ci_low) / 2 == pytest.approx(cell.mean)


def test_such_columns_take_no_part_in_comparisons():
    rows = tuple(Row(key=key, label=(key,)) for key in "ab")
    (first, files), (second, more) = classifier("a"), classifier("b", accuracy=0.9)
    cells = statistics(spec(*rows, baseline="a"), first + second, files | more)
    told = {key for (row, key), cell in cells.items() if cell.p_uncorrected is not None}
    assert told == {"dev_f1_positive", "f1_positive"}
    assert {key for (row, key), cell in cells.items() if cell.p_vs_baseline is not None} == {"dev_f1_positive"}


def test_a_metric_of_the_development_set_is_that_of_its_own_predictions_and_speakers():
    trials, files = classifier()
    cell = statistics(spec(columns=(DEV,)), trials, files)["a", "dev_f1_positive"]
    assert cell.speakers == 21
    swapped = files | {("a-2", "predictions_dev.parquet"): perfect(files["a-2", "predictions_dev.parquet"])}
    with pytest.raises(UserError, match=r"seed 2 \(a-2\): the predictions give dev_f1_positive"):
        statistics(spec(columns=(DEV,)), trials, swapped)
    del swapped["a-2", "predictions_dev.parquet"]
    with pytest.raises(UserError, match=r"seed 2 \(a-2\): no predictions_dev.parquet of a-2"):
        statistics(spec(columns=(DEV,)), trials, swapped)
    assert statistics(spec(columns=(TEST,)), trials, swapped)["a", "f1_positive"].speakers == 30


def test_a_row_without_a_columns_metric_has_no_cell_there_and_keeps_the_others():
    trials, files = classifier()
    other = [each.model_copy(update={"row": "b", "metrics": {"f1_positive": each.metrics["f1_positive"]}}) for each in trials]
    rows = tuple(Row(key=key, label=(key,)) for key in "ab")
    cells = statistics(spec(*rows), trials + other, files)
    assert {column for row, column in cells if row == "b"} == {"f1_positive"}
    assert len({column for row, column in cells if row == "a"}) == 5


def test_a_row_can_have_a_baseline_of_its_own_on_another_corpus_and_holm_goes_over_all():
    rows = [Row(key="a", label=("a",), against="b"), Row(key="b", label=("b",))]
    rows += [Row(key="c", label=("c",), against="d"), Row(key="d", label=("d",)), Row(key="e", label=("e",), against="d")]
    trials, files = [], {}
    for row, dev in zip("abcde", ("x", "x", "y", "y", "y"), strict=True):
        found, more = classifier(row, seeds=7, dev=dev, accuracy=0.9 if row in "ac" else 0.6)
        trials, files = trials + found, files | more
    table = spec(*rows, columns=(DEV,))
    cells = statistics(table, trials, files)
    compared = {row: cell for (row, _), cell in cells.items() if cell.p_uncorrected is not None}
    assert sorted(compared) == ["a", "c", "e"]
    corrected = holm([compared[row].p_uncorrected for row in "ace"])
    assert [compared[row].p_vs_baseline for row in "ace"] == pytest.approx(corrected)
    assert compared["c"].difference == pytest.approx(cells["c", DEV.key].mean - cells["d", DEV.key].mean)
    assert [table.family(row) for row in rows] == ["b", "b", "d", "d", "d"]
    with pytest.raises(UserError, match="row 'a', seed 0 is not paired with its baseline, 'd'"):
        statistics(spec(rows[0].model_copy(update={"against": "d"}), *rows[1:], columns=(DEV,)), trials, files)


def expression(row: str, effect: float, seeds: int = 1, speakers: int = 40) -> tuple[list[TrialResult], Files]:
    """What healthy and depressed speakers express, one session each, by one or several emotion models."""
    draw = np.random.default_rng([*row.encode()])
    truth = (np.arange(speakers) % 2).astype(int)
    names, own = [f"s{number}" for number in range(speakers)], draw.normal(3, 0.5, speakers) + effect * truth
    trials, files = [], {}
    for seed in range(seeds):
        value = own + draw.normal(0, 0.1, speakers)
        files[f"{row}-{seed}", "predictions.parquet"] = pd.DataFrame(
            {"unit": names, "speaker": names, "truth": truth, "value": value}
        )
        means = [float(value[truth == code].mean()) for code in (0, 1)]
        trials.append(trial(row, seed, healthy=means[0], depressed=means[1], difference=means[1] - means[0]))
    return trials, files


MEANS = tuple(
    Column(metric=name, title=name, percent=False, higher_is_better=None, null=null)
    for name, null in (("difference", 0.0), ("healthy", None), ("depressed", None))
)


def test_a_mean_of_one_seed_is_tested_over_speakers_as_students_t_does():
    trials, files = expression("a", effect=0.3)
    cells = statistics(spec(columns=MEANS), trials, files)
    frame = files["a-0", "predictions.parquet"]
    groups = [frame["value"][frame["truth"] == code] for code in (1, 0)]
    welch = scipy.stats.ttest_ind(*groups, equal_var=False)
    assert cells["a", "difference"].p_null == pytest.approx(welch.pvalue, rel=0.15)
    low, high = welch.confidence_interval()
    assert (cells["a", "difference"].ci_low, cells["a", "difference"].ci_high) == pytest.approx((low, high), abs=0.02)
    mean = scipy.stats.ttest_1samp(groups[1], 0).confidence_interval()
    assert (cells["a", "healthy"].ci_low, cells["a", "healthy"].ci_high) == pytest.approx((mean.low, mean.high), abs=0.02)
    assert (cells["a", "healthy"].speakers, cells["a", "healthy"].p_null) == (40, None)


def test_holm_goes_over_the_rows_that_have_the_tested_column_and_no_other():
    rows = tuple(Row(key=key, label=(key,)) for key in "abcd")
    trials, files = [], {}
    for row, effect in zip("abc", (0.0, 0.3, 0.5), strict=True):
        found, more = expression(row, effect, seeds=3)
        trials, files = trials + found, files | more
    trials.append(trial("d", 0, healthy=1.0))
    files["d-0", "predictions.parquet"] = files["a-0", "predictions.parquet"].assign(value=1.0)
    cells = statistics(spec(*rows, columns=MEANS), trials, files)
    score = SCORES["difference"]
    weights = speaker_weights({f"s{number}" for number in range(40)})
    p_values = []
    for row in "abc":
        sums = {seed: speaker_sums(files[f"{row}-{seed}", "predictions.parquet"], score.statistic) for seed in range(3)}
        p_values.append(two_level(resample(sums, score, weights)).p_value())
    assert [cells[row, "difference"].p_null for row in "abc"] == pytest.approx(holm(p_values))
    assert {cell.p_null for (row, column), cell in cells.items() if column != "difference"} == {None}
    assert cells["c", "difference"].p_null < 0.05 < cells["a", "difference"].p_null


def test_a_null_that_is_not_zero_is_what_the_mean_is_tested_against():
    trials, files = expression("a", effect=0.0)
    column = MEANS[1].model_copy(update={"null": trials[0].metrics["healthy"]})
    assert statistics(spec(columns=(column,)), trials, files)["a", "healthy"].p_null == pytest.approx(1)
    column = MEANS[1].model_copy(update={"null": 0.0})
    assert statistics(spec(columns=(column,)), trials, files)["a", "healthy"].p_null < 1e-6


@pytest.mark.parametrize(("healthy", "depressed", "seeds"), [(20, 20, 1), (77, 30, 1), (77, 30, 3)])
def test_p_of_a_difference_that_is_chance_is_about_uniform(healthy, depressed, seeds):
    """As many as DAIC-WOZ's training participants among others; values are skewed, as probabilities are. What a seed does to the
    difference is covered by several seeds alone.
    """
    draw, score, p_values = np.random.default_rng(seeds), SCORES["difference"], []
    truth = np.array([0] * healthy + [1] * depressed)
    names = [f"s{number}" for number in range(len(truth))]
    for _ in range(100):
        weights = dict(zip(names, draw.standard_exponential((len(names), 200)), strict=True))
        own, sums = draw.beta(1, 4, len(truth)), {}
        for seed in range(seeds):
            value = own + draw.normal(0, 0.05, len(truth)) + (seeds > 1) * draw.normal(0, 0.02) * truth
            frame = pd.DataFrame({"unit": names, "speaker": names, "truth": truth, "value": value})
            sums[seed] = speaker_sums(frame, score.statistic)
        p_values.append(two_level(resample(sums, score, weights)).p_value())
    assert scipy.stats.kstest(p_values, "uniform").pvalue > 0.01
    assert np.mean(np.array(p_values) < 0.05) == pytest.approx(0.05, abs=0.066)  # three standard errors


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"over_seeds": "at_best"}, "belong together"),
        ({"best_by": "loss"}, "belong together"),
        ({"over_seeds": "max", "null": 0.5}, "only a plain mean can be tested"),
    ],
)
def test_a_column_that_makes_no_sense_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        Column(**{**DEV.model_dump(), **changes})


@pytest.mark.parametrize(
    ("columns", "changes", "message"),
    [
        ((DEV, DEV), {}, "not unique"),
        ((DEV, GAP), {}, "no column f1_positive_at_best"),
        ((DEV, HIGHEST), {"headline": HIGHEST.key}, "not a plain mean"),
        ((MEANS[1],), {"baseline": "a"}, "no better end"),
    ],
)
def test_a_table_whose_columns_do_not_fit_is_refused(columns, changes, message):
    with pytest.raises(ValueError, match=message):
        spec(columns=columns, **changes)


def test_what_a_table_does_not_use_is_not_written_so_that_recorded_sweeps_keep_their_keys():
    plain = spec(columns=(DEV,)).model_dump()
    assert "bars" not in plain
    assert set(plain["columns"][0]) == {"metric", "title", "percent", "higher_is_better", "bounded", "decimals"}
    assert "against" not in plain["rows"][0]
    table = spec(Row(key="a", label=("a",)), Row(key="b", label=("b",), against="a"))
    assert TableSpec.model_validate_json(table.model_dump_json()) == table
