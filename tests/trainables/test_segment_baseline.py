"""Contract of trainables/segment_baseline.py."""

from __future__ import annotations

import json
from typing import get_args

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from sklearn.gaussian_process import GaussianProcessClassifier
from sklearn.gaussian_process.kernels import RBF, Matern
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import recall_score
from sklearn.svm import SVC

from tests.trainables.fake_context import FakeContext
from tests.trainables.tiny_segments import FEATURES, write_segments
from trainables.cross_validation import CrossValidation
from trainables.identity import fingerprint
from trainables.protocols import divide
from trainables.protocols.catalogue import OWN_SPLITS, SPEAKERS_5_FOLD, SPEAKERS_70_30
from trainables.segment_baseline import Model, SegmentBaseline, drawn, search_folds, summaries
from trainables.tasks import TASKS
from trainables.units import Units, read_units

DIGESTS = {"sre": "a"}
MIXED = SPEAKERS_5_FOLD.model_copy(update={"name": "mixed", "group": "unit"})


def baseline(model="logistic_regression", **settings):
    return SegmentBaseline(**{"features": FEATURES, "model": model, "protocol": OWN_SPLITS, **settings})


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return write_segments(tmp_path_factory.mktemp("corpus") / "features")


def run(stage, results, directory):
    stage.run(FakeContext(directory, results))
    return pd.read_parquet(directory / "predictions.parquet")


def told(directory, name="metrics"):
    return json.loads((directory / f"{name}.json").read_text())


def standardised(results, protocol=OWN_SPLITS):
    """Training and test segments as mean and deviation of each coefficient, standardised by the training ones; and their sets."""
    sets = divide(read_units(results[FEATURES], TASKS["depression"]), protocol, 0)
    frames = np.load(results[FEATURES] / "features.npy").astype(np.float64)
    rows = {name: np.concatenate(part.segments) for name, part in sets.items()}
    inputs = {name: np.concatenate([frames[chosen].mean(1), frames[chosen].std(1)], axis=1) for name, chosen in rows.items()}
    mean, scale = inputs["train"].mean(axis=0), inputs["train"].std(axis=0)
    return {name: (each - mean) / scale for name, each in inputs.items()}, sets


@pytest.mark.parametrize("model", get_args(Model))
def test_each_learns_what_is_in_the_sound_and_reports_segments_and_subjects(model, results, tmp_path):
    """And the search is told whole: every setting with its recall in every fold."""
    found = run(baseline(model), results, tmp_path / "out")
    metrics = told(tmp_path / "out")
    assert metrics["uar"] > 0.7  # a neighbour is far off where one of 16 dimensions tells the class
    assert metrics["subject_uar"] == metrics["vote_uar"] == 1.0
    assert {"auc", "dev_auc", "subject_auc"} <= metrics.keys()
    np.testing.assert_allclose(found[["p0", "p1"]].sum(axis=1), 1)
    search = told(tmp_path / "out", "search")
    assert search["folds"] == 2, "two speakers of either class train"
    assert search["segments"] == 32
    assert search["chosen"] in [each["settings"] for each in search["tried"]]
    assert 2 <= len(search["tried"]) <= 9
    assert {len(each["uar"]) for each in search["tried"]} == {2}
    means = [np.mean(each["uar"]) for each in search["tried"]]
    assert search["chosen"] == search["tried"][int(np.argmax(means))]["settings"], "the first of the best"
    numbers = {f"chosen_{name}": value for name, value in search["chosen"].items() if not isinstance(value, str)}
    assert {name: value for name, value in metrics.items() if name.startswith("chosen_")} == numbers


def test_the_chosen_setting_is_fitted_on_the_whole_training_set_and_its_statistics(results, tmp_path):
    """Against scikit-learn fitted here on inputs that are standardised here."""
    inputs, sets = standardised(results)
    truth = sets["train"].truth
    found = run(baseline("logistic_regression"), results, tmp_path / "regression")
    assert found["unit"].tolist() == sets["test"].table["unit"].tolist()
    regression = LogisticRegression(C=told(tmp_path / "regression", "search")["chosen"]["C"]).fit(inputs["train"], truth)
    np.testing.assert_allclose(found[["p0", "p1"]], regression.predict_proba(inputs["test"]), atol=1e-4)
    found = run(baseline("svm"), results, tmp_path / "svm")
    machine = SVC(**told(tmp_path / "svm", "search")["chosen"]).fit(inputs["train"], truth)
    np.testing.assert_allclose(found["p1"], expit(machine.decision_function(inputs["test"])), atol=1e-6)
    assert found["predicted"].tolist() == machine.predict(inputs["test"]).tolist(), "the most probable class is the SVM's own"


def test_the_gaussian_process_has_one_of_two_kernels_with_the_scale_of_its_marginal_likelihood(results, tmp_path):
    inputs, sets = standardised(results)
    found = run(baseline("gaussian_process"), results, tmp_path / "out")
    chosen = told(tmp_path / "out", "search")["chosen"]["kernel"]
    width = (2 * FEATURES.coefficients) ** 0.5
    kernel = {str(each): each for each in (1.0 * RBF(width), 1.0 * Matern(width, nu=1.5))}[chosen]
    process = GaussianProcessClassifier(kernel).fit(inputs["train"], sets["train"].truth)
    assert str(process.kernel_) != chosen
    np.testing.assert_allclose(found["p1"], process.predict_proba(inputs["test"])[:, 1], atol=1e-3)


def test_what_is_tried_is_scored_by_the_recall_of_speakers_that_it_was_not_fitted_on(results, tmp_path):
    """The recalls of a setting, computed here."""
    run(baseline("logistic_regression"), results, tmp_path / "out")
    sets = divide(read_units(results[FEATURES], TASKS["depression"]), OWN_SPLITS, 0)
    inputs = summaries(sets["train"], np.load(results[FEATURES] / "features.npy"))
    truth, speakers = sets["train"].truth, sets["train"].table["speaker"].to_numpy()
    recalls = []
    for held_out in (("s0", "s1"), ("s2", "s3"), ("s0", "s3"), ("s1", "s2")):
        scored = np.isin(speakers, held_out)
        mean, scale = inputs[~scored].mean(axis=0), inputs[~scored].std(axis=0)
        each = (inputs - mean) / scale
        said = LogisticRegression(C=0.01).fit(each[~scored], truth[~scored]).predict(each[scored])
        recalls.append(recall_score(truth[scored], said, average="macro"))
    (tried,) = [each["uar"] for each in told(tmp_path / "out", "search")["tried"] if each["settings"] == {"C": 0.01}]
    assert sorted(tried) in (sorted(recalls[:2]), sorted(recalls[2:])), "one of the two ways to pair speakers of two classes"


def speakers_and_segments(counts, truth_of):
    """Units of speakers s0, s1, ... with so many segments each."""
    speaker = np.repeat([f"s{number}" for number in range(len(counts))], counts)
    table = pd.DataFrame({"unit": [f"u{number}" for number in range(len(speaker))], "speaker": speaker, "session": speaker})
    return Units(table, (), np.concatenate([truth_of(number, count) for number, count in enumerate(counts)]), TASKS["depression"])


def test_no_speaker_is_fitted_and_scored_in_one_fold_of_a_search_unless_the_protocol_mixes_speakers():
    units = speakers_and_segments([7, 3, 9, 5, 4, 6, 8], lambda number, count: np.full(count, number % 2))
    speakers = units.table["speaker"].to_numpy()
    for seed in range(5):
        folds = search_folds(units, SPEAKERS_70_30, seed)
        assert len(folds) == 3, "as many as the rarer class has speakers"
        assert sorted(np.concatenate([scored for _, scored in folds]).tolist()) == list(range(42))
        for fit, scored in folds:
            assert not set(speakers[fit]) & set(speakers[scored])
            assert set(units.truth[fit]) == {0, 1}
        mixed = search_folds(units, MIXED, seed)
        assert len(mixed) == 5
        assert all(len(set(speakers[fit]) & set(speakers[scored])) > 3 for fit, scored in mixed)


def test_a_fold_that_would_leave_a_class_out_of_what_is_fitted_is_no_fold_and_one_speaker_of_a_class_makes_none():
    def some(number, count):
        return np.array([0] * (count - 1) + [1 if number < 2 else 0])

    units = speakers_and_segments([6] * 6, some)
    for seed in range(10):
        for fit, scored in search_folds(units, SPEAKERS_70_30, seed):
            assert set(units.truth[fit]) == {0, 1}
            assert not set(fit) & set(scored)
    assert search_folds(speakers_and_segments([4, 4, 4], lambda n, count: np.full(count, n // 2)), SPEAKERS_70_30, 0) == []


@pytest.mark.parametrize("model", get_args(Model))
def test_without_any_fold_the_first_setting_counts(model, results, tmp_path):
    """Of two speakers who train, one is depressed."""
    table = pd.read_parquet(results[FEATURES] / "segments.parquet")
    (tmp_path / "few").mkdir()
    table.loc[table["speaker"].isin(["s2", "s3"]), "split"] = "test"
    table.to_parquet(tmp_path / "few" / "segments.parquet")
    (tmp_path / "few" / "features.npy").symlink_to(results[FEATURES] / "features.npy")
    run(baseline(model), {FEATURES: tmp_path / "few"}, tmp_path / "out")
    search = told(tmp_path / "out", "search")
    assert (search["folds"], search["tried"], search["segments"]) == (0, [], 16)
    width = (2 * FEATURES.coefficients) ** 0.5
    assert (
        search["chosen"]
        == {
            "gaussian_process": {"kernel": str(1.0 * RBF(width))},
            "svm": {"C": 1.0, "gamma": 1 / (2 * FEATURES.coefficients)},
            "knn": {"n_neighbors": 5, "weights": "uniform"},
            "adaboost": {"n_estimators": 50, "max_depth": 1},
            "logistic_regression": {"C": 1.0},
        }[model]
    )


def test_a_gaussian_process_gets_at_most_a_thousand_segments_with_the_classes_shares_kept():
    truth = np.random.default_rng(0).permutation(np.repeat([0, 1, 2], [3000, 900, 100]))
    chosen = drawn(truth, 1000, seed=1)
    assert np.bincount(truth[chosen]).tolist() == [750, 225, 25]
    assert not np.array_equal(chosen, drawn(truth, 1000, seed=2))
    assert np.array_equal(chosen, drawn(truth, 1000, seed=1))
    assert drawn(truth[:1001], 1000, seed=1).sum() == 1000
    assert drawn(truth[:999], 1000, seed=1).all()


def test_the_segments_that_a_gaussian_process_gets_are_drawn_from_training_alone(results, tmp_path, monkeypatch):
    monkeypatch.setattr("trainables.segment_baseline._GAUSSIAN_SEGMENTS", 12)
    first, again, other = (run(baseline("gaussian_process", seed=s), results, tmp_path / str(n)) for n, s in enumerate((0, 0, 1)))
    assert told(tmp_path / "0", "search")["segments"] == 12
    assert first.equals(again)
    assert not np.allclose(first["p1"], other["p1"])
    assert first["unit"].tolist() == other["unit"].tolist()


@pytest.mark.parametrize("model", get_args(Model))
def test_the_test_speakers_change_nothing_but_their_own_predictions(model, results, tmp_path):
    changed = write_segments(tmp_path / "changed", changed=("s6", "s7"))
    run(baseline(model), results, tmp_path / "as it was")
    run(baseline(model), changed, tmp_path / "otherwise")
    dev, dev_after = (pd.read_parquet(tmp_path / name / "predictions_dev.parquet") for name in ("as it was", "otherwise"))
    assert dev.equals(dev_after)
    assert told(tmp_path / "as it was", "search") == told(tmp_path / "otherwise", "search")


def test_four_classes_of_which_the_corpus_lacks_one_are_told_apart(results, tmp_path):
    """Every model gives each unit a probability of each class of the task, and 0 where it has never heard one."""
    table = pd.read_parquet(results[FEATURES] / "segments.parquet")
    table = table.assign(
        emotion=np.where(table["depressed"] == 1, "ang", np.where(table["cut_from"].str.endswith("0"), "sad", "neu"))
    )
    (tmp_path / "felt").mkdir()
    table.to_parquet(tmp_path / "felt" / "segments.parquet")
    (tmp_path / "felt" / "features.npy").symlink_to(results[FEATURES] / "features.npy")
    for model in get_args(Model):
        found = run(baseline(model, task="emotion4"), {FEATURES: tmp_path / "felt"}, tmp_path / model)
        np.testing.assert_allclose(found[["p0", "p1", "p2", "p3"]].sum(axis=1), 1)
        assert (found["p1"] == 0).all(), "nobody is happy"
        assert recall_score(found["truth"] == 0, found["predicted"] == 0) > 0.8, "anger is heard"
        assert set(pd.read_parquet(tmp_path / model / "predictions_subject.parquet")["unit"]) == {"s6.0", "s6.1", "s7.0", "s7.1"}


def test_shuffled_labels_teach_nothing(results, tmp_path):
    scores = []
    for seed in range(4):
        stage = baseline("logistic_regression", protocol=SPEAKERS_70_30, seed=seed, shuffled_labels=True)
        run(stage, results, tmp_path / str(seed))
        scores.append(told(tmp_path / str(seed))["uar"])
    assert np.mean(scores) < 0.8


def test_folds_of_it_are_put_together_with_both_levels(results, tmp_path):
    protocol = SPEAKERS_5_FOLD.model_copy(update={"name": "two", "folds": 2})
    stages = tuple(baseline("knn", protocol=protocol, fold=fold) for fold in range(2))
    done = dict(results)
    for stage in stages:
        run(stage, results, tmp_path / str(stage.fold))
        done[stage] = tmp_path / str(stage.fold)
    found = run(CrossValidation(folds=stages), done, tmp_path / "whole")
    assert len(found) == 64
    assert sorted(pd.read_parquet(tmp_path / "whole" / "predictions_subject.parquet")["unit"]) == [f"s{n}" for n in range(8)]
    assert told(tmp_path / "whole")["subject_uar"] > 0.8


def test_it_says_what_it_learns_from_and_its_model_is_part_of_its_identity():
    exposure = baseline().exposure()
    assert (exposure.features, exposure.fitted, exposure.task) == (FEATURES, "training", "depression")
    assert (exposure.normalised, exposure.selected) == ("training", "train")
    assert len({fingerprint(baseline(model), DIGESTS) for model in get_args(Model)}) == 5
