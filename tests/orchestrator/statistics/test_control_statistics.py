"""A row against the best control of its table: which control, which rows, and the interval of the difference."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from orchestrator.records import CellStatistics, TrialResult
from orchestrator.statistics import table_statistics
from orchestrator.statistics.controls import best_control, held_rows
from orchestrator.statistics.resampling import resample, speaker_weights
from orchestrator.statistics.scores import SCORES
from orchestrator.statistics.sums import speaker_sums
from orchestrator.statistics.table import cell_statistics
from search_spaces.table import Column, Row, TableSpec
from tests.calibration.null_tables import METRIC, Scenario, null_table
from trainables.errors import UserError
from trainables.metrics import classification_scores

ROWS = (
    Row(key="chance", label=("chance",), compared=False),
    Row(key="majority", label=("majority",), compared=False, control=True),
    Row(key="base", label=("base",), compared=False),
    Row(key="model", label=("model",)),
    Row(key="gender", label=("gender",), compared=False, control=True),
    Row(key="voice", label=("voice",), compared=False, control=True),
)
FIELDS = ("control_difference", "control_low", "control_high")


def spec(rows: tuple[Row, ...] = ROWS, headline: str = "f1_micro", higher: bool = True) -> TableSpec:
    metrics = dict.fromkeys([headline, "uar"], True) | {headline: higher}
    columns = tuple(Column(metric=name, title=name, percent=False, higher_is_better=up) for name, up in metrics.items())
    fields = {"study": "toy", "title": "Toy", "source": "nowhere", "row_titles": ("row",), "baseline": "base"}
    return TableSpec(rows=rows, columns=columns, headline=headline, **fields)


def predictions(wrong: set[int], speakers: int = 40) -> pd.DataFrame:
    """One unit a speaker, every other one depressed; these speakers are classified wrongly."""
    truth = np.arange(speakers) % 2
    predicted = np.where(np.isin(np.arange(speakers), list(wrong)), 1 - truth, truth)
    names = [f"s{number}" for number in range(speakers)]
    return pd.DataFrame({"unit": names, "speaker": names, "truth": truth, "predicted": predicted})


def statistics(wrong: dict[str, list[set[int]]], table: TableSpec | None = None, speakers: dict[str, int] | None = None, **more):
    """By row and metric; ``wrong`` says for each row and seed which speakers are classified wrongly."""
    files, trials = {}, []
    for row, seeds in wrong.items():
        for seed, those in enumerate(seeds):
            frame = files[f"{row}-{seed}"] = predictions(those, (speakers or {}).get(row, 40))
            metrics = classification_scores(frame["truth"], frame["predicted"]) | {
                name: values[row] for name, values in more.items()
            }
            facts = {"status": "FINISHED", "scale": "demo", "protocol": "none", "code": {}, "corpora": {}}
            trials.append(TrialResult(row=row, seed=seed, fingerprint=f"{row}-{seed}", metrics=metrics, **facts))
    return table_statistics(table or spec(), trials, lambda fingerprint, _: files[fingerprint], with_published=False)


def control_fields(cell: CellStatistics) -> tuple[float | None, ...]:
    return tuple(getattr(cell, name) for name in FIELDS)


def first(count: int, start: int = 0) -> set[int]:
    return set(range(start, start + count))


WRONG = {
    "chance": [first(20), first(20)],
    "majority": [first(20, 2), first(20, 2)],
    "base": [first(10, 20), first(8, 20)],
    "model": [first(4), first(2)],
    "gender": [first(14, 10), first(16, 10)],  # accuracies .65 and .60
    "voice": [first(16, 10), first(10, 10)],  # .60 and .75: the best mean, though not the best at seed 0
}


def test_compared_rows_and_the_baseline_are_held_against_the_control_with_the_best_mean_in_the_headline_metric_alone():
    cells = statistics(WRONG)
    assert [row.key for row in held_rows(spec())] == ["base", "model"]
    differences = {row: cells[row, "f1_micro"].control_difference for row in ("base", "model")}
    assert differences == pytest.approx({"base": (0.75 + 0.8) / 2 - 0.675, "model": (0.9 + 0.95) / 2 - 0.675})
    others = [cell for (row, metric), cell in cells.items() if row not in differences or metric != "f1_micro"]
    assert {control_fields(cell) for cell in others} == {(None, None, None)}


def test_the_interval_is_that_of_paired_differences_over_speakers_by_hand():
    """One seed, one unit a speaker: Student's interval of the speakers' mean difference.

    Rubin's weights give the mean of N differences the variance s2/(N + 1), s2 being their plain variance; it is corrected by
    (m + 1)/(m - 1), m = N/2 being the speakers of a class.
    """
    wrong = {"base": [first(10)], "model": [first(4)], "voice": [first(16, 2)]}
    cells = statistics(wrong, spec(tuple(row for row in ROWS if row.key in wrong)))
    differences = np.isin(np.arange(40), list(first(16, 2))).astype(float) - np.isin(np.arange(40), list(first(4)))
    variance = differences.var() / 41 * 21 / 19
    half = scipy.stats.t.ppf(0.975, 39) * math.sqrt(variance)
    difference, low, high = control_fields(cells["model", "f1_micro"])
    assert difference == pytest.approx(0.3)
    assert (low, high) == pytest.approx((0.3 - half, 0.3 + half), abs=0.05 * half)  # 2000 replicates: 1.6 % of the width
    assert low > 0


def test_the_best_control_is_the_first_of_equal_ones_and_the_least_where_lower_is_better():
    means = {"chance": 0.9, "majority": 0.5, "model": 0.8, "gender": 0.7, "voice": 0.7}
    assert best_control(spec(), means).key == "gender"
    assert best_control(spec(higher=False), means).key == "majority"
    assert best_control(spec(), {"majority": 0.5, "model": 0.8}).key == "majority"
    assert best_control(spec(), {"model": 0.8}) is None


def test_without_controls_nothing_is_held_against_one():
    rows = tuple(row.model_copy(update={"control": False}) for row in ROWS)
    assert held_rows(spec(rows)) == []
    assert {control_fields(cell) for cell in statistics(WRONG, spec(rows)).values()} == {(None, None, None)}


def test_rows_that_were_tested_on_other_units_than_the_best_control_are_told_with_all_that_are_not_paired():
    with pytest.raises(
        UserError, match=r"(?s)row 'base', seed 0 is not paired with the best control, 'voice': .*row 'model', seed 0"
    ):
        statistics(WRONG, speakers={"voice": 38})
    with pytest.raises(UserError, match=r"(?s)row 'model', seed 0 is not paired with the baseline.*with the best control, 'voice'"):
        statistics(WRONG, speakers={"model": 38})


def test_a_score_that_cannot_be_recomputed_and_a_test_set_of_one_speaker_leave_the_interval_unknown():
    losses = {"base": 2.0, "model": 1.0, "voice": 1.5, "gender": 1.75, "majority": 3.0, "chance": 0.5}
    cell = statistics(WRONG, spec(headline="loss", higher=False), loss=losses)["model", "loss"]
    assert control_fields(cell) == (-0.5, None, None)
    alone = statistics({"base": [set()], "model": [set()], "voice": [{0}]}, speakers=dict.fromkeys(WRONG, 1))
    assert control_fields(alone["model", "f1_micro"]) == (1.0, None, None)


def test_rows_without_a_seed_in_common_with_the_best_control_are_not_held_against_it():
    table = spec()
    weights = speaker_weights({f"s{number}" for number in range(40)}, 50)
    score = SCORES["f1_micro"]
    sums = {
        row: {seed: speaker_sums(predictions(those), score.statistic) for seed, those in enumerate(seeds)}
        for row, seeds in WRONG.items()
    }
    sums["voice"] = {seed + 5: own for seed, own in sums["voice"].items()}
    scores = {(row, "f1_micro"): resample(own, score, weights) for row, own in sums.items()}
    cells = cell_statistics(table, scores, with_published=False)
    assert control_fields(cells["model", "f1_micro"]) == (None, None, None)


def test_a_row_that_is_as_good_as_its_controls_hardly_ever_looks_better_than_the_best_of_them():
    """60 null tables of two held rows and three controls, all drawn alike: the bar is at the best, so less than 2.5 % clear it."""
    rows = tuple(Row(key=key, label=(key,), compared=key == "a", control=key in "bcd") for key in ("baseline", "a", "b", "c", "d"))
    column = Column(metric=METRIC, title="F1", percent=False, higher_is_better=True)
    table = spec(rows).model_copy(update={"columns": (column,), "headline": METRIC, "baseline": "baseline"})
    generator, low = np.random.default_rng(1), []
    for number in range(60):
        counts = null_table(Scenario(3, 40, 0.5, fixed_test=False, mix="mixed"), generator, str(number))
        weights = speaker_weights({name for each in counts["a"].values() for name in each.speakers}, 100)
        scores = {(row, METRIC): resample(own, SCORES[METRIC], weights) for row, own in counts.items()}
        cells = cell_statistics(table, scores, with_published=False)
        low += [cells[row, METRIC].control_low for row in ("baseline", "a")]
    assert sum(value > 0 for value in low) <= 3  # 2.5 % of 120 rows


def test_statistics_that_were_recorded_before_there_were_controls_are_still_read():
    recorded = CellStatistics(n=3, mean=0.5, std=0.1, difference=0.2).as_metrics("f1")
    older = {name: value for name, value in recorded.items() if "control" not in name}
    assert len(recorded) - len(older) == len(FIELDS)
    assert CellStatistics.from_metrics("f1", older) == CellStatistics(n=3, mean=0.5, std=0.1, difference=0.2)


def test_what_a_cell_says_of_controls_survives_being_recorded():
    cell = CellStatistics(n=3, mean=0.5, control_difference=0.1, control_low=-0.05, control_high=0.25)
    assert CellStatistics.from_metrics("f1", cell.as_metrics("f1")) == cell
