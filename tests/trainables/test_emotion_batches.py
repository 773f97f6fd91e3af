"""Contract of the paper's sampler: what is in a batch, what is drawn how often, what is refused."""

from __future__ import annotations

from collections import Counter
from itertools import chain

import numpy as np
import pytest
import torch
from scipy.stats import binomtest, chisquare

from trainables.emotion_batches import EmotionBatches
from trainables.errors import UserError

ENGLISH = {"angry": 40, "happy": 60, "sad": 30, "neutral": 90}
CHINESE = {"angry": 30, "happy": 30, "sad": 30, "neutral": 30, "fearful": 30, "surprised": 30}


def words(seed=0, **counts):
    """The emotions of one source, so many of each, in no order."""
    found = np.array(list(chain.from_iterable([word] * count for word, count in counts.items())), dtype=object)
    return np.random.default_rng(seed).permutation(found)


def sources(*counts):
    return [words(number, **own) for number, own in enumerate(counts)]


def contents(emotions, places):
    """Of each source, the emotions at the places that are its own."""
    of_source = np.repeat(np.arange(len(emotions)), [len(own) for own in emotions])[places]
    return [Counter(np.concatenate(emotions)[places][of_source == number].tolist()) for number in range(len(emotions))]


def test_of_two_sources_with_e_each_gives_a_quarter_of_the_batch_as_positives_and_a_quarter_as_negatives():
    """Figure 2."""
    emotions = sources(ENGLISH, CHINESE)
    batches = EmotionBatches(emotions, 32, seed=0)
    seen = [batch for batch in map(batches.__getitem__, range(60)) if batch.emotion in ENGLISH]
    assert {batch.emotion for batch in seen} == set(ENGLISH)
    for batch in seen:
        assert contents(emotions, batch.positives) == [{batch.emotion: 8}, {batch.emotion: 8}]
        negatives = contents(emotions, batch.negatives)
        assert [sum(own.values()) for own in negatives] == [8, 8]
        assert all(batch.emotion not in own for own in negatives)


def test_the_only_source_with_e_gives_half_the_batch_as_positives_and_both_give_negatives():
    """Figure 3."""
    emotions = sources(ENGLISH, CHINESE)
    batches = EmotionBatches(emotions, 32, seed=0)
    seen = [batch for batch in map(batches.__getitem__, range(60)) if batch.emotion not in ENGLISH]
    assert {batch.emotion for batch in seen} == {"fearful", "surprised"}
    for batch in seen:
        assert contents(emotions, batch.positives) == [{}, {batch.emotion: 16}]
        assert [sum(own.values()) for own in contents(emotions, batch.negatives)] == [8, 8]


def test_the_halves_of_the_positives_are_of_two_corpora_where_both_have_e():
    batches = EmotionBatches(sources(ENGLISH, CHINESE), 32, seed=0)
    for batch in (batch for batch in map(batches.__getitem__, range(20)) if batch.emotion in ENGLISH):
        first, second = batch.positives.chunk(2)
        assert first.max() < sum(ENGLISH.values()) <= second.min()


def test_the_negatives_at_the_places_of_one_sources_positives_are_of_both_sources():
    """Or the cosine margin loss would never part emotions across corpora: half of its pairs are, but for chance."""
    batches = EmotionBatches(sources(ENGLISH, CHINESE), 32, seed=0)
    own = torch.cat([batches[step].negatives[:8] < sum(ENGLISH.values()) for step in range(200)])
    assert binomtest(int(own.sum()), len(own), 0.5).pvalue > 0.001


@pytest.mark.parametrize("count", [1, 2, 3])
def test_no_utterance_is_twice_in_a_batch(count):
    emotions = sources(*[{"angry": 6, "happy": 6, "sad": 5}] * count)
    batches = EmotionBatches(emotions, 8, seed=1)
    for step in range(50):
        both = torch.cat(batches[step][:2])
        assert (len(both), both.dtype) == (8, torch.int64)
        assert len(both.unique()) == 8


def test_one_source_gives_all_positives_and_all_negatives():
    emotions = sources(ENGLISH)
    batch = EmotionBatches(emotions, 32, seed=0)[0]
    assert contents(emotions, batch.positives) == [{batch.emotion: 16}]
    assert (np.concatenate(emotions)[batch.negatives] != batch.emotion).all()


def test_three_sources_share_positives_and_negatives_as_equally_as_they_can_and_none_has_more_in_the_long_run():
    emotions = sources({"angry": 20, "sad": 20}, {"angry": 200, "sad": 90}, {"angry": 30, "sad": 500})
    batches = EmotionBatches(emotions, 32, seed=0)
    totals = np.zeros((2, 3))
    for step in range(300):
        shares = [[sum(own.values()) for own in contents(emotions, places)] for places in batches[step][:2]]
        assert [sorted(own) for own in shares] == [[5, 5, 6], [5, 5, 6]]
        totals += shares
    assert all(chisquare(own - 5 * 300).pvalue > 0.001 for own in totals), "the sixteenth one is drawn anew"


def test_of_three_sources_two_of_which_have_e_these_two_give_the_positives_and_all_the_negatives():
    emotions = sources({"bored": 30, "sad": 5}, {"sad": 30}, {"bored": 30, "sad": 5})
    batch = next(batch for batch in map(EmotionBatches(emotions, 24, seed=0).__getitem__, range(50)) if batch.emotion == "bored")
    assert contents(emotions, batch.positives) == [{"bored": 6}, {}, {"bored": 6}]
    assert contents(emotions, batch.negatives) == [{"sad": 4}] * 3


def test_a_source_that_has_fewer_than_its_share_gives_all_it_has_and_the_others_fill_up():
    emotions = sources({"angry": 3, "sad": 2}, {"angry": 40, "sad": 3}, {"angry": 40, "sad": 40})
    batches = EmotionBatches(emotions, 32, seed=0)
    batch = next(batch for batch in map(batches.__getitem__, range(50)) if batch.emotion == "angry")
    positives = contents(emotions, batch.positives)
    assert positives[0] == {"angry": 3}
    assert sorted(own["angry"] for own in positives[1:]) == [6, 7]
    assert contents(emotions, batch.negatives) == [{"sad": 2}, {"sad": 3}, {"sad": 11}]


def test_a_source_without_any_other_emotion_gives_no_negatives_and_the_others_fill_up():
    emotions = sources({"angry": 40}, {"angry": 20, "sad": 16})
    batches = EmotionBatches(emotions, 32, seed=0)
    batch = next(batch for batch in map(batches.__getitem__, range(50)) if batch.emotion == "angry")
    assert contents(emotions, batch.positives) == [{"angry": 8}, {"angry": 8}]
    assert contents(emotions, batch.negatives) == [{}, {"sad": 16}]


def test_emotions_are_equally_likely_however_many_utterances_they_have():
    batches = EmotionBatches(sources({"angry": 500, "sad": 16, "happy": 100}, {"fearful": 30}), 32, seed=5)
    drawn = Counter(batches[step].emotion for step in range(2000))
    assert set(drawn) == {"angry", "fearful", "happy", "sad"}
    assert chisquare(list(drawn.values())).pvalue > 0.001


def test_the_utterances_of_a_source_are_equally_likely_too():
    batches = EmotionBatches(sources({"angry": 20, "sad": 20}), 16, seed=2)
    drawn = torch.cat([torch.cat(batches[step][:2]) for step in range(2000)]).bincount(minlength=40)
    # Draws without repetition within a batch vary less than a multinomial's, so the p-value is high rather than uniform.
    assert chisquare(drawn.numpy()).pvalue > 0.001


def test_an_emotion_that_cannot_fill_the_positives_is_never_drawn_and_still_is_a_negative():
    emotions = sources({"angry": 30, "sad": 30, "disgusted": 8}, {"angry": 30, "disgusted": 7})
    batches = EmotionBatches(emotions, 32, seed=0)
    assert batches.too_rare == ("disgusted",)
    seen = [batches[step] for step in range(100)]
    assert {batch.emotion for batch in seen} == {"angry", "sad"}
    assert (np.concatenate(emotions)[torch.cat([batch.negatives for batch in seen])] == "disgusted").any()
    enough = EmotionBatches(sources({"angry": 30, "sad": 30, "disgusted": 8}, {"angry": 30, "disgusted": 8}), 32, seed=0)
    assert enough.too_rare == (), "sources are counted together"


def test_a_batch_is_a_function_of_seed_and_step_whatever_was_drawn_before():
    emotions = sources(ENGLISH, CHINESE)
    first, resumed = EmotionBatches(emotions, 16, seed=3), EmotionBatches(emotions, 16, seed=3)
    whole = [first[step] for step in range(10)]
    torch.manual_seed(99)
    for step in (7, 8, 9, 0):
        assert all(torch.equal(a, b) for a, b in zip(resumed[step][:2], whole[step][:2], strict=True))
        assert resumed[step].emotion == whole[step].emotion
    other = EmotionBatches(emotions, 16, seed=4)
    assert any(not torch.equal(whole[step].negatives, other[step].negatives) for step in range(10))
    assert any(not torch.equal(whole[0].negatives, batch.negatives) for batch in whole[1:])


@pytest.mark.parametrize("world_size", [1, 2, 4, 8])
def test_the_workers_parts_are_equal_and_put_together_they_are_the_batch_in_its_order(world_size):
    batch = EmotionBatches(sources(ENGLISH, CHINESE), 32, seed=0)[0]
    parts = [batch.share(rank, world_size) for rank in range(world_size)]
    assert {(len(part.positives), len(part.negatives)) for part in parts} == {(16 // world_size, 16 // world_size)}
    assert torch.equal(torch.cat([part.positives for part in parts]), batch.positives)
    assert torch.equal(torch.cat([part.negatives for part in parts]), batch.negatives)
    assert {part.emotion for part in parts} == {batch.emotion}


def test_a_batch_that_cannot_be_shared_equally_is_refused():
    batch = EmotionBatches(sources(ENGLISH), 32, seed=0)[0]
    with pytest.raises(ValueError, match="16 positives cannot be shared equally by 3 workers"):
        batch.share(0, 3)


@pytest.mark.parametrize(("batch_size", "steps"), [(4, 100), (32, 12), (200, 2)])
def test_an_epoch_is_as_many_batches_as_the_utterances_fill(batch_size, steps):
    assert EmotionBatches(sources({"angry": 100, "sad": 100}, {"angry": 100, "sad": 100}), batch_size, 0).steps_per_epoch == steps


def test_an_epoch_has_a_batch_even_where_the_utterances_do_not_fill_one():
    assert EmotionBatches(sources({"angry": 4, "sad": 3}), 4, seed=0).steps_per_epoch == 1
    assert EmotionBatches(sources({"angry": 2, "sad": 1, "happy": 1}, {"happy": 1}), 4, seed=0).steps_per_epoch == 1


@pytest.mark.parametrize(("batch_size", "nearest"), [(30, "28 or 32"), (33, "32 or 36"), (2, "4"), (0, "4"), (-4, "4")])
def test_a_batch_size_that_is_no_multiple_of_4_is_refused_with_the_nearest(batch_size, nearest):
    with pytest.raises(UserError, match=rf"batch_size={batch_size}: .* give a multiple of 4: {nearest}$"):
        EmotionBatches(sources(ENGLISH), batch_size, seed=0)


def test_where_every_emotion_is_too_rare_the_counts_and_the_largest_batch_are_told():
    counts = {"angry": 7, "sad": 5}, {"angry": 6}
    with pytest.raises(UserError) as fault:
        EmotionBatches(sources(*counts), 32, seed=0)
    assert str(fault.value) == (
        "batches of 32 need 16 training utterances of one emotion; found 13 angry, 5 sad: add utterances, or give a batch size of "
        "at most 8"
    )
    assert EmotionBatches(sources(*counts), 8, seed=0).too_rare == ()
    with pytest.raises(UserError):
        EmotionBatches(sources(*counts), 12, seed=0)


def test_where_beside_an_emotion_there_are_too_few_others_the_counts_and_the_largest_batch_are_told():
    counts = {"angry": 20, "sad": 9}, {"angry": 20}
    with pytest.raises(UserError) as fault:
        EmotionBatches(sources(*counts), 32, seed=0)
    assert str(fault.value) == (
        "batches of 32 need 16 training utterances of other emotions beside 'angry'; found 40 angry, 9 sad: add utterances, or "
        "give a batch size of at most 16"
    )
    assert EmotionBatches(sources(*counts), 16, seed=0).too_rare == ()


@pytest.mark.parametrize("counts", [{"angry": 1, "sad": 1}, {"angry": 40}, {"angry": 40, "sad": 1}])
def test_where_no_batch_can_be_made_no_size_is_recommended(counts):
    with pytest.raises(UserError, match=r"add utterances$"):
        EmotionBatches(sources(counts), 32, seed=0)
