"""Contract of trainables.models.res_tdnn."""

from __future__ import annotations

import pytest
import torch

from trainables.models.res_tdnn import ResTdnn, ResTdnnLayer

PAPER = ((-2, -1, 0, 1, 2), (-1, 2), (-3, 3), (-7, 2))
LENGTHS = (30, 1, 4, 17)  # some shorter than a context reaches


def frames(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def network(input_size=5, width=6, **changes):
    torch.manual_seed(0)
    return ResTdnn(input_size, width, **changes).double()


def gradients(net, x, lengths, weights):
    """Of a weighted sum of the outputs: by the input, then by each parameter."""
    x = x.clone().requires_grad_()
    return torch.autograd.grad((net(x, lengths) * weights).sum(), [x, *net.parameters()])


@pytest.mark.parametrize(("input_size", "context"), [(5, (-2, -1, 0, 1, 2)), (6, (-7, 2)), (6, (-3, 0, 1)), (6, (1, 4))])
def test_a_layer_is_relu_of_the_normalised_affine_map_of_the_spliced_frames_plus_the_frame(input_size, context):
    torch.manual_seed(0)
    layer = ResTdnnLayer(input_size, 6, context).double()
    torch.nn.init.normal_(layer.norm.weight), torch.nn.init.normal_(layer.norm.bias)
    x = frames(2, 9, input_size)
    found = layer(x)
    for row in range(2):
        for t in range(9):
            spliced = [x[row, t + offset] if 0 <= t + offset < 9 else torch.zeros(input_size).double() for offset in context]
            y = layer.affine.weight @ torch.cat(spliced) + layer.affine.bias
            y = (y - y.mean()) / (y.var(correction=0) + layer.norm.eps).sqrt() * layer.norm.weight + layer.norm.bias
            y = y + (x[row, t] if input_size == 6 else layer.shortcut.weight @ x[row, t])
            torch.testing.assert_close(found[row, t], y.clamp(min=0))


def test_the_contexts_are_the_papers():
    assert tuple(layer.context for layer in ResTdnn(80).layers) == PAPER


def test_it_has_four_layers_of_width_512():
    """Affine maps of the spliced frames with bias, layer norms, and the first layer's map of the shortcut."""
    net = ResTdnn(80)
    first = (5 * 80 + 1) * 512 + 2 * 512 + 80 * 512
    assert sum(value.numel() for value in net.parameters()) == first + 3 * ((2 * 512 + 1) * 512 + 2 * 512) == 1_824_768
    assert net(torch.zeros(1, 3, 80), torch.tensor([3])).shape == (1, 3, 512)


def test_an_output_frame_sees_13_frames_before_it_and_9_after():
    net, x = network(), frames(1, 40, 5).requires_grad_()
    net(x, torch.tensor([40]))[0, 20].sum().backward()
    seen = x.grad[0].abs().sum(dim=1).nonzero().flatten()
    assert (int(seen.min()), int(seen.max())) == (20 - 13, 20 + 9)


def test_a_padded_batch_gives_what_its_utterances_give_one_by_one():
    """Outputs, and the gradients of the input and of all parameters."""
    net, x, weights = network(), frames(4, 30, 5), frames(4, 30, 6).flip(0)
    found, expected = net(x, torch.tensor(LENGTHS)), torch.zeros(4, 30, 6).double()
    by_input, *by_parameter = gradients(net, x, torch.tensor(LENGTHS), weights)
    sums = [torch.zeros_like(value) for value in by_parameter]
    for row, length in enumerate(LENGTHS):
        alone = x[row : row + 1, :length]
        expected[row, :length] = net(alone, torch.tensor([length]))[0]
        own, *parameters = gradients(net, alone, torch.tensor([length]), weights[row : row + 1, :length])
        torch.testing.assert_close(by_input[row, :length], own[0], rtol=1e-10, atol=1e-10)
        assert not by_input[row, length:].any()
        sums = [total + value for total, value in zip(sums, parameters, strict=True)]
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(by_parameter, sums, rtol=1e-10, atol=1e-10)


def test_in_float32_padding_changes_nothing_beyond_1e_6():
    net, x = network(width=64).float(), frames(4, 30, 5).float()
    found = net(x, torch.tensor(LENGTHS))
    for row, length in enumerate(LENGTHS):
        alone = net(x[row : row + 1, :length], torch.tensor([length]))[0]
        torch.testing.assert_close(found[row, :length], alone, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("padding", [1e30, torch.inf, torch.nan])
def test_what_lies_in_the_padding_has_no_influence(padding):
    net, clean, lengths = network(), frames(4, 30, 5), torch.tensor(LENGTHS)
    dirty = clean.clone()
    for row, length in enumerate(LENGTHS):
        dirty[row, length:] = padding
    assert torch.equal(net(dirty, lengths), net(clean, lengths))
    for found, expected in zip(gradients(net, dirty, lengths, 1.0), gradients(net, clean, lengths, 1.0), strict=True):
        assert torch.equal(found, expected)


def test_outputs_are_zero_beyond_the_lengths():
    found = network()(frames(4, 30, 5), torch.tensor(LENGTHS))
    assert all(row[:length].any() and not row[length:].any() for row, length in zip(found, LENGTHS, strict=True))


@pytest.mark.parametrize("lengths", [(3, 0), (3, 5)])
def test_lengths_that_the_batch_cannot_have_are_refused(lengths):
    with pytest.raises(ValueError, match="expected lengths from 1 to 4"):
        network()(frames(2, 4, 5), torch.tensor(lengths))
