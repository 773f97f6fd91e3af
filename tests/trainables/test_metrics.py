"""Scores and the file of predictions."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import f1_score

from trainables.errors import UserError
from trainables.metrics import classification_scores, write_predictions
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
