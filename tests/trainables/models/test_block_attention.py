"""Contract of trainables.models.block_attention."""

from __future__ import annotations

import math

import pytest
import torch

from trainables.models.block_attention import BlockAttention, ChannelAttention, SpatialAttention


def image(batch=2, channels=32, height=5, width=3):
    shape = (batch, channels, height, width)
    return torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def drawn(module):
    """With weights and offsets that are nowhere 0."""
    torch.manual_seed(0)
    for value in module.parameters():
        torch.nn.init.normal_(value)
    return module.double()


def sigmoid(value):
    return 1 / (1 + math.exp(-value))


def slow_channel_weights(x, module):
    """Equation 2 of Woo et al., number by number: ``[B][C]``."""
    (w0, b0), (w1, b1) = ((layer.weight.tolist(), layer.bias.tolist()) for layer in (module.mlp[0], module.mlp[2]))

    def mlp(pooled):
        rectified = [max(0.0, sum(w * v for w, v in zip(row, pooled, strict=True)) + b) for row, b in zip(w0, b0, strict=True)]
        return [sum(w * v for w, v in zip(row, rectified, strict=True)) + b for row, b in zip(w1, b1, strict=True)]

    weights = []
    for one in x.tolist():
        places = [[value for row in channel for value in row] for channel in one]
        mean, greatest = mlp([sum(values) / len(values) for values in places]), mlp([max(values) for values in places])
        weights.append([sigmoid(a + b) for a, b in zip(mean, greatest, strict=True)])
    return torch.tensor(weights, dtype=torch.float64)


def slow_spatial_weights(x, module):
    """Equation 3 of Woo et al., place by place: ``[B, H, W]``."""
    kernel = module.convolution.weight[0]
    batch, _, height, width = x.shape
    side, reach = kernel.shape[-1], kernel.shape[-1] // 2
    weights = torch.zeros(batch, height, width, dtype=torch.float64)
    for one in range(batch):
        for row in range(height):
            for column in range(width):
                total = 0.0
                for i in range(side):
                    for j in range(side):
                        r, c = row + i - reach, column + j - reach
                        if 0 <= r < height and 0 <= c < width:
                            seen = x[one, :, r, c]
                            total += (kernel[0, i, j] * seen.sum() / len(seen) + kernel[1, i, j] * max(seen.tolist())).item()
                weights[one, row, column] = sigmoid(total)
    return weights


@pytest.mark.parametrize(("channels", "reduction"), [(32, 16), (32, 4), (5, 16)])
def test_channel_attention_is_equation_2(channels, reduction):
    module, x = drawn(ChannelAttention(channels, reduction)), image(channels=channels)
    found = module(x)
    assert found.shape == (2, channels, 1, 1)
    torch.testing.assert_close(found[:, :, 0, 0], slow_channel_weights(x, module))


@pytest.mark.parametrize("kernel", [7, 3])
def test_spatial_attention_is_equation_3(kernel):
    module, x = drawn(SpatialAttention(kernel)), image(channels=4)
    found = module(x)
    assert found.shape == (2, 1, 5, 3)
    torch.testing.assert_close(found[:, 0], slow_spatial_weights(x, module))


def test_the_kernel_is_7x7_over_the_mean_and_the_greatest():
    assert SpatialAttention().convolution.weight.shape == (1, 2, 7, 7)


def test_channels_are_weighted_first_and_places_by_what_is_left():
    """Equation 1: the places' weights are of F', not of F; the other order gives another image."""
    module, x = drawn(BlockAttention(4)), image(channels=4)
    refined = slow_channel_weights(x, module.channel)[:, :, None, None] * x
    expected = slow_spatial_weights(refined, module.spatial)[:, None] * refined
    torch.testing.assert_close(module(x), expected)
    places_first = module.spatial(x) * x
    assert not torch.allclose(module.channel(places_first) * places_first, expected)


@pytest.mark.parametrize(("channels", "reduction", "hidden"), [(256, 16, 16), (64, 16, 4), (64, 8, 8), (16, 16, 4), (4, 16, 4)])
def test_an_image_of_c_channels_costs_two_layers_and_a_kernel(channels, reduction, hidden):
    """C (C / r) + C / r and (C / r) C + C numbers, C / r at least 4; and 2 x 7 x 7."""
    count = sum(value.numel() for value in BlockAttention(channels, reduction).parameters())
    assert count == (channels * hidden + hidden) + (hidden * channels + channels) + 98


def test_attention_to_an_image_is_of_that_image_alone():
    module, x = drawn(BlockAttention(32)), image()
    other = torch.cat([x[:1], 100 * x[1:]])
    assert torch.equal(module(x)[0], module(other)[0])
