"""Contract of trainables.models.batch_norm, on two gloo processes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from tests.trainables.gloo_ranks import run_on_ranks
from trainables.models.batch_norm import synchronise_batch_norm

SHAPES = {
    "2d": (nn.BatchNorm1d, (9, 5)),
    "4d": (nn.BatchNorm2d, (9, 5, 4, 3)),
    "channels_last": (nn.BatchNorm2d, (9, 5, 4, 3)),
}
SHARES = (slice(0, 6), slice(6, 9))  # of unequal size


def layer_and_data(name):
    generator = torch.Generator().manual_seed(0)
    kind, shape = SHAPES[name]
    layer = nn.Sequential(kind(5))
    with torch.no_grad():
        layer[0].weight.copy_(torch.rand(5, generator=generator) + 0.5)
        layer[0].bias.copy_(torch.randn(5, generator=generator))
    # Like dB values: a mean far from 0, which a variance by squares would lose digits to.
    x = torch.randn(shape, generator=generator) * 3 - 60
    if name == "channels_last":
        x = x.to(memory_format=torch.channels_last)
    return layer, x, torch.randn(shape, generator=generator)


def apply(layer, x, weights):
    """Two training passes and one in evaluation; outputs, gradients of the second pass, and what the layer remembers."""
    layer(x * 2)
    x = x.clone().requires_grad_()
    output = layer(x)
    (output * weights).sum().backward()
    found = {"output": output.detach(), "input_gradient": x.grad, "evaluation": layer.eval()(x.detach())}
    found |= {f"{name}_gradient": value.grad for name, value in layer.named_parameters()}
    return found | {name: value.clone() for name, value in layer.named_buffers()}


def one_rank(rank, world_size, directory):
    for name in SHAPES:
        layer, x, weights = layer_and_data(name)
        layer = synchronise_batch_norm(layer, torch.device("cpu"))
        torch.save(apply(layer, x[SHARES[rank]], weights[SHARES[rank]]), directory / f"{name}-{rank}.pt")
    layer, x, weights = layer_and_data("4d")
    layer = synchronise_batch_norm(layer, torch.device("cpu"))
    torch.save(apply(layer, x.bfloat16(), weights), directory / f"bfloat16-{rank}.pt")


@pytest.fixture(scope="module")
def ranks(tmp_path_factory) -> Path:
    directory = tmp_path_factory.mktemp("batch_norm")
    run_on_ranks(one_rank, 2, directory, directory)
    return directory


@pytest.mark.parametrize("name", SHAPES)
def test_two_ranks_equal_batch_norm_of_the_whole_batch(ranks, name):
    """In outputs, running statistics, and the gradients of the input, weight and bias."""
    first, second = (torch.load(ranks / f"{name}-{rank}.pt", weights_only=True) for rank in range(2))
    for key, expected in apply(*layer_and_data(name)).items():
        if key in ("output", "input_gradient", "evaluation"):
            found = torch.cat([first[key], second[key]])
        elif key.endswith("gradient"):
            found = first[key] + second[key]
        else:
            found = first[key]
            assert torch.equal(first[key], second[key])
        torch.testing.assert_close(found, expected, rtol=2e-5, atol=2e-5, msg=lambda text, key=key: f"{key}: {text}")


def test_bfloat16_input_as_in_autocast_keeps_float32_statistics(ranks):
    found = torch.load(ranks / "bfloat16-0.pt", weights_only=True)
    assert found["output"].dtype == found["input_gradient"].dtype == torch.bfloat16
    assert found["0.weight_gradient"].dtype == found["0.running_mean"].dtype == torch.float32
