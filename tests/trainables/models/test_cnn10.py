"""Contract of trainables.models.cnn10."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from trainables.models.cnn10 import ClassificationHead, Cnn10, ConvBlock


def segments(batch=2, frames=40, mels=16):
    return torch.randn(batch, frames, mels, generator=torch.Generator().manual_seed(0)) * 10 - 50


def small_cnn10(**changes):
    torch.manual_seed(0)
    return Cnn10(**({"n_mels": 16, "width": 4, "dropout": 0.0, "head_dropout": 0.0} | changes))


def count(module):
    return sum(value.numel() for value in module.parameters())


def test_it_has_as_many_parameters_as_panns_cnn10():
    """Batch norm 2 C, convolution 9 C_in C_out, fully connected (C + 1) C; PANNs counts 5,219,279 with its head of 527."""
    channels = ((1, 64), (64, 128), (128, 256), (256, 512))
    blocks = sum(9 * (before * after + after * after) + 2 * 2 * after for before, after in channels)
    encoder = 2 * 64 + blocks + (512 + 1) * 512
    assert count(Cnn10()) == encoder == 4_948_928
    assert encoder + count(ClassificationHead(512, 527)) == 5_219_279


@pytest.mark.parametrize(("batch", "frames", "mels", "width"), [(2, 40, 16, 4), (1, 16, 23, 3), (3, 51, 64, 2)])
def test_it_embeds_segments_of_any_length_from_16_frames(batch, frames, mels, width):
    encoder = Cnn10(mels, width).eval()
    assert encoder(segments(batch, frames, mels)).shape == (batch, 8 * width) == (batch, encoder.embedding_dim)


def test_too_few_mel_bins_are_refused():
    with pytest.raises(ValueError, match="at least 16, is 8"):
        Cnn10(n_mels=8)


def test_embeddings_are_not_rectified():
    assert small_cnn10()(segments(8)).min() < 0


def test_keeping_every_bin_is_the_same_as_no_mask():
    encoder, x = small_cnn10(), segments()
    assert torch.equal(encoder(x), encoder(x, torch.ones_like(x, dtype=torch.bool)))


def test_a_masked_bin_counts_as_its_bins_mean():
    encoder, x = small_cnn10(), segments()
    keep = torch.ones_like(x, dtype=torch.bool)
    keep[0, 5:9] = False
    filled = torch.where(keep, x, encoder.bn0.running_mean)
    torch.testing.assert_close(encoder.eval()(x, keep), encoder(filled))


def test_channels_last_and_contiguous_weights_give_the_same_embeddings():
    encoder, x = small_cnn10(), segments()
    assert encoder.blocks[1].conv1.weight.is_contiguous(memory_format=torch.channels_last)
    found = encoder(x)
    assert (
        not encoder.to(memory_format=torch.contiguous_format)
        .blocks[1]
        .conv1.weight.is_contiguous(memory_format=torch.channels_last)
    )
    torch.testing.assert_close(encoder(x), found, rtol=1e-5, atol=1e-5)


def slow_convolution(x, weight):
    """3x3 with a border of zeros, as a sum over its nine shifted inputs."""
    _, _, frames, mels = x.shape
    padded = nn.functional.pad(x, (1, 1, 1, 1))
    shifts = [(i, j) for i in range(3) for j in range(3)]
    return sum(torch.einsum("bctm,oc->botm", padded[:, :, i : i + frames, j : j + mels], weight[:, :, i, j]) for i, j in shifts)


def slow_norm_relu(x):
    mean = x.mean(dim=(0, 2, 3), keepdim=True)
    variance = (x - mean).square().mean(dim=(0, 2, 3), keepdim=True)
    return ((x - mean) / (variance + 1e-5).sqrt()).clamp(min=0)


def test_a_block_is_two_convolutions_with_norm_and_relu_and_the_mean_of_each_2x2_square():
    torch.manual_seed(0)
    block = ConvBlock(3, 5).double()
    x = torch.randn(2, 3, 8, 6, dtype=torch.float64)
    y = slow_norm_relu(slow_convolution(x, block.conv1.weight))
    y = slow_norm_relu(slow_convolution(y, block.conv2.weight))
    expected = (y[:, :, ::2, ::2] + y[:, :, 1::2, ::2] + y[:, :, ::2, 1::2] + y[:, :, 1::2, 1::2]) / 4
    torch.testing.assert_close(block(x), expected)


def test_initialisation_is_panns():
    """Xavier uniform: bound sqrt(6 / (fan in + fan out)); biases 0; batch norm the identity."""
    encoder = small_cnn10(width=16)
    weight = encoder.blocks[2].conv2.weight
    bound = (6 / (9 * 64 + 9 * 64)) ** 0.5
    assert 0.99 * bound < weight.abs().max() <= bound
    assert (encoder.fc1.bias == 0).all()
    assert (encoder.bn0.weight == 1).all()


def test_dropout_acts_in_training_alone():
    encoder, x = small_cnn10(dropout=0.2, head_dropout=0.5), segments()
    assert not torch.equal(encoder(x), encoder(x))
    encoder.eval()
    assert torch.equal(encoder(x), encoder(x))


def test_the_head_rectifies_embeddings_first():
    head = ClassificationHead(6, 3).eval()
    embedding = torch.tensor([[-1.0, 2, -3, 4, -5, 6]])
    torch.testing.assert_close(head(embedding), embedding.clamp(min=0) @ head[2].weight.T + head[2].bias)
