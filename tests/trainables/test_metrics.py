"""Scores and the files of predictions."""

import json
from typing import get_args

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import f1_score, precision_score, recall_score, roc_auc_score

from trainables.errors import UserError
from trainables.metrics import (
    PREFIXES,
    PredictionsName,
    classification_scores,
    prediction_scores,
    write_attributes,
    write_predictions,
)
from trainables.tasks import TASKS
from trainables.units import Units


def units(labels_of_speaker, task="depression", split=""):
    """Units of speakers s0, s1, ...: one unit for each of a speaker's labels."""
    rows = [(f"s{n}", f"s{n}u{u}", label) for n, labels in enumerate(labels_of_speaker) for u, label in enumerate(labels)]
    table = pd.DataFrame(rows, columns=["speaker", "unit", "label"]).assign(split=split)
    truth = table["label"].to_numpy().astype("int64")
    return Units(table, tuple(np.array([row]) for row in range(len(table))), truth, TASKS[task])


def test_scores_are_scikit_learns_and_a_class_never_predicted_scores_zero():
    truth, predicted = [0, 0, 1, 1, 1], [0, 0, 0, 0, 0]
    scores = classification_scores(truth, predicted)
    assert scores["f1_macro"] == pytest.approx((2 * 2 / 5 / (2 / 5 + 1) + 0) / 2)
    assert scores["f1_micro"] == pytest.approx(f1_score(truth, predicted, average="micro")) == pytest.approx(2 / 5)
    assert scores["uar"] == 0.5


def test_the_file_of_predictions_has_every_class_probability_even_of_a_class_that_does_not_occur(tmp_path):
    whole = units([[0, 1], [4, 1]], "emotion5")
    probabilities = np.eye(5)[[0, 4, 4, 1]] * 0.6 + 0.08
    scores = write_predictions(tmp_path, whole, probabilities)
    written = pd.read_parquet(tmp_path / "predictions.parquet")
    assert list(written.columns) == ["unit", "speaker", "truth", "predicted", "p0", "p1", "p2", "p3", "p4"]
    assert (written["truth"].tolist(), written["predicted"].tolist()) == ([0, 1, 4, 1], [0, 4, 4, 1])
    assert written[["p0", "p1", "p2", "p3", "p4"]].to_numpy() == pytest.approx(probabilities)
    assert scores["f1_macro"] == pytest.approx((1 + 2 / 3 + 2 / 3) / 3), "over the three classes that occur"


def test_outputs_that_are_not_finite_are_refused_instead_of_scored(tmp_path):
    with pytest.raises(UserError, match="not finite; lower learning_rate"):
        write_predictions(tmp_path, units([[0, 1]]), np.array([[0.5, 0.5], [np.nan, np.nan]]))
    assert not (tmp_path / "predictions.parquet").exists()


def test_f1_of_the_positive_class_is_that_of_class_one_and_belongs_to_tasks_of_two_classes():
    truth, predicted = np.repeat([1, 1, 0, 0], [10, 2, 1, 22]), np.repeat([1, 0, 1, 0], [10, 2, 1, 22])
    scores = classification_scores(truth, predicted)
    assert scores["f1_positive"] == pytest.approx(20 / 23), "Climate and Weather's .869: 12 of 35 development sessions depressed"
    assert scores["f1_positive"] == f1_score(truth, predicted, average="binary")
    assert classification_scores([0, 0], [0, 0])["f1_positive"] == 0.0, "nobody is positive and nobody is called so"
    assert "f1_positive" not in classification_scores([0, 1, 2], [0, 1, 1])
    assert "f1_positive" not in classification_scores([0, 1], [0, 1], classes=5), "of a fold in which two of five classes occur"


def test_precision_and_recall_of_the_positive_class_are_scikit_learns_and_zero_where_nobody_is_called_so():
    truth, predicted = np.repeat([1, 1, 0, 0], [10, 2, 1, 22]), np.repeat([1, 0, 1, 0], [10, 2, 1, 22])
    scores = classification_scores(truth, predicted)
    assert scores["precision_positive"] == precision_score(truth, predicted) == pytest.approx(10 / 11)
    assert scores["recall_positive"] == recall_score(truth, predicted) == pytest.approx(10 / 12)
    nobody = classification_scores([0, 1], [0, 0])
    assert nobody["precision_positive"] == nobody["recall_positive"] == 0.0
    assert not {"precision_positive", "recall_positive"} & classification_scores([0, 1, 2], [0, 1, 1]).keys()


def test_the_area_under_the_roc_curve_is_scikit_learns_and_belongs_to_two_classes_that_both_occur(tmp_path):
    whole = units([[0, 1], [1, 0], [1]])
    p1 = np.array([0.2, 0.7, 0.4, 0.4, 0.9])
    scores = write_predictions(tmp_path, whole, np.stack([1 - p1, p1], axis=1))
    assert scores["auc"] == roc_auc_score(whole.truth, p1) == pytest.approx(5.5 / 6), "one of six pairs ties"
    assert prediction_scores(pd.read_parquet(tmp_path / "predictions.parquet")) == scores
    assert "auc" not in write_predictions(tmp_path, units([[1], [1]]), np.array([[0.5, 0.5], [0.1, 0.9]]))
    assert "auc" not in write_predictions(tmp_path, units([[0], [1]], "emotion5"), np.eye(5)[[0, 1]])


def test_every_file_of_predictions_has_a_prefix_of_its_own():
    assert list(PREFIXES) == list(get_args(PredictionsName))
    assert len(set(PREFIXES.values())) == len(PREFIXES)


def test_a_development_set_beside_the_scored_one_has_its_own_file_and_its_scores_stand_beside_the_others(tmp_path):
    test, dev = units([[0], [1], [1]]), units([[0], [0], [1], [1]])
    test_scores = write_predictions(tmp_path, test, np.eye(2)[[0, 1, 0]])
    dev_scores = write_predictions(tmp_path, dev, np.eye(2)[[0, 1, 1, 1]], name="predictions_dev")
    assert len(pd.read_parquet(tmp_path / "predictions.parquet")) == 3
    assert len(pd.read_parquet(tmp_path / "predictions_dev.parquet")) == 4
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics == test_scores | dev_scores
    assert metrics["f1_positive"] == pytest.approx(2 / 3)
    assert metrics["dev_f1_positive"] == pytest.approx(4 / 5)
    assert {f"dev_{name}" for name in test_scores} == set(dev_scores)


def test_an_attribute_is_scored_by_its_error_and_its_concordance_and_can_be_scored_again_from_the_file(tmp_path):
    extra = {
        "valence": np.array([1.0, 2.5, 4.0]),
        "valence_predicted": np.array([1.5, 2.5, 3.0]),
        "note": np.array(["a", "b", "c"]),
    }
    scores = write_predictions(tmp_path, units([[0], [1], [2]], "emotion5"), np.eye(5)[[0, 1, 2]], extra)
    assert scores["mae_valence"] == pytest.approx(1.5 / 3)
    assert scores["ccc_valence"] == pytest.approx(1 - (1.25 / 3) / (1.5 + 7 / 18 + 1 / 36)), "1 - squared error / (var + var + d^2)"
    assert set(scores) == {"f1_macro", "f1_micro", "uar", "mae_valence", "ccc_valence"}, "no mean of one attribute"
    assert prediction_scores(pd.read_parquet(tmp_path / "predictions.parquet")) == scores


def test_an_attribute_that_a_unit_lacks_or_that_is_predicted_as_nothing_is_refused(tmp_path):
    whole, said = units([[0], [1]]), np.eye(2)
    with pytest.raises(UserError, match="label 'valence' is missing for 's1u0'"):
        write_predictions(tmp_path, whole, said, {"valence": np.array([1.0, np.nan]), "valence_predicted": np.ones(2)})
    with pytest.raises(UserError, match="not finite"):
        write_predictions(tmp_path, whole, said, {"valence": np.ones(2), "valence_predicted": np.array([1.0, np.inf])})
    assert not list(tmp_path.iterdir())


def rated(count=12, seed=0):
    """Units of four speakers with ratings from 1 to 7, and predictions that follow them."""
    draw = np.random.default_rng(seed)
    ratings = {name: draw.uniform(1, 7, count) for name in ("valence", "activation", "dominance")}
    table = pd.DataFrame({"unit": [f"u{n}" for n in range(count)], "speaker": [f"s{n % 4}" for n in range(count)], **ratings})
    predicted = table[["activation", "valence", "dominance"]].to_numpy() * 0.5 + draw.normal(2, 1, (count, 3))
    return Units(table, (), np.zeros(count, dtype=np.int64), TASKS["attributes"]), predicted


def test_a_file_of_attributes_alone_has_no_classes_and_three_coefficients_with_their_mean(tmp_path):
    units, predicted = rated()
    scores = write_attributes(tmp_path, units, predicted)
    written = pd.read_parquet(tmp_path / "predictions.parquet")
    names = ("activation", "valence", "dominance")
    assert list(written) == ["unit", "speaker", *(column for name in names for column in (name, f"{name}_predicted"))]
    for column, name in enumerate(names):
        x, y = units.table[name].to_numpy(), predicted[:, column]
        assert (written[name].tolist(), written[f"{name}_predicted"].tolist()) == (x.tolist(), y.tolist())
        expected = 2 * np.cov(x, y, bias=True)[0, 1] / (x.var() + y.var() + (x.mean() - y.mean()) ** 2)
        assert scores[f"ccc_{name}"] == pytest.approx(expected)
        assert scores[f"mae_{name}"] == pytest.approx(np.abs(x - y).mean())
    assert scores["ccc"] == pytest.approx(np.mean([scores[f"ccc_{name}"] for name in names]))
    assert set(scores) == {"ccc", *(f"{kind}_{name}" for kind in ("ccc", "mae") for name in names)}
    assert json.loads((tmp_path / "metrics.json").read_text()) == scores == prediction_scores(written)


def test_scores_of_attributes_of_a_development_set_stand_beside_the_others(tmp_path):
    test, dev = write_attributes(tmp_path, *rated()), write_attributes(tmp_path, *rated(8, seed=1), name="predictions_dev")
    assert set(dev) == {f"dev_{name}" for name in test}
    assert json.loads((tmp_path / "metrics.json").read_text()) == test | dev
    assert len(pd.read_parquet(tmp_path / "predictions_dev.parquet")) == 8


def test_predicted_attributes_that_are_not_finite_or_units_that_are_not_rated_are_refused(tmp_path):
    units, predicted = rated()
    with pytest.raises(UserError, match="not finite"):
        write_attributes(tmp_path, units, np.where(predicted > predicted.min(), predicted, np.nan))
    units.table.loc[3, "dominance"] = np.nan
    with pytest.raises(UserError, match="label 'dominance' is missing for 'u3'"):
        write_attributes(tmp_path, units, predicted)
    assert not list(tmp_path.iterdir())
