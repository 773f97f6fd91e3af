"""Contract of orchestrator/statistics/roc_area.py, and of the precision and recall beside it, for any weights of the speakers."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import precision_score, recall_score, roc_auc_score

from orchestrator.records import TrialResult
from orchestrator.statistics import table_statistics
from orchestrator.statistics.resampling import resample, speaker_weights
from orchestrator.statistics.roc_area import roc_area
from orchestrator.statistics.scores import SCORES, find_score, predictions_file
from orchestrator.statistics.sums import SpeakerSums, speaker_sums
from search_spaces.table import Column, Row, TableSpec
from trainables.errors import UserError
from trainables.metrics import PREFIXES, prediction_scores

AREA = SCORES["auc"]


def drawn(units: int = 80, speakers: int = 9, levels: int = 0, seed: int = 0) -> pd.DataFrame:
    """Segments of speakers of both classes; of ``levels`` distinct probabilities, so that many tie (0: none ties)."""
    draw = np.random.default_rng(seed)
    truth = draw.integers(0, 2, units)
    p1 = np.clip(draw.normal(0.4 + 0.2 * truth, 0.25), 0, 1)
    p1 = np.round(p1 * levels) / levels if levels else p1
    speaker = [f"s{number}" for number in draw.integers(0, speakers, units)]
    frame = pd.DataFrame({"unit": [f"u{number}" for number in range(units)], "speaker": speaker, "truth": truth})
    return frame.assign(predicted=(p1 > 0.5).astype(int), p0=1 - p1, p1=p1)


def weights_of(sums: SpeakerSums, replicates: int = 7) -> np.ndarray:
    return np.random.default_rng(1).exponential(size=(replicates, len(sums.speakers)))


def by_unit(frame: pd.DataFrame, sums: SpeakerSums, weights: np.ndarray) -> np.ndarray:
    return frame["speaker"].map(dict(zip(sums.speakers, weights, strict=True))).to_numpy()


@pytest.mark.parametrize("levels", [0, 2, 5])
def test_the_area_with_weighted_speakers_is_sklearns_with_sample_weights(levels):
    """Also where half of all pairs tie: a tie counts half."""
    frame = drawn(levels=levels)
    sums = speaker_sums(frame, AREA.statistic)
    weights = weights_of(sums)
    for ours, weight in zip(AREA.of_sums(np.einsum("bs,s...->b...", weights, sums.sums)), weights, strict=True):
        expected = roc_auc_score(frame["truth"], frame["p1"], sample_weight=by_unit(frame, sums, weight))
        assert ours == pytest.approx(expected, abs=1e-12)


def test_the_area_is_the_share_of_pairs_in_order():
    frame = drawn(30, 4, levels=4)
    sums = speaker_sums(frame, AREA.statistic)
    positive, negative = (frame["p1"][frame["truth"] == truth].tolist() for truth in (1, 0))
    points = [1.0 if high > low else 0.5 if high == low else 0.0 for high in positive for low in negative]
    assert AREA.of_sums(sums.sums.sum(axis=0)) == pytest.approx(np.mean(points), abs=1e-14)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_area_that_a_trial_tells_is_recomputed_from_its_file(dtype, tmp_path):
    frame = drawn(500, 20).astype({"p0": dtype, "p1": dtype})
    told = prediction_scores(frame)["auc"]
    frame.to_parquet(tmp_path / "predictions.parquet")
    sums = speaker_sums(pd.read_parquet(tmp_path / "predictions.parquet"), AREA.statistic)
    assert AREA.of_sums(sums.sums.sum(axis=0)) == pytest.approx(told, abs=1e-12)


def test_the_order_of_the_lines_changes_no_bit():
    frame = drawn()
    sums, shuffled = (speaker_sums(each, AREA.statistic) for each in (frame, frame.sample(frac=1, random_state=0)))
    assert np.array_equal(sums.sums, shuffled.sums)
    assert sums.digest == shuffled.digest


def test_leading_axes_are_kept_and_a_single_class_has_no_area():
    assert roc_area(np.ones((2, 3, 10))).shape == (2, 3)
    assert roc_area(speaker_sums(drawn().assign(truth=1), AREA.statistic).sums.sum(axis=0)) == 0


def test_units_count_with_the_speakers_of_their_class():
    frame = drawn()
    sizes = speaker_sums(frame, AREA.statistic).sizes
    assert sizes.sum(axis=0).tolist() == [(frame["truth"] == 0).sum(), (frame["truth"] == 1).sum()]


def test_ten_thousand_segments_are_resampled_in_bounded_memory():
    """Dense terms of every segment for every probability would be 1.6 GB; 2,000 replicates of histograms 300 MB."""
    frame = drawn(10_000, 60)
    tracemalloc.start()
    sums = speaker_sums(frame, AREA.statistic)
    found = resample({0: sums}, AREA, speaker_weights(set(sums.speakers)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert sums.sums.nbytes < 100_000
    assert peak < 100e6
    assert found.values[0] == pytest.approx(roc_auc_score(frame["truth"], frame["p1"]), abs=1e-12)
    assert found.replicates.mean() == pytest.approx(found.values[0], abs=0.01)


@pytest.mark.parametrize("classes", [(2, 2), (2, 1), (1, 2), (1, 1)])
@pytest.mark.parametrize(("metric", "sklearn"), [("precision_positive", precision_score), ("recall_positive", recall_score)])
def test_precision_and_recall_of_the_positive_class_are_sklearns_with_sample_weights(metric, sklearn, classes):
    """Also where class 1 is never predicted, or never true."""
    draw = np.random.default_rng(2)
    frame = drawn().assign(truth=draw.integers(0, classes[0], 80), predicted=draw.integers(0, classes[1], 80))
    sums = speaker_sums(frame, SCORES[metric].statistic)
    weights = weights_of(sums)
    for ours, weight in zip(SCORES[metric].of_sums(np.einsum("bs,s...->b...", weights, sums.sums)), weights, strict=True):
        expected = sklearn(frame["truth"], frame["predicted"], zero_division=0, sample_weight=by_unit(frame, sums, weight))
        assert ours == pytest.approx(expected, abs=1e-12)


def test_the_longest_beginning_of_a_metrics_name_says_which_file_it_is_of():
    for name, prefix in PREFIXES.items():
        assert predictions_file(f"{prefix}auc") == f"{name}.parquet"
        assert find_score(f"{prefix}auc") is AREA
    assert find_score("mixed_subject_uar") is SCORES["uar"]
    assert find_score("subject_auc_fold_mean") is None


SUBJECTS = TableSpec(
    study="toy",
    title="Toy",
    source="nowhere",
    row_titles=("row",),
    rows=(Row(key="a", label=("a",)), Row(key="b", label=("b",))),
    columns=tuple(
        Column(metric=metric, title=metric, percent=True, higher_is_better=True)
        for metric in ("auc", "subject_auc", "mixed_subject_recall_positive")
    ),
    headline="auc",
    baseline="a",
)
FILES = ("predictions", "predictions_subject", "predictions_mixed_subject")


def trials(seeds: int = 4) -> tuple[list[TrialResult], dict[tuple[str, str], pd.DataFrame]]:
    """Of two rows that were tested on the same segments of thirty speakers."""
    found, files = [], {}
    facts = {"status": "FINISHED", "scale": "demo", "protocol": "none", "code": {}, "corpora": {}}
    for row, seed in ((row, seed) for row in "ab" for seed in range(seeds)):
        said = np.random.default_rng([*row.encode(), seed]).normal(0, 0.1, 200)
        frame = drawn(200, 30).assign(p1=lambda frame, said=said: (frame["p1"] + said).clip(0, 1))
        frame = frame.assign(p0=1 - frame["p1"], predicted=(frame["p1"] > 0.5).astype(int))
        metrics = {f"{PREFIXES[name]}{metric}": value for name in FILES for metric, value in prediction_scores(frame).items()}
        found.append(TrialResult(row=row, seed=seed, fingerprint=f"{row}-{seed}", metrics=metrics, **facts))
        files |= {(f"{row}-{seed}", f"{name}.parquet"): frame for name in FILES}
    return found, files


def test_a_table_of_areas_has_intervals_over_speakers_and_a_paired_comparison():
    found, files = trials()
    cells = table_statistics(SUBJECTS, found, lambda fingerprint, file: files[fingerprint, file], with_published=False)
    assert len(cells) == 6
    cell = cells["b", "auc"]
    assert cell.mean == pytest.approx(np.mean([trial.metrics["auc"] for trial in found if trial.row == "b"]))
    assert cell.speakers == 30
    assert 0.5 < cell.ci_low < cell.mean < cell.ci_high < 1
    assert None not in (cell.difference, cell.p_vs_baseline)


def test_predictions_that_are_not_the_trials_give_another_area_and_are_refused():
    found, files = trials(1)
    name = ("a-0", "predictions_subject.parquet")
    files[name] = files[name].assign(p1=files[name]["p1"] ** np.linspace(1, 1.3, 200))
    with pytest.raises(UserError, match="the predictions give subject_auc"):
        table_statistics(SUBJECTS, found, lambda fingerprint, file: files[fingerprint, file], with_published=False)


def test_a_column_that_older_trials_lack_is_left_empty_and_the_others_are_read():
    found, files = trials(2)
    older = [
        trial.model_copy(update={"metrics": {name: value for name, value in trial.metrics.items() if name != "auc"}})
        for trial in found
    ]
    cells = table_statistics(SUBJECTS, older, lambda fingerprint, file: files[fingerprint, file], with_published=False)
    assert {column for _, column in cells} == {"subject_auc", "mixed_subject_recall_positive"}
