"""Contract of trainables/models/stacked_recurrent.py, against nn.LSTM and nn.GRU on packed sequences, one model at a time."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_sequence, pad_packed_sequence

from trainables.models.stacked_recurrent import MODULES, StackedBatch, StackedClassifier, StackedRecurrent, recurrence, stacked

WIDTH, HIDDEN = 7, 5
NAMES = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
# Rows of a table of 60 at which sequences begin, and their lengths, of three models; the last one has fewer sequences.
STARTS = torch.tensor([[0, 3, 20, 41], [50, 2, 7, 7], [9, 9, 0, 0]])
LENGTHS = torch.tensor([[5, 17, 1, 9], [10, 11, 30, 1], [3, 3, 0, 0]])


def layers(cell, bidirectional=True, dtype=torch.float64, count=3):
    torch.manual_seed(3)
    return [MODULES[cell](WIDTH, HIDDEN, batch_first=True, bidirectional=bidirectional).to(dtype) for _ in range(count)]


def table(dtype=torch.float64):
    return torch.randn(60, WIDTH, generator=torch.Generator().manual_seed(4), dtype=dtype)


def packed(layer, sequences):
    """The hidden states of each sequence by PyTorch's own module."""
    padded, lengths = pad_packed_sequence(layer(pack_sequence(sequences, enforce_sorted=False))[0], batch_first=True)
    return [row[:length] for row, length in zip(padded, lengths.tolist(), strict=True)]


def slices(values, model):
    pairs = zip(STARTS[model].tolist(), LENGTHS[model].tolist(), strict=True)
    return [values[start : start + length].clone().requires_grad_() for start, length in pairs if length]


def in_order(hidden, batch, directions):
    """Hidden states ``[R, K * H]`` in the order of the table's rows in the batch."""
    return hidden.reshape(-1, HIDDEN).index_select(0, batch.given).view(-1, directions * HIDDEN)


@pytest.mark.parametrize("cell", ["lstm", "gru"])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 2e-6), (torch.float64, 1e-13)])
def test_outputs_and_all_gradients_of_every_model_are_those_of_its_own_packed_module(cell, bidirectional, dtype, tolerance):
    own, values = layers(cell, bidirectional, dtype), table(dtype)
    ours = StackedRecurrent(own)
    batch = StackedBatch.of(STARTS, LENGTHS, 1 + bidirectional)
    x = values[batch.rows].requires_grad_()
    found = in_order(ours(x, batch), batch, 1 + bidirectional)
    weights = torch.randn(found.shape, generator=torch.Generator().manual_seed(5), dtype=dtype)
    (found * weights).mean().backward()
    sequences = [slices(values, model) for model in range(3)]
    expected = torch.cat([states for layer, rows in zip(own, sequences, strict=True) for states in packed(layer, rows)])
    (expected * weights).mean().backward()
    close = {"rtol": 0, "atol": tolerance}
    torch.testing.assert_close(found, expected, **close)
    torch.testing.assert_close(x.grad, torch.cat([row.grad for rows in sequences for row in rows]), **close)
    gradients = copy.deepcopy(own)
    for layer, source in zip(gradients, own, strict=True):
        for parameter, original in zip(layer.parameters(), source.parameters(), strict=True):
            parameter.data = original.grad
    for name in NAMES:
        torch.testing.assert_close(getattr(ours, name).grad, stacked(gradients, name).detach(), **close)


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_the_written_out_gradient_is_that_of_finite_differences(cell):
    batch = StackedBatch.of(torch.tensor([[0, 9], [4, 0]]), torch.tensor([[3, 1], [2, 0]]), 2)
    given = [table()[batch.rows], *(stacked(layers(cell, count=2), name).detach() for name in NAMES)]
    existing = lambda *given: in_order(recurrence(cell, *given, batch), batch, 2)  # noqa: E731
    assert torch.autograd.gradcheck(existing, [part.requires_grad_() for part in given], fast_mode=True)


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_a_model_says_the_same_alone_and_beside_others_whose_sequences_are_longer(cell):
    own, values = layers(cell), table()
    heads = [nn.Linear(2 * HIDDEN, 3).double() for _ in own]
    batch = StackedBatch.of(STARTS, LENGTHS, 2)
    together = StackedClassifier(own, heads)(values[batch.rows], replace(batch, mean=batch.mean.double()))
    for model in range(3):
        kept = LENGTHS[model] > 0
        mine = StackedBatch.of(STARTS[model : model + 1, kept], LENGTHS[model : model + 1, kept], 2)
        alone = StackedClassifier(own[model : model + 1], heads[model : model + 1])(
            values[mine.rows], replace(mine, mean=mine.mean.double())
        )
        torch.testing.assert_close(together[model, kept], alone[0], rtol=0, atol=1e-13)


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_the_losses_of_a_whole_training_are_those_of_training_packed_modules_one_by_one(cell):
    """Within 1e-5 at every step, while they fall; a batch's sequences differ in length, by model and by step."""
    generator = torch.Generator().manual_seed(0)
    steps, models, rows = 40, 3, 3
    values = torch.randn(400, WIDTH, generator=generator)
    labels = torch.randint(0, 2, (steps, models, rows), generator=generator)
    lengths = torch.randint(1, 25, (steps, models, rows), generator=generator)
    starts = 200 * labels + torch.randint(0, 170, labels.shape, generator=generator)
    values[:200, 0] += 3.0
    own, heads = layers(cell, dtype=torch.float32, count=models), [nn.Linear(2 * HIDDEN, 2) for _ in range(models)]
    model = StackedClassifier(own, heads)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01, fused=True)
    found = torch.empty(steps, models)
    for step in range(steps):
        batch = StackedBatch.of(starts[step], lengths[step], 2)
        logits = model(values[batch.rows], batch)
        loss = F.cross_entropy(logits.flatten(0, 1), labels[step].flatten(), reduction="none").view(models, rows).mean(dim=1)
        optimizer.zero_grad()
        loss.sum().backward()
        optimizer.step()
        found[step] = loss.detach()
    expected = torch.empty(steps, models)
    for number, (layer, head) in enumerate(zip(own, heads, strict=True)):
        optimizer = torch.optim.Adam([*layer.parameters(), *head.parameters()], lr=0.01)
        for step in range(steps):
            pairs = zip(starts[step, number].tolist(), lengths[step, number].tolist(), strict=True)
            states = packed(layer, [values[start : start + length] for start, length in pairs])
            loss = F.cross_entropy(head(torch.stack([row.mean(dim=0) for row in states])), labels[step, number])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            expected[step, number] = loss.detach()
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
    assert (expected[-5:].mean(dim=0) < 0.5 * expected[:5].mean(dim=0)).all(), "a training in which nothing happens shows nothing"


def test_the_mean_is_that_of_each_sequences_own_steps_and_0_where_there_is_none():
    batch = StackedBatch.of(STARTS, LENGTHS, 1)
    hidden = StackedRecurrent(layers("gru", bidirectional=False))(table()[batch.rows], batch)
    found = batch.mean.double() @ hidden.squeeze(1)
    states = in_order(hidden, batch, 1).split(LENGTHS.flatten().tolist())
    expected = torch.stack([rows.mean(dim=0) if len(rows) else torch.zeros(HIDDEN).double() for rows in states])
    torch.testing.assert_close(found.flatten(0, 1), expected, rtol=0, atol=1e-7)


@pytest.mark.parametrize("lengths", [[[0, 0]], [[3, -1]], [[]]])
def test_lengths_of_which_none_is_a_sequence_are_refused(lengths):
    with pytest.raises(ValueError, match="expected lengths of at least 0, some of them above"):
        StackedBatch.of(torch.zeros(1, len(lengths[0]), dtype=torch.long), torch.tensor(lengths), 2)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_a_cuda_device_gives_the_same(cell):
    own, values = layers(cell), table()
    found = []
    for device in ("cpu", "cuda"):
        batch = StackedBatch.of(STARTS, LENGTHS, 2, device)
        model = StackedRecurrent(own).to(device)
        model(values.to(device)[batch.rows], batch).sum().backward()
        found.append([getattr(model, name).grad.cpu() for name in NAMES])
    for on_cpu, on_cuda in zip(*found, strict=True):
        torch.testing.assert_close(on_cpu, on_cuda, rtol=0, atol=1e-10)
