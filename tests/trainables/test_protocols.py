"""Divisions: nobody is in two sets, every class is in each, and a seed means one division."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from trainables.errors import UserError
from trainables.protocols import Protocol, divide, restricted, unrestricted
from trainables.protocols.catalogue import (
    HELD_OUT_30,
    IEMOCAP_5_SESSIONS,
    OWN_SPLITS,
    SEGMENTS_70_30,
    SPEAKERS_5_FOLD,
    SPEAKERS_70_30,
)
from trainables.protocols.division import drawn_by_seed
from trainables.protocols.draws import hold_out, split_by_speaker
from trainables.tasks import TASKS
from trainables.units import Units


def units(labels_of_speaker, task="depression", split=""):
    """Units of speakers s0, s1, ...: one unit for each of a speaker's labels."""
    rows = [(f"s{n}", f"s{n}u{u}", label) for n, labels in enumerate(labels_of_speaker) for u, label in enumerate(labels)]
    table = pd.DataFrame(rows, columns=["speaker", "unit", "label"]).assign(split=split)
    truth = table["label"].to_numpy().astype("int64")
    return Units(table, tuple(np.array([row]) for row in range(len(table))), truth, TASKS[task])


def sessions(healthy, depressed, each=2):
    return units([[0] * each] * healthy + [[1] * each] * depressed)


def shuffled(whole, seed):
    order = np.random.default_rng(seed).permutation(len(whole.truth))
    table = whole.table.iloc[order].reset_index(drop=True)
    return Units(table, tuple(whole.segments[row] for row in order), whole.truth[order], whole.task)


def speakers(sets):
    return {name: set(part.table["speaker"]) for name, part in sets.items()}


def named(sets):
    return {name: set(part.table["unit"]) for name, part in sets.items()}


def check_division(sets, whole, classes):
    """Nobody in two sets, everybody in one, every class in each, each unit with its own truth and segments."""
    found = speakers(sets)
    assert sum(len(names) for names in found.values()) == len(set().union(*found.values())) == whole.table["speaker"].nunique()
    segments_of = dict(zip(whole.table["unit"], whole.segments, strict=True))
    for part in sets.values():
        assert set(part.truth) == set(range(classes))
        assert part.table["label"].tolist() == part.truth.tolist()
        assert all(segments_of[unit] is segments for unit, segments in zip(part.table["unit"], part.segments, strict=True))


# A task whose classes belong to speakers: stratified.


@given(healthy=st.integers(4, 30), depressed=st.integers(4, 30), seed=st.integers(0, 1000))
def test_no_speaker_is_on_both_sides_and_both_classes_have_the_same_share_of_each(healthy, depressed, seed):
    whole = sessions(healthy, depressed)
    sets = split_by_speaker(whole, 0.3, seed)
    check_division(sets, whole, 2)
    assert len(speakers(sets)["test"]) == math.ceil(0.3 * (healthy + depressed))
    tested = sets["test"].table.groupby("speaker")["label"].first()
    assert abs((tested == 1).sum() - 0.3 * depressed) <= 1.5


def test_a_class_of_one_speaker_or_of_none_cannot_be_split():
    with pytest.raises(UserError, match=r"at least 2 speakers of each class.*found 5 healthy, 1 depressed"):
        split_by_speaker(sessions(5, 1), 0.3, 0)
    with pytest.raises(UserError, match="found 0 healthy, 5 depressed"):
        split_by_speaker(sessions(0, 5), 0.3, 0)


def test_a_scored_set_too_small_for_every_class_is_refused():
    with pytest.raises(UserError, match=r"1 of 8 would be in the test set"):
        split_by_speaker(sessions(4, 4), 0.1, 0)
    with pytest.raises(UserError, match=r"found 2 healthy, 30 depressed \(7 of 32 would be in the dev set"):
        split_by_speaker(sessions(2, 30), 0.2, 0, scored="dev")


def test_the_fewest_speakers_that_can_be_split_are_two_of_each_class():
    whole = sessions(2, 2)
    check_division(split_by_speaker(whole, 0.3, 0), whole, 2)


# A task whose speakers have several classes: whole speakers are drawn.

some_classes = st.lists(st.integers(0, 4), min_size=1, max_size=6)
every_class = st.permutations(range(5))


@given(sure=st.lists(every_class, min_size=2, max_size=10), more=st.lists(some_classes, max_size=10), seed=st.integers(0, 1000))
def test_a_random_split_of_utterances_has_disjoint_speakers_and_every_class_on_both_sides(sure, more, seed):
    assume(len(sure) >= len(more))  # so that a thousand draws are enough
    whole = units(sure + more, "emotion5")
    sets = split_by_speaker(whole, 0.3, seed)
    check_division(sets, whole, 5)
    assert len(speakers(sets)["test"]) == math.ceil(0.3 * len(sure + more))


def test_utterances_that_cannot_be_split_are_refused_with_what_is_needed_and_found():
    whole = units([[0, 1, 2, 3]] * 9 + [[4, 4]], "emotion5")
    with pytest.raises(UserError, match=r"10 speakers .* 7 train and 3 test .* at least 2 .*9 of angry, .*, 1 of neutral: add"):
        split_by_speaker(whole, 0.3, 0)


def test_a_class_that_the_corpus_does_not_have_is_asked_of_no_set():
    whole = units([[0, 1, 2, 4]] * 6, "emotion5")
    for protocol in (SPEAKERS_70_30, OWN_SPLITS):
        assert all(set(part.truth) == {0, 1, 2, 4} for part in divide(whole, protocol, 0).values())


# The corpus' own sets, and their stand-in by speaker.


def corpus_sets(whole, seed=0):
    return divide(whole, OWN_SPLITS, seed)


@given(
    sure=st.lists(st.permutations([0, 1, 1]), min_size=3, max_size=12),
    more=st.lists(st.lists(st.integers(0, 1), min_size=1, max_size=4), max_size=12),
)
def test_a_corpus_without_splits_is_divided_by_speaker_with_both_classes_in_every_set(sure, more):
    assume(len(sure) >= len(more))
    whole = units(sure + more, "sentiment")
    sets = corpus_sets(whole)
    assert list(sets) == ["train", "dev", "test"]
    check_division(sets, whole, 2)


@given(count=st.integers(3, 200))
def test_its_sets_have_their_share_of_the_speakers_to_within_one_and_at_least_one(count):
    found = {name: len(names) for name, names in speakers(corpus_sets(units([[0, 1]] * count, "sentiment"))).items()}
    assert min(found.values()) >= 1
    if count >= 7:  # below, the one speaker that dev and test must have is more than their share
        assert all(abs(found[name] - share * count) <= 1 for name, share in {"train": 0.7, "dev": 0.15, "test": 0.15}.items())


def test_without_splits_the_speakers_places_are_the_same_for_every_seed():
    whole = units([[0, 1]] * 12, "sentiment")
    assert len({str(speakers(corpus_sets(whole, seed))) for seed in range(10)}) == 1


def test_a_speakers_place_is_drawn_evenly():
    whole = units([[0, 1]] * 10, "sentiment")
    trained = [speakers(divide(whole, SPEAKERS_70_30, seed))["train"] for seed in range(400)]
    assert all(abs(np.mean([f"s{n}" in names for names in trained]) - 0.7) < 0.1 for n in range(10))


@pytest.mark.parametrize("labels", [[[0, 1]] * 2, [[0]] * 9 + [[1]] * 2, [[0]] * 5])
def test_a_corpus_that_cannot_be_divided_is_refused_with_what_is_needed_and_found(labels):
    negatives, positives = (sum(label in speaker for speaker in labels) for label in (0, 1))
    told = rf"the {len(labels)} speakers.*at least 3 speakers.*{negatives} of negative, {positives} of positive"
    with pytest.raises(UserError, match=told):
        corpus_sets(units(labels, "sentiment"))


def test_a_corpus_own_splits_are_kept_and_each_must_have_every_class():
    whole = units([[0, 1]] * 6, "sentiment", split=["train"] * 8 + ["dev"] * 2 + ["test"] * 2)
    assert speakers(corpus_sets(whole, seed=5)) == {"train": {"s0", "s1", "s2", "s3"}, "dev": {"s4"}, "test": {"s5"}}
    without = whole.where(~((whole.table["split"] == "dev") & (whole.table["label"] == 1)).to_numpy())
    with pytest.raises(UserError, match=r"dev set has no unit of class positive.*'own-splits' needs"):
        corpus_sets(without)


# A search: the test speakers are held out.


def search(whole, seed, scored_on="dev", holdout_seed=7):
    return divide(whole, HELD_OUT_30.model_copy(update={"holdout_seed": holdout_seed}), seed, scored_on=scored_on)


@settings(max_examples=50)
@given(seed=st.integers(0, 1000), holdout_seed=st.integers(0, 1000), task=st.sampled_from(["depression", "sentiment"]))
def test_training_development_and_test_speakers_are_disjoint_and_everybody_is_one_of_them(seed, holdout_seed, task):
    whole = sessions(10, 12) if task == "depression" else units([[0, 1, 1]] * 22, task)
    final = search(whole, seed, "test", holdout_seed)
    check_division(final, whole, 2)
    try:
        developing = search(whole, seed, "dev", holdout_seed)
    except UserError:
        assume(False)  # chance has held out nearly all of a class
    assert list(developing) == ["train", "dev"]
    check_division(developing, final["train"], 2)
    assert (len(speakers(final)["test"]), len(speakers(developing)["dev"])) == (math.ceil(0.3 * 22), math.ceil(0.3 * 15))


def test_the_test_speakers_are_the_holdout_seeds_and_the_development_speakers_the_seeds():
    whole = sessions(15, 15)
    assert len({frozenset(speakers(search(whole, seed, "test"))["test"]) for seed in range(8)}) == 1
    assert len({frozenset(speakers(search(whole, seed))["dev"]) for seed in range(8)}) > 6
    assert len({frozenset(speakers(search(whole, 0, "test", held))["test"]) for held in range(8)}) > 6


@given(seed=st.integers(0, 1000), flips=st.lists(st.booleans(), min_size=12, max_size=12))
def test_who_is_held_out_does_not_follow_the_test_speakers_labels(seed, flips):
    """Unlike a stratified draw: as long as both classes stay in it, the test set may say what it will."""
    whole = sessions(20, 20, each=1)
    tested = hold_out(whole, 0.3, seed)["test"].table["speaker"]
    other = dict(zip(sorted(tested), flips, strict=True))
    truth = np.array([1 - t if other.get(s) else t for s, t in zip(whole.table["speaker"], whole.truth, strict=True)])
    relabelled = Units(whole.table, whole.segments, truth, whole.task)
    assume(len(set(truth[whole.table["speaker"].isin(set(tested)).to_numpy()])) == 2)
    assert set(hold_out(relabelled, 0.3, seed)["test"].table["speaker"]) == set(tested)


@pytest.mark.parametrize(
    ("contradiction", "told"),
    [
        ({"dev_fraction": 0.3}, "dev_fraction needs a holdout_seed"),
        ({"folds": 5}, "folds above 1 belong to leave_one_out and k_fold"),
        ({"scheme": "k_fold"}, "'k_fold' with 1 folds"),
        ({"inner_folds": 3}, "inner_folds, at least 2, belong"),
        ({"group": "conversation"}, "a drawn division is by speaker or by unit"),
        ({"group": "unit", "holdout_seed": 1}, "a holdout_seed holds speakers out"),
    ],
)
def test_a_protocol_that_contradicts_itself_is_refused_with_what_to_do(contradiction, told):
    with pytest.raises(ValueError, match=told):
        Protocol(**{"name": "x", "sentence": "", "source": "", "scheme": "drawn", **contradiction})


# Segments, whoever spoke them.


@given(healthy=st.integers(2, 60), depressed=st.integers(2, 60), seed=st.integers(0, 1000))
def test_a_draw_of_segments_has_each_in_one_set_and_either_class_with_the_same_share_of_both(healthy, depressed, seed):
    whole = units([[0] * healthy, [1] * depressed])
    sets = divide(whole, SEGMENTS_70_30, seed)
    assert list(sets) == ["train", "test"]
    assert sorted(unit for part in sets.values() for unit in part.table["unit"]) == sorted(whole.table["unit"])
    assert len(sets["test"].truth) == math.ceil(0.3 * (healthy + depressed))
    assert abs((sets["test"].truth == 1).sum() - 0.3 * depressed) <= 1.5


def test_a_draw_of_segments_has_every_speaker_on_both_sides_and_a_speakers_classes_are_no_hindrance():
    whole = units([[0] * 8, [1] * 8, [0, 1] * 4, [1, 0] * 4], "sentiment")
    for seed in range(20):
        sets = divide(whole, SEGMENTS_70_30, seed)
        assert [(part.truth == 1).sum() for part in sets.values()] == [11, 5]
    both = [speakers(divide(whole, SEGMENTS_70_30, seed)) for seed in range(20)]
    assert sum(len(found["train"] & found["test"]) == 4 for found in both) > 10


def test_a_class_of_one_segment_cannot_be_drawn():
    with pytest.raises(
        UserError, match=r"split by unit needs at least 2 units of each class.*found 6 healthy, 1 depressed.*add units"
    ):
        divide(units([[0] * 6, [1]]), SEGMENTS_70_30, 0)


# What a study restricts a protocol to.


def tasked(speakers=12):
    """Six units of each speaker: two in each of three valences, one of which is an interview's."""
    whole = sessions(speakers // 2, speakers // 2, each=6)
    number = whole.table.groupby("speaker").cumcount()
    told = {"stimulus": number.map(lambda n: VALENCES[n // 2]), "task": number.map(lambda n: ("interview", "reading")[n % 2])}
    return Units(whole.table.assign(**told), whole.segments, whole.truth, whole.task)


VALENCES = ("positive", "neutral", "negative")


def cell(protocol):
    return restricted(protocol, task="interview", stimulus=("neutral", "negative"))


@pytest.mark.parametrize("protocol", [SPEAKERS_70_30, SEGMENTS_70_30, SPEAKERS_5_FOLD], ids=lambda protocol: protocol.name)
def test_units_are_left_out_first_and_divided_then(protocol):
    whole = tasked()
    kept = whole.where(((whole.table["task"] == "interview") & (whole.table["stimulus"] != "positive")).to_numpy())
    for seed in range(3):
        found, expected = divide(whole, cell(protocol), seed), divide(kept, protocol, seed)
        assert {name: part.table["unit"].tolist() for name, part in found.items()} == {
            name: part.table["unit"].tolist() for name, part in expected.items()
        }
        assert sum(len(part.truth) for part in found.values()) == 24


def test_segments_of_one_task_and_valence_have_the_share_and_the_classes_that_all_have():
    sets = divide(tasked(40), restricted(SEGMENTS_70_30, task="interview", stimulus="negative"), 0)
    assert [np.bincount(part.truth).tolist() for part in sets.values()] == [[14, 14], [6, 6]]


def test_speakers_who_have_every_cell_are_the_same_ones_in_each():
    tested = {frozenset(speakers(divide(tasked(), restricted(SPEAKERS_70_30, stimulus=one), 3))["test"]) for one in VALENCES}
    assert len(tested) == 1


def test_a_restriction_is_part_of_the_digest_in_whatever_order_it_is_given_and_none_is_not():
    protocol = cell(SEGMENTS_70_30)
    assert protocol == restricted(SEGMENTS_70_30, stimulus=["negative", "neutral"], task=("interview",))
    assert protocol == restricted(restricted(SEGMENTS_70_30, task="interview"), stimulus=("neutral", "negative"))
    assert len({protocol.digest, SEGMENTS_70_30.digest, restricted(SEGMENTS_70_30, task="interview").digest}) == 3
    assert restricted(protocol, task="reading").restriction == "stimulus negative or neutral, task reading"
    assert restricted(SEGMENTS_70_30).digest == unrestricted(protocol).digest == SEGMENTS_70_30.digest
    assert (protocol.name, SEGMENTS_70_30.restriction) == ("segments-70-30", "")


def test_a_restriction_to_what_a_corpus_does_not_have_is_refused():
    for columns, told in (
        ({"style": "read"}, "keeps units by 'style'"),
        ({"task": ("sung", "dance")}, "no unit has task dance or sung"),
    ):
        with pytest.raises(UserError, match=told):
            divide(tasked(), restricted(SPEAKERS_70_30, **columns), 0)
    with pytest.raises(ValueError, match="no value of task"):
        restricted(SPEAKERS_70_30, task=())


# All of them.

DIVISIONS = {
    "segments": (lambda whole, seed: divide(whole, SEGMENTS_70_30, seed), units([[0, 1, 2, 3, 4]] * 12, "emotion5")),
    "stratified": (lambda whole, seed: divide(whole, SPEAKERS_70_30, seed), sessions(10, 10)),
    "drawn": (lambda whole, seed: divide(whole, SPEAKERS_70_30, seed), units([[0, 1, 2, 3, 4]] * 12, "emotion5")),
    "search": (search, sessions(15, 15)),
}


@pytest.mark.parametrize("kind", DIVISIONS)
def test_a_division_depends_on_the_seed_and_not_on_the_order_of_the_units(kind):
    division, whole = DIVISIONS[kind]
    for seed in range(5):
        assert named(division(whole, seed)) == named(division(shuffled(whole, seed), seed))
    assert len({str(sorted(named(division(whole, seed))["train"])) for seed in range(10)}) > 8


@pytest.mark.parametrize(
    ("protocol", "inner"),
    [(SPEAKERS_70_30, None), (OWN_SPLITS, None), (IEMOCAP_5_SESSIONS, None), (IEMOCAP_5_SESSIONS, 0), (SPEAKERS_5_FOLD, None)],
)
def test_a_division_changes_with_the_seed_where_it_is_said_to_be_drawn_by_it(protocol, inner):
    whole = units([[0, 1, 2, 3, 4]] * 10, "emotion5")
    rooms = whole.table["speaker"].map({f"s{number}": f"room{number // 2}" for number in range(10)})
    whole = Units(whole.table.assign(session=rooms), whole.segments, whole.truth, whole.task)
    found = {str(sorted(speakers(divide(whole, protocol, seed, inner=inner))["train"])) for seed in range(10)}
    assert (len(found) > 1) == drawn_by_seed(protocol)
