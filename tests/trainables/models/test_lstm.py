"""Contract of trainables/models/lstm.py, against nn.LSTM on packed sequences."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from trainables.models.lstm import Lstm, masked_mean

LENGTHS = [[5, 23, 1, 17, 23, 2], [1], [1, 1], [9, 9, 9], [40, 3]]


def _pair(bidirectional, dtype=torch.float32, inputs=12, units=8):
    torch.manual_seed(3)
    reference = nn.LSTM(inputs, units, batch_first=True, bidirectional=bidirectional).to(dtype)
    ours = Lstm(inputs, units, bidirectional).to(dtype)
    ours.load_state_dict(reference.state_dict())
    return ours, reference


def _packed(reference, x, lengths):
    packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    return pad_packed_sequence(reference(packed)[0], batch_first=True, total_length=x.shape[1])[0]


def _batch(lengths, dtype=torch.float32, beyond=0):
    generator = torch.Generator().manual_seed(4)
    return torch.randn(len(lengths), max(lengths) + beyond, 12, generator=generator, dtype=dtype), torch.tensor(lengths)


@pytest.mark.parametrize("lengths", LENGTHS, ids=str)
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.float64, 1e-13)])
def test_outputs_and_all_gradients_are_those_of_a_packed_lstm(lengths, bidirectional, dtype, tolerance):
    ours, reference = _pair(bidirectional, dtype)
    x, lengths = _batch(lengths, dtype, beyond=2)
    inputs = [x.clone().requires_grad_() for _ in range(2)]
    outputs = ours(inputs[0], lengths), _packed(reference, inputs[1], lengths)
    torch.testing.assert_close(*outputs, rtol=0, atol=tolerance)
    weights = torch.randn(outputs[0].shape, generator=torch.Generator().manual_seed(5), dtype=dtype)
    for output in outputs:
        (output * weights).mean().backward()
    torch.testing.assert_close(inputs[0].grad, inputs[1].grad, rtol=0, atol=tolerance)
    expected = dict(reference.named_parameters())
    assert [name for name, _ in ours.named_parameters()] == list(expected)
    for name, parameter in ours.named_parameters():
        torch.testing.assert_close(parameter.grad, expected[name].grad, rtol=0, atol=tolerance)


def test_the_written_out_gradient_is_that_of_finite_differences():
    ours, _ = _pair(True, torch.float64, inputs=3, units=2)
    x, lengths = _batch([4, 1, 3], torch.float64)
    given = x[..., :3].contiguous().requires_grad_()
    assert torch.autograd.gradcheck(lambda *given: ours(given[0], lengths), (given, *ours.parameters()))


@pytest.mark.parametrize("padding", [float("nan"), float("inf"), 1e6])
def test_what_lies_beyond_a_rows_length_has_no_influence(padding):
    ours, _ = _pair(True)
    x, lengths = _batch([5, 23, 1])
    spoiled = x.clone()
    for row, length in zip(spoiled, lengths, strict=True):
        row[length:] = padding
    found = []
    for given in (x, spoiled):
        ours.zero_grad()
        given.requires_grad_()
        output = ours(given, lengths)
        masked_mean(output, lengths).square().sum().backward()
        found.append([output.detach(), given.grad, *(parameter.grad for parameter in ours.parameters())])
    assert all(torch.equal(clean, other) for clean, other in zip(*found, strict=True))
    assert torch.equal(found[0][0][0, 5:], torch.zeros(18, 16))
    assert torch.equal(found[0][1][0, 5:], torch.zeros(18, 12))


def test_the_order_of_the_batch_does_not_matter():
    ours, _ = _pair(True)
    x, lengths = _batch([5, 23, 1, 17])
    order = torch.tensor([2, 0, 3, 1])
    torch.testing.assert_close(ours(x[order], lengths[order]), ours(x, lengths)[order], rtol=0, atol=1e-6)


def test_autocast_does_not_touch_it():
    ours, _ = _pair(True)
    x, lengths = _batch([5, 3])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(ours(x, lengths), ours(x, lengths).float())
        found = ours(x.bfloat16(), lengths)
    assert torch.equal(found, ours(x.bfloat16().float(), lengths))


@pytest.mark.parametrize(("lengths", "said"), [([0, 3], "from 1 to 3"), ([2, 4], "from 1 to 3"), ([3], "2 rows"), ([], "2 rows")])
@pytest.mark.parametrize("function", [Lstm(12, 8, True), masked_mean], ids=["lstm", "masked_mean"])
def test_lengths_that_do_not_fit_are_refused(function, lengths, said):
    with pytest.raises(ValueError, match=said):
        function(torch.zeros(2, 3, 12), torch.tensor(lengths))


def test_the_masked_mean_is_each_rows_mean_over_its_own_steps():
    x, lengths = _batch([5, 23, 1])
    expected = torch.stack([row[:length].mean(0) for row, length in zip(x, lengths.tolist(), strict=True)])
    x[0, 5:] = float("nan")
    torch.testing.assert_close(masked_mean(x, lengths), expected, rtol=0, atol=1e-6)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("bidirectional", [False, True])
def test_a_cuda_device_gives_the_same(bidirectional):
    ours, reference = _pair(bidirectional)
    x, lengths = _batch([5, 23, 1])
    expected = _packed(reference, x, lengths)
    torch.testing.assert_close(ours.cuda()(x.cuda(), lengths).cpu(), expected, rtol=0, atol=1e-5)
