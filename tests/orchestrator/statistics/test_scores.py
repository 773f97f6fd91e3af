from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, f1_score, recall_score

from orchestrator.statistics.counts import speaker_counts
from orchestrator.statistics.scores import SCORES, f1_macro
from trainables.errors import UserError
from trainables.metrics import classification_scores

SKLEARN = {
    "f1_macro": lambda truth, predicted, weight: f1_score(truth, predicted, average="macro", zero_division=0, sample_weight=weight),
    "f1_micro": lambda truth, predicted, weight: accuracy_score(truth, predicted, sample_weight=weight),
    "uar": lambda truth, predicted, weight: recall_score(truth, predicted, average="macro", zero_division=0, sample_weight=weight),
}


def drawn(truth_classes: int, predicted_classes: int, seed: int = 0) -> pd.DataFrame:
    draw = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "unit": [f"u{i}" for i in range(60)],
            "speaker": [f"s{i}" for i in draw.integers(0, 9, 60)],
            "truth": draw.integers(0, truth_classes, 60),
            "predicted": draw.integers(0, predicted_classes, 60),
        }
    )


@pytest.mark.parametrize("classes", [(2, 2), (5, 5), (2, 4), (4, 2), (3, 1), (1, 3), (1, 1)])
@pytest.mark.parametrize("metric", SCORES)
def test_scores_of_weighted_counts_are_those_of_sklearn_with_sample_weights(metric, classes):
    """Classes that are never predicted, or predicted and never true, among them."""
    frame = drawn(*classes)
    counts = speaker_counts(frame)
    weights = np.random.default_rng(1).exponential(size=(7, len(counts.speakers)))
    ours = SCORES[metric](np.einsum("bs,sij->bij", weights, counts.confusion))
    for replicate, weight in enumerate(weights):
        by_unit = frame["speaker"].map(dict(zip(counts.speakers, weight, strict=True)))
        assert ours[replicate] == pytest.approx(SKLEARN[metric](frame["truth"], frame["predicted"], by_unit), abs=1e-12)


def test_every_score_that_a_classifier_reports_can_be_recomputed():
    frame = drawn(3, 3)
    assert set(SCORES) == set(classification_scores(frame["truth"], frame["predicted"]))


def test_counts_keep_leading_axes():
    assert f1_macro(np.ones((2, 3, 4, 4))).shape == (2, 3)


def test_the_order_of_the_lines_does_not_matter_but_units_and_labels_do():
    frame = drawn(3, 3)
    counts, shuffled = speaker_counts(frame), speaker_counts(frame.sample(frac=1, random_state=0))
    assert counts.speakers == shuffled.speakers
    assert counts.digest == shuffled.digest
    assert np.array_equal(counts.confusion, shuffled.confusion)
    assert counts.digest == speaker_counts(frame.assign(predicted=0)).digest
    assert counts.digest != speaker_counts(frame.assign(truth=0)).digest
    assert counts.digest != speaker_counts(frame[1:]).digest


@pytest.mark.parametrize(
    "bad",
    [
        drawn(2, 2).drop(columns="speaker"),
        drawn(2, 2).assign(speaker=lambda frame: frame["speaker"].where(frame["unit"] != "u3")),
        drawn(2, 2)[:0],
    ],
)
def test_incomplete_predictions_are_an_error(bad):
    with pytest.raises(UserError, match="expected complete columns unit, speaker, truth, predicted"):
        speaker_counts(bad)
