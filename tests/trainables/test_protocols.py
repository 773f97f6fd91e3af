"""Splits: nobody is on both sides, both classes are on each, and a seed means one split."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from trainables.errors import UserError
from trainables.metrics import classification_scores
from trainables.protocols import divide_by_speaker, split_by_speaker


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
    with pytest.raises(UserError, match=r"at least 2 speakers of each class.*found 5 with depressed = 0, 1 with depressed = 1"):
        split_by_speaker(units(5, 1), "depressed", 0.3, 0)


def test_a_test_set_too_small_for_every_class_is_refused():
    with pytest.raises(UserError, match=r"1 of 8 would be in the test set"):
        split_by_speaker(units(4, 4), "depressed", 0.1, 0)


def test_the_fewest_speakers_that_can_be_split_are_two_of_each_class():
    table = units(2, 2)
    split = split_by_speaker(table, "depressed", 0.3, 0)
    assert all(set(table[split == name]["depressed"]) == {0, 1} for name in ("train", "test"))


SHARES = (0.7, 0.15, 0.15)


def utterances(labels_per_speaker):
    rows = [(f"s{n}", label) for n, labels in enumerate(labels_per_speaker) for label in labels]
    return pd.DataFrame(rows, columns=["speaker", "positive"])


both_labels = st.permutations([0, 1, 1])
any_labels = st.lists(st.integers(0, 1), min_size=1, max_size=4)


@given(sure=st.lists(both_labels, min_size=3, max_size=12), more=st.lists(any_labels, max_size=12), seed=st.integers(0, 1000))
def test_a_division_by_speaker_has_disjoint_speakers_and_both_labels_in_every_set(sure, more, seed):
    assume(len(sure) >= len(more))  # so that a thousand draws are enough
    table = utterances(sure + more)
    division = divide_by_speaker(table, table["positive"], SHARES, seed)
    parts = {name: table[division == name] for name in ("train", "dev", "test")}
    assert sum(part["speaker"].nunique() for part in parts.values()) == len(sure + more)
    assert all(set(part["positive"]) == {0, 1} for part in parts.values())


@given(count=st.integers(3, 200))
def test_a_divisions_sets_have_their_share_of_the_speakers_to_within_one_and_at_least_one(count):
    table = utterances([[0, 1]] * count)
    found = table.groupby(divide_by_speaker(table, table["positive"], SHARES, 0))["speaker"].nunique()
    shares = pd.Series({"train": 0.7, "dev": 0.15, "test": 0.15})
    assert found.min() >= 1
    if count >= 7:  # below, the one speaker that dev and test must have is more than their share
        assert (abs(found - shares * count) <= 1).all()


@given(seed=st.integers(0, 1000), shuffle=st.integers(0, 1000))
def test_a_division_depends_on_the_seed_and_not_on_the_order_of_the_rows(seed, shuffle):
    table = utterances([[0, 1]] * 12)
    division = divide_by_speaker(table, table["positive"], SHARES, seed)
    shuffled = table.sample(frac=1.0, random_state=shuffle)
    again = divide_by_speaker(shuffled, shuffled["positive"].astype(bool), SHARES, seed)
    assert again.sort_index().tolist() == division.tolist()


def test_seeds_give_different_divisions():
    table = utterances([[0, 1]] * 12)
    assert len({tuple(divide_by_speaker(table, table["positive"], SHARES, seed)) for seed in range(10)}) == 10


def test_a_speakers_place_is_drawn_evenly():
    table = utterances([[0, 1]] * 10)
    drawn = np.array([divide_by_speaker(table, table["positive"], SHARES, seed) == "train" for seed in range(400)])
    assert np.allclose(drawn.mean(axis=0), 0.7, atol=0.1)


@pytest.mark.parametrize("labels", [[[0, 1]] * 2, [[0]] * 9 + [[1]] * 2, [[0]] * 5, []])
def test_a_corpus_that_cannot_be_divided_is_refused_with_what_is_needed_and_found(labels):
    table = utterances(labels)
    positives, negatives = (sum(label in speaker for speaker in labels) for label in (1, 0))
    with pytest.raises(UserError, match=rf"3 with negative.*found {positives} and {negatives}, {len(labels)} speakers in all"):
        divide_by_speaker(table, table["positive"], SHARES, 0)


def test_scores_are_scikit_learns_and_a_class_never_predicted_scores_zero():
    truth, predicted = [0, 0, 1, 1, 1], [0, 0, 0, 0, 0]
    scores = classification_scores(truth, predicted)
    assert scores["f1_macro"] == pytest.approx((2 * 2 / 5 / (2 / 5 + 1) + 0) / 2)
    assert scores["f1_micro"] == pytest.approx(f1_score(truth, predicted, average="micro")) == pytest.approx(2 / 5)
    assert scores["uar"] == 0.5
