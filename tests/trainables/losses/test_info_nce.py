"""Contract of trainables.losses.info_nce, against the slides' equation written as loops."""

from __future__ import annotations

import math

import pytest
import torch

from trainables.errors import UserError
from trainables.losses.info_nce import draw_negatives, info_nce

SOURCES = ("batch", "others", "utterance")
LENGTHS = torch.tensor([7, 3, 1, 6])  # of 4 steps, two chunks lack the late ones and one has none
STEPS = 4


def drawn(source, lengths=LENGTHS, count=9, seed=0):
    return draw_negatives(lengths, count, source, torch.Generator().manual_seed(seed))


def batch(lengths=LENGTHS, steps=STEPS, size=5, seed=0, dtype=torch.float64):
    """Predictions and embeddings; what they hold in the padding is neither 0 nor small."""
    generator = torch.Generator().manual_seed(seed)
    chunks, frames = len(lengths), int(lengths.max())
    predicted = torch.randn(chunks, frames, steps, size, generator=generator, dtype=dtype)
    embeddings = torch.randn(chunks, frames, size, generator=generator, dtype=dtype)
    for chunk, length in enumerate(lengths):
        predicted[chunk, length:] = 30
        embeddings[chunk, length:] = -20
    return predicted.requires_grad_(), embeddings.requires_grad_()


def term(zhat, positive, negatives):
    """The slide's equation for one query: the sum in the denominator goes over the negatives."""
    score = torch.exp(zhat @ positive)
    return -torch.log(score / (score + sum(torch.exp(zhat @ negative) for negative in negatives)))


def in_loops(predicted, embeddings, lengths, negatives):
    """Mean loss ``[K]`` and share of queries told right ``[K]`` of each step, query by query."""
    chunks, frames, steps, _ = predicted.shape
    losses, rights = [], []
    for k in range(1, steps + 1):
        terms, right = [], []
        for b in range(chunks):
            pool = [divmod(number, frames) for number in negatives[b if len(negatives) > 1 else 0].tolist()]
            for i in range(int(lengths[b]) - k):
                zhat, positive = predicted[b, i, k - 1], embeddings[b, i + k]
                others = [embeddings[place] for place in pool if place != (b, i + k)]
                terms.append(term(zhat, positive, others))
                right.append(all(zhat @ positive > zhat @ other for other in others))
        losses.append(sum(terms) / len(terms))
        rights.append(sum(right) / len(right))
    return torch.stack(losses), torch.tensor(rights, dtype=predicted.dtype)


@pytest.mark.parametrize("source", SOURCES)
def test_loss_accuracy_and_gradient_are_those_of_a_loop_over_chunks_frames_steps_and_negatives(source):
    """Of chunks of unequal length, one of them of a single frame, with negatives that are the frame to be predicted."""
    predicted, embeddings = batch()
    negatives = drawn(source, count=20)
    found = info_nce(predicted, embeddings, LENGTHS, negatives)
    losses, rights = in_loops(predicted, embeddings, LENGTHS, negatives)
    torch.testing.assert_close(found.per_step_loss, losses.detach(), rtol=1e-12, atol=0)
    torch.testing.assert_close(found.per_step_accuracy, rights, rtol=1e-12, atol=0)
    assert found.loss.item() == pytest.approx(losses.mean().item(), rel=1e-12)
    assert found.accuracy.item() == pytest.approx(rights.mean().item(), rel=1e-12)
    expected = torch.autograd.grad(losses.mean(), (predicted, embeddings))
    for mine, theirs in zip(torch.autograd.grad(found.loss, (predicted, embeddings)), expected, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("source", SOURCES)
def test_what_padding_holds_is_never_used(source):
    predicted, embeddings = batch()
    negatives = drawn(source)
    found = info_nce(predicted, embeddings, LENGTHS, negatives)
    found.loss.backward()
    again, others = predicted.detach().clone(), embeddings.detach().clone()
    for chunk, length in enumerate(LENGTHS):
        again[chunk, length:], others[chunk, length:] = -4, 50
        assert not predicted.grad[chunk, length:].any()
        assert not embeddings.grad[chunk, length:].any()
    assert all(torch.equal(mine, theirs) for mine, theirs in zip(found, info_nce(again, others, LENGTHS, negatives), strict=True))


@pytest.mark.parametrize("source", SOURCES)
def test_the_parts_of_workers_sum_to_the_whole_batch(source):
    predicted, embeddings = batch()
    negatives = drawn(source)
    whole = info_nce(predicted, embeddings, LENGTHS, negatives)
    shares = (slice(0, 1), slice(1, 4))
    parts = [info_nce(predicted[share], embeddings, LENGTHS, negatives, first=share.start) for share in shares]
    for mine, *theirs in zip(whole, *parts, strict=True):
        torch.testing.assert_close(mine, sum(theirs), rtol=1e-12, atol=1e-15)


def test_a_negative_that_is_the_frame_to_be_predicted_is_left_out_of_the_sum():
    predicted, embeddings = batch(torch.tensor([2]), steps=1)
    alone = info_nce(predicted, embeddings, torch.tensor([2]), torch.tensor([[1, 0, 1]]))
    expected = term(predicted[0, 0, 0], embeddings[0, 1], [embeddings[0, 0]])
    assert alone.loss.item() == pytest.approx(expected.item(), rel=1e-12)


def test_a_query_without_a_negative_left_costs_nothing_is_not_told_right_and_has_a_finite_gradient():
    predicted, embeddings = batch(torch.tensor([2]), steps=1)
    found = info_nce(predicted, embeddings, torch.tensor([2]), torch.tensor([[1, 1]]))
    found.loss.backward()
    assert found.loss.item() == 0
    assert found.accuracy.item() == 0
    assert not predicted.grad.any()
    assert not embeddings.grad.any()


def test_equal_embeddings_cost_the_logarithm_of_the_choice_and_none_of_them_is_told_right():
    lengths = torch.tensor([6, 6])
    ones = torch.ones(2, 6, 3)
    found = info_nce(
        ones[:, :, None].repeat(1, 1, STEPS, 1), ones, lengths, torch.tensor([[0, 0, 6, 6]])
    )  # no first frame is asked
    assert found.loss.item() == pytest.approx(math.log(5), rel=1e-6)
    assert found.per_step_loss.tolist() == pytest.approx([math.log(5)] * STEPS, rel=1e-6)
    assert found.accuracy.item() == 0


def test_steps_that_no_chunk_is_long_enough_for_do_not_count():
    lengths = torch.tensor([3, 2])
    predicted, embeddings = batch(lengths)
    negatives = drawn("others", lengths)
    found = info_nce(predicted, embeddings, lengths, negatives)
    expected, _ = in_loops(predicted[:, :, :2], embeddings, lengths, negatives)
    assert found.loss.item() == pytest.approx(expected.mean().item(), rel=1e-12)
    assert found.per_step_loss.tolist()[2:] == [0, 0]


def test_a_batch_without_any_query_has_loss_0_and_gradient_0():
    lengths = torch.tensor([1, 1])
    predicted, embeddings = batch(lengths)
    found = info_nce(predicted, embeddings, lengths, drawn("batch", lengths))
    found.loss.backward()
    assert found.loss.item() == found.accuracy.item() == 0
    assert not predicted.grad.any()
    assert not embeddings.grad.any()


def test_scores_beyond_the_range_of_exp_are_no_trouble():
    lengths = torch.tensor([3])
    for positive, expected in ((1e4, 0.0), (-1e4, 1e4)):
        predicted = torch.full((1, 3, 1, 1), positive, requires_grad=True)
        embeddings = torch.tensor([[[0.0], [1.0], [1.0]]], requires_grad=True)
        found = info_nce(predicted, embeddings, lengths, torch.tensor([[0]]))
        found.loss.backward()
        assert found.loss.item() == pytest.approx(expected, rel=1e-6)
        assert predicted.grad.isfinite().all()
        assert embeddings.grad.isfinite().all()


def test_the_loss_is_computed_in_float32_under_autocast():
    predicted, embeddings = batch(dtype=torch.float32)
    negatives = drawn("others")
    plain = info_nce(predicted, embeddings, LENGTHS, negatives)
    with torch.autocast("cpu", torch.bfloat16):
        within = info_nce(predicted, embeddings, LENGTHS, negatives)
        halved = info_nce(predicted.bfloat16(), embeddings.bfloat16(), LENGTHS, negatives)
    assert all(torch.equal(mine, theirs) for mine, theirs in zip(plain, within, strict=True))
    assert halved.loss.dtype == torch.float32
    again = info_nce(predicted.bfloat16().float(), embeddings.bfloat16().float(), LENGTHS, negatives)
    assert halved.loss.item() == again.loss.item()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"lengths": torch.tensor([7, 3, 1])}, "expected 4 lengths, the longest 7"),
        ({"lengths": torch.tensor([6, 3, 1, 6])}, "expected 4 lengths, the longest 7"),
        ({"negatives": torch.zeros(2, 9, dtype=torch.long)}, r"expected negatives \[1, N\] or \[4, N\], found \[2, 9\]"),
        ({"first": 1}, "expected predictions of chunks among the batch's"),
        ({"predicted": torch.zeros(4, 7, STEPS, 6)}, "expected predictions of chunks among the batch's"),
    ],
)
def test_shapes_that_do_not_fit_each_other_are_refused(changes, told):
    predicted, embeddings = batch()
    given = {"predicted": predicted, "embeddings": embeddings, "lengths": LENGTHS, "negatives": drawn("batch"), "first": 0}
    with pytest.raises(ValueError, match=told):
        info_nce(**given | changes)


@pytest.mark.parametrize("source", SOURCES)
def test_negatives_are_frames_of_the_right_chunks_and_never_padding(source):
    negatives = drawn(source, count=2000)
    chunks, places = negatives // 7, negatives % 7
    assert (places < LENGTHS[chunks]).all()
    own = torch.arange(4)[:, None]
    if source == "batch":
        assert negatives.shape == (1, 2000)
    else:
        assert negatives.shape == (4, 2000)
        assert (chunks == own).all() if source == "utterance" else (chunks != own).all()


@pytest.mark.parametrize("source", SOURCES)
def test_each_frame_of_a_pool_is_drawn_equally_often(source):
    """Within four deviations of a binomial, of every frame of every pool."""
    count = 20000
    for chunk, pool in enumerate(drawn(source, count=count)):
        own = [7 * chunk + place for place in range(int(LENGTHS[chunk]))]
        frames = {7 * other + place for other in range(4) for place in range(int(LENGTHS[other]))}
        frames = {"batch": frames, "others": frames - set(own), "utterance": set(own)}[source]
        counts = torch.bincount(pool, minlength=28)
        assert set(counts.nonzero().flatten().tolist()) == frames
        share = 1 / len(frames)
        deviation = math.sqrt(count * share * (1 - share))
        assert all(abs(int(counts[frame]) - count * share) <= 4 * deviation for frame in frames)


@pytest.mark.parametrize("source", SOURCES)
def test_what_is_drawn_depends_on_the_generator_alone(source):
    assert torch.equal(drawn(source, seed=3), drawn(source, seed=3))
    assert not torch.equal(drawn(source, seed=3), drawn(source, seed=4))


def test_other_chunks_of_a_batch_of_one_are_refused_in_words():
    with pytest.raises(UserError, match=r"negatives_from='others'.*the batch has one chunk; give a batch_size of at least 2"):
        drawn("others", torch.tensor([5]))


@pytest.mark.parametrize("lengths", [[], [3, 0]])
def test_empty_chunks_are_refused(lengths):
    with pytest.raises(ValueError, match="expected chunks of at least one frame"):
        drawn("batch", torch.tensor(lengths, dtype=torch.long))
