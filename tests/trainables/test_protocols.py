"""Splits: nobody is on both sides, both classes are on each, and a seed means one split."""

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from trainables.metrics import classification_scores
from trainables.protocols import split_by_speaker


def units(healthy, depressed, sessions=2):
    speakers = [(f"h{n}", 0) for n in range(healthy)] + [(f"d{n}", 1) for n in range(depressed)]
    rows = [{"speaker": name, "depressed": label} for name, label in speakers for _ in range(sessions)]
    return pd.DataFrame(rows)


@given(healthy=st.integers(4, 30), depressed=st.integers(4, 30), seed=st.integers(0, 1000))
def test_no_speaker_is_on_both_sides_and_both_classes_are_on_each(healthy, depressed, seed):
    table = units(healthy, depressed)
    split = split_by_speaker(table, "depressed", 0.3, seed)
    sides = {name: table[split == name] for name in ("train", "test")}
    assert not set(sides["train"]["speaker"]) & set(sides["test"]["speaker"])
    assert all(set(side["depressed"]) == {0, 1} for side in sides.values())
    speakers = healthy + depressed
    assert abs(sides["test"]["speaker"].nunique() - 0.3 * speakers) <= 1


def test_the_split_depends_on_the_seed_and_not_on_the_order_of_the_rows():
    table = units(10, 10)
    split = split_by_speaker(table, "depressed", 0.3, 0)
    shuffled = table.sample(frac=1.0, random_state=1)
    assert split_by_speaker(shuffled, "depressed", 0.3, 0).sort_index().tolist() == split.tolist()
    assert split_by_speaker(table, "depressed", 0.3, 1).tolist() != split.tolist()


def test_a_class_of_one_speaker_cannot_be_split():
    with pytest.raises(ValueError, match="least populated class"):
        split_by_speaker(units(5, 1), "depressed", 0.3, 0)


def test_scores_are_scikit_learns_and_a_class_never_predicted_scores_zero():
    truth, predicted = [0, 0, 1, 1, 1], [0, 0, 0, 0, 0]
    scores = classification_scores(truth, predicted)
    assert scores["f1_macro"] == pytest.approx((2 * 2 / 5 / (2 / 5 + 1) + 0) / 2)
    assert scores["f1_micro"] == pytest.approx(f1_score(truth, predicted, average="micro")) == pytest.approx(2 / 5)
    assert scores["uar"] == 0.5
