"""Contract of trainables/models/self_attention_pooling.py."""

from __future__ import annotations

import math

import pytest
import torch

from trainables.models.self_attention_pooling import SelfAttentionPooling

LENGTHS = torch.tensor([7, 3, 1])


def numbers(*shape, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64).to(dtype)


def pooling(size=4):
    layer = SelfAttentionPooling(size).double()
    torch.nn.init.normal_(layer.weight, generator=torch.Generator().manual_seed(1))
    return layer


def test_it_is_equation_1_as_a_slow_loop_over_utterances_and_steps_gives_it():
    layer, x = pooling().requires_grad_(False), numbers(3, 7, 4)
    pooled = layer(x, LENGTHS)
    for row, length in enumerate(LENGTHS.tolist()):
        powers = [math.exp(sum(float(w) * float(h) for w, h in zip(layer.weight, x[row, t], strict=True))) for t in range(length)]
        expected = sum(power / sum(powers) * x[row, t] for t, power in enumerate(powers))
        torch.testing.assert_close(pooled[row], expected)


def test_its_only_parameter_is_a_vector_that_begins_at_zero_and_then_it_is_the_mean_over_time():
    layer, x = SelfAttentionPooling(4).double(), numbers(3, 7, 4)
    assert {name: value.tolist() for name, value in layer.named_parameters()} == {"weight": [0.0] * 4}
    expected = torch.stack([x[row, :length].mean(dim=0) for row, length in enumerate(LENGTHS.tolist())])
    torch.testing.assert_close(layer(x, LENGTHS), expected)


def test_it_learns_from_where_it_begins():
    """The gradient at zero is the covariance of the vectors over time, times that of what is pooled."""
    layer, x = SelfAttentionPooling(4).double(), numbers(1, 7, 4)
    towards = numbers(4)
    (layer(x, LENGTHS[:1])[0] @ towards).backward()
    torch.testing.assert_close(layer.weight.grad, torch.cov(x[0].T, correction=0) @ towards)


def test_padded_rows_give_what_each_gives_alone_and_the_same_gradients():
    layer, x = pooling(), numbers(3, 7, 4).requires_grad_()
    together = layer(x, LENGTHS)
    alone = torch.cat([layer(x[row : row + 1, :length], LENGTHS[row : row + 1]) for row, length in enumerate(LENGTHS.tolist())])
    torch.testing.assert_close(together, alone, rtol=1e-12, atol=1e-12)
    gradients = [torch.autograd.grad(pooled.square().sum(), [x, layer.weight]) for pooled in (together, alone)]
    for found, expected in zip(*gradients, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("value", [1e30, torch.inf, torch.nan])
def test_what_stands_beyond_a_rows_length_has_no_influence(value):
    """On outputs and gradients."""
    layer, clean, found = pooling(), numbers(3, 7, 4), []
    beyond = (torch.arange(7) >= LENGTHS[:, None]).unsqueeze(-1)
    for x in (clean, clean.masked_fill(beyond, value)):
        x.requires_grad_()
        pooled = layer(x, LENGTHS)
        found.append([pooled, *torch.autograd.grad(pooled.square().sum(), [x, layer.weight])])
    assert all(torch.equal(before, after) for before, after in zip(*found, strict=True))


def test_the_pooled_vectors_have_the_gradient_of_their_formula():
    layer, x = pooling(), numbers(3, 7, 4).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda x, weight: torch.func.functional_call(layer, {"weight": weight}, (x, LENGTHS)), (x, layer.weight)
    )


def test_autocast_does_not_round_it():
    layer, x = pooling().float(), numbers(3, 7, 4, dtype=torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        rounded, exact = layer(x.bfloat16(), LENGTHS), layer(x, LENGTHS)
    assert torch.equal(exact, layer(x, LENGTHS))
    assert torch.equal(rounded, layer(x.bfloat16().float(), LENGTHS))


@pytest.mark.parametrize("length", [0, 8])
def test_a_length_that_cannot_be_is_refused(length):
    with pytest.raises(ValueError, match="lengths from 1 to 7"):
        pooling()(numbers(1, 7, 4), torch.tensor([length]))
