"""Contract of trainables/features/buckets.py."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import pairwise

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from trainables.features.buckets import buckets

LENGTHS = st.lists(st.integers(1, 3000), min_size=1, max_size=80)
SHARES = st.sampled_from([Fraction(1, 100), Fraction(1, 10), Fraction(1, 4), Fraction(9, 10)])


def padded_share(lengths):
    """Of a bucket, without rounding."""
    return 1 - Fraction(sum(lengths), max(lengths) * len(lengths))


@given(LENGTHS)
@example([10, 8])  # exactly a tenth
@example([3000, 1])
@example([1] * 80)
def test_the_padded_share_of_every_bucket_is_below_a_tenth_whatever_the_lengths(lengths):
    found = torch.tensor(lengths)
    for bucket in buckets(found):
        assert padded_share(found[bucket].tolist()) < Fraction(1, 10)


@given(LENGTHS, SHARES)
def test_another_share_is_kept_to_as_well(lengths, share):
    found = torch.tensor(lengths)
    assert all(padded_share(found[bucket].tolist()) < share for bucket in buckets(found, float(share)))


@given(LENGTHS, SHARES)
def test_every_sequence_is_in_one_bucket_and_they_go_from_the_longest_to_the_shortest(lengths, share):
    order = torch.cat(buckets(torch.tensor(lengths), float(share))).tolist()
    assert order == sorted(range(len(lengths)), key=lambda number: -lengths[number])


@given(LENGTHS, SHARES)
def test_each_bucket_takes_as_many_as_it_may(lengths, share):
    """One sequence more, the first of the next bucket, and its padding would reach the share."""
    found = torch.tensor(lengths)
    divided = [found[bucket].tolist() for bucket in buckets(found, float(share))]
    for bucket, after in pairwise(divided):
        assert padded_share([*bucket, after[0]]) >= share


@given(st.lists(st.integers(50, 500), min_size=1, max_size=2000))
def test_however_many_sequences_between_one_second_and_ten_there_are_they_need_at_most_22_buckets(lengths):
    assert len(buckets(torch.tensor(lengths))) <= 1 + math.floor(math.log(10) / math.log(1 / 0.9)) == 22


def test_sequences_of_one_length_are_one_bucket():
    assert [bucket.tolist() for bucket in buckets(torch.full((5,), 7))] == [[0, 1, 2, 3, 4]]


def test_of_nothing_there_are_no_buckets():
    assert buckets(torch.tensor([], dtype=torch.int64)) == []


def test_a_sequence_without_frames_is_refused():
    with pytest.raises(ValueError, match="at least 1"):
        buckets(torch.tensor([3, 0]))


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1])
def test_a_share_that_cannot_be_is_refused(share):
    with pytest.raises(ValueError, match="between 0 and 1"):
        buckets(torch.tensor([3]), share)
