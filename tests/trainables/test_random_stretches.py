"""Contract of trainables/random_stretches.py."""

import numpy as np

from trainables.random_stretches import RandomStretches, stretches_of


def test_an_utterance_has_a_stretch_for_every_one_that_it_lasts_rounded_and_at_least_one():
    assert stretches_of(np.array([1, 10, 14, 16, 40]), 10).tolist() == [0, 1, 2, 3, 3, 4, 4, 4, 4]
    assert stretches_of(np.array([], dtype=np.int64), 10).tolist() == []


def test_a_stretch_begins_at_one_of_the_places_of_its_utterance():
    places = np.array([1, 5])
    drawn = RandomStretches(np.array([0, 1, 1, 1]), places, 2, 0)
    found = [pair for step in range(100) for pair in zip(*map(np.ndarray.tolist, drawn[step]), strict=True)]
    assert set(found) == {(0, 0)} | {(1, place) for place in range(5)}


def test_what_is_drawn_never_changes_for_results_depend_on_it():
    drawn = RandomStretches(stretches_of(np.array([30, 10, 20]), 10), np.array([21, 1, 11]), 3, 7)
    found = [[part.tolist() for part in drawn[step]] for step in (0, 1, 5)]
    assert found == [[[0, 1, 2], [2, 0, 4]], [[0, 0, 2], [9, 12, 0]], [[2, 2, 0], [1, 9, 17]]]
