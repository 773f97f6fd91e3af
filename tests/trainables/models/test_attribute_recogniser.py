"""The attention-based emotion recogniser against a loop over frames and heads; padding, degenerate utterances, memory."""

import math

import pytest
import torch

from trainables.models.attribute_recogniser import AttributeRecogniser, mean_and_deviation


def recogniser(**settings):
    torch.manual_seed(0)
    found = AttributeRecogniser(**{"dimensions": 5, "size": 6, "heads": 3, **settings}).eval()
    found.set_statistics("frames", torch.linspace(-1, 1, 5), torch.linspace(0.5, 2, 5))
    found.set_statistics("attributes", torch.tensor([3.0, 2.0, 4.0]), torch.tensor([0.5, 1.0, 2.0]))
    return found


def by_loops(model, utterance):
    """The slides' formula, frame by frame and head by head, in float64."""
    model = model.double()
    frames = [(frame - model.frames_mean) / model.frames_scale for frame in utterance.double()]
    query, key, value = (matrix.chunk(model.heads) for matrix in model.projections.weight.chunk(3))
    rows = []
    for here in frames:
        heads = []
        for w_q, w_k, w_v in zip(query, key, value, strict=True):
            scores = [((w_q @ here) @ (w_k @ there)).item() / math.sqrt(len(w_k)) for there in frames]
            total = sum(math.exp(score) for score in scores)
            heads.append(sum(math.exp(score) / total * (w_v @ there) for score, there in zip(scores, frames, strict=True)))
        rows.append(model.output.weight @ torch.cat(heads))
    mean = sum(rows) / len(rows)
    deviation = (sum((row - mean) ** 2 for row in rows) / len(rows)).sqrt()
    said = model.attributes.weight @ torch.cat([mean, deviation]) + model.attributes.bias
    return (said * model.attributes_scale + model.attributes_mean).detach()


def test_it_is_the_slides_formula():
    utterances = [torch.randn(length, 5, generator=torch.Generator().manual_seed(length)) * 3 for length in (7, 2, 4)]
    padded = torch.nn.utils.rnn.pad_sequence(utterances, batch_first=True)
    found = recogniser()(padded, torch.tensor([7, 2, 4])).detach()
    expected = torch.stack([by_loops(recogniser(), utterance) for utterance in utterances])
    assert found.double() == pytest.approx(expected, abs=1e-5)
    assert found.double() != pytest.approx(expected.flip(0), abs=0.1), "or the utterances could not be told apart"


def test_what_stands_beyond_an_utterance_has_no_influence_on_it_or_on_the_gradient():
    model, utterance = recogniser(), torch.randn(1, 4, 5)
    grads = []
    for batch in (utterance, torch.cat([utterance, torch.full((1, 3, 5), torch.nan)], dim=1)):
        model.zero_grad()
        said = model(batch, torch.tensor([4]))
        said.sum().backward()
        grads.append([said.detach(), *(parameter.grad for parameter in model.parameters())])
    for alone, padded in zip(*grads, strict=True):
        torch.testing.assert_close(padded, alone)


@pytest.mark.parametrize("frames", [torch.randn(1, 1, 5), torch.ones(1, 6, 5)], ids=["one frame", "constant"])
def test_an_utterance_without_any_deviation_gives_finite_attributes_and_gradients(frames):
    model, frames = recogniser(), frames.clone().requires_grad_()
    said = model(frames, torch.tensor([frames.shape[1]]))
    said.square().sum().backward()
    assert said.isfinite().all()
    assert frames.grad.isfinite().all()
    assert frames.grad.any()
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())


def test_mean_and_deviation_are_of_the_frames_that_are_present():
    vectors = torch.randn(2, 5, 3) + 100
    found = mean_and_deviation(vectors, torch.arange(5) < torch.tensor([[5], [3]]))
    for row, count in zip(range(2), (5, 3), strict=True):
        alone = vectors[row, :count]
        torch.testing.assert_close(found[row], torch.cat([alone.mean(dim=0), alone.std(dim=0, correction=0)]))


def test_frames_in_another_order_say_the_same():
    """No position is encoded: the order is the contexts' to tell."""
    model, frames = recogniser(), torch.randn(1, 6, 5)
    torch.testing.assert_close(model(frames.flip(1), torch.tensor([6])), model(frames, torch.tensor([6])))


def test_under_autocast_attributes_stay_in_float32():
    model, frames = recogniser(), torch.randn(3, 6, 5)
    exact = model(frames, torch.tensor([6, 6, 6]))
    with torch.autocast("cpu", torch.bfloat16):
        found = model(frames, torch.tensor([6, 6, 6]))
    assert found.dtype == torch.float32
    assert not torch.equal(found, exact), "or attention was not autocast"
    torch.testing.assert_close(found, exact, atol=0.05, rtol=0)


def test_no_square_of_the_frames_is_held_for_the_gradient():
    """What autograd keeps of 4,000 frames is far below one head's 4,000 * 4,000 values."""
    model, kept = recogniser(), []

    def keep(tensor):
        kept.append(tensor.untyped_storage().nbytes())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        model(torch.randn(1, 4000, 5), torch.tensor([3990]))
    assert 0 < sum(kept) < 4000 * 4000
