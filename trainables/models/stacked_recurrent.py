"""Many small recurrent networks, each with its own weights and its own sequences, advanced together step by step.

Seeds of one model differ in their numbers and not in their shapes, and a step of one is far too small for the machine: on a CPU
most of the time goes to calling operations, on a GPU to launching kernels. So a step of all of them is one operation, and the
backward pass is written out: its derivatives that do not depend on later steps are taken for all steps at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx, once_differentiable
from torch.nn import functional as F

Cell = Literal["lstm", "gru"]
MODULES: dict[Cell, type[nn.RNNBase]] = {"lstm": nn.LSTM, "gru": nn.GRU}

# In which order PyTorch's gates stand here (LSTM: input, forget, cell, output; GRU: reset, update, new), in the input weights and
# in the recurrent ones: gates that are computed alike lie side by side, forwards and backwards.
_ORDERS: dict[Cell, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "lstm": ((3, 0, 1, 2), (3, 0, 1, 2)),
    "gru": ((2, 0, 1), (0, 1, 2)),
}


@dataclass(frozen=True)
class StackedBatch:
    """A batch of sequences for each of S models, as a recurrence in K directions goes through it.

    All first steps come first, then all second steps; within a step each model's longest sequence comes first. A sequence that is
    over leaves a gap where another model still has one of that rank. What is computed in a gap has no influence: it comes after all
    that exists of its sequence, and nothing reads it.

    Attributes:
        rows: Where the R existing steps lie in the table that the sequences are slices of, model by model, ``[R]``.
        sizes: How many of them each model has; they sum to R.
        taken: For each model, direction and position the projected input there, ``[S * K * N]``.
        given: The reverse: for each projected input its position, ``[R * K]``.
        active: Positions of each step of one model in one direction; it never grows. Its sum is N.
        previous: For each position but those of the first step, the position of the step before, ``[N - active[0]]``.
        mean: Takes N hidden states to the mean over time of each sequence, ``[S, B, N]``; 0 where there is no sequence.
    """

    rows: Tensor
    sizes: list[int]
    taken: Tensor
    given: Tensor
    active: list[int]
    previous: Tensor
    mean: Tensor

    @classmethod
    def of(cls, starts: Tensor, lengths: Tensor, directions: int, device: torch.device | str = "cpu") -> StackedBatch:
        """Lay out sequences that are the rows ``start`` to ``start + length - 1`` of a table.

        Args:
            starts: LongTensor ``[S, B]`` on the CPU.
            lengths: The same; 0 where a model has fewer than B sequences.
            directions: 1, or 2 to read every sequence from its end as well.
            device: Where the table is.

        Raises:
            ValueError: A length is below 0, or none is above.
        """
        if not lengths.numel() or int(lengths.min()) < 0 or int(lengths.max()) < 1:
            raise ValueError(f"expected lengths of at least 0, some of them above; found {lengths.tolist()}")
        order = lengths.argsort(dim=1, descending=True, stable=True)
        longest = lengths.gather(1, order).amax(dim=0)
        step, rank = (torch.arange(int(longest[0])).unsqueeze(1) < longest).nonzero().unbind(1)
        active, row = torch.bincount(step), order[:, rank]
        taken, given, mean = _positions(lengths, step, row, directions)
        begin = starts - _before(lengths)
        rows = begin.flatten().repeat_interleave(lengths.flatten()) + torch.arange(int(lengths.sum()))
        previous = torch.arange(int(active[0]), len(step)) - active[:-1].repeat_interleave(active[1:])
        rows, taken, given, previous, mean = (part.to(device) for part in (rows, taken, given, previous, mean))
        return cls(rows, lengths.sum(dim=1).tolist(), taken, given, active.tolist(), previous, mean)


def _before(lengths: Tensor) -> Tensor:
    """How many steps exist before each sequence's first one, ``[S, B]``."""
    return (lengths.flatten().cumsum(0) - lengths.flatten()).view_as(lengths)


def _positions(lengths: Tensor, step: Tensor, row: Tensor, directions: int) -> tuple[Tensor, Tensor, Tensor]:
    """``taken``, ``given`` and ``mean`` of a batch, from the step ``[N]`` of each position and its sequence ``[S, N]``."""
    length, first = lengths.gather(1, row), _before(lengths).gather(1, row)
    exists = step < length
    places = torch.stack([first + step, first + length - 1 - step][:directions], dim=1)
    projected = (directions * places + torch.arange(directions).unsqueeze(1)).flatten()
    there = exists.unsqueeze(1).expand_as(places).flatten()
    given = torch.empty(int(lengths.sum()) * directions, dtype=torch.long)
    given[projected[there]] = there.nonzero().squeeze(1)
    share = exists / length.clamp(min=1)
    mean = torch.zeros(*lengths.shape, len(step)).scatter_(1, row.unsqueeze(1), share.unsqueeze(1))
    return projected.where(there, 0), given, mean


class StackedRecurrent(nn.Module):
    """One layer of LSTM or GRU, in one or both directions, of S models side by side; each equals its own on packed sequences.

    Args:
        layers: S modules ``nn.LSTM`` or ``nn.GRU`` of one layer and one shape; their weights are the first ones here.
    """

    def __init__(self, layers: Sequence[nn.RNNBase]) -> None:
        super().__init__()
        self.cell = cell_of(layers[0])
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
            self.register_parameter(name, nn.Parameter(stacked(layers, name).detach()))

    def forward(self, x: Tensor, batch: StackedBatch) -> Tensor:
        """Return the hidden states ``[S, K, N, H]`` from the rows ``x`` ``[R, D]`` of the table."""
        return recurrence(self.cell, x, self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh, batch)


class StackedClassifier(nn.Module):
    """Recurrent layer, mean over time, linear layer, of S models side by side.

    Args:
        layers: As :class:`StackedRecurrent` has them.
        heads: S linear layers from hidden states to classes.
    """

    def __init__(self, layers: Sequence[nn.RNNBase], heads: Sequence[nn.Linear]) -> None:
        super().__init__()
        self.recurrent = StackedRecurrent(layers)
        self.weight = nn.Parameter(torch.stack([head.weight.detach() for head in heads]))
        self.bias = nn.Parameter(torch.stack([head.bias.detach() for head in heads]))

    def forward(self, x: Tensor, batch: StackedBatch) -> Tensor:
        """Return logits ``[S, B, classes]`` from the rows ``x`` ``[R, D]`` of the table."""
        hidden = self.recurrent(x, batch)
        pooled = torch.cat([batch.mean @ one_way for one_way in hidden.unbind(1)], dim=-1)
        return torch.baddbmm(self.bias.unsqueeze(1), pooled, self.weight.transpose(1, 2))


def stacked(layers: Sequence[nn.RNNBase], name: str) -> Tensor:
    """A parameter of S layers of K directions as :func:`recurrence` takes it, ``[S, K, gates * H, ...]``; gradients flow back.

    Args:
        layers: Modules ``nn.LSTM`` or ``nn.GRU`` of one layer and one shape.
        name: 'weight_ih', 'weight_hh', 'bias_ih' or 'bias_hh'.
    """
    inputs, recurrent = _ORDERS[cell_of(layers[0])]
    order = inputs if name.endswith("ih") else recurrent
    suffixes = ("_l0", "_l0_reverse") if layers[0].bidirectional else ("_l0",)
    ways = [[getattr(layer, name + suffix).chunk(len(order)) for suffix in suffixes] for layer in layers]
    return torch.stack([torch.stack([torch.cat([gates[number] for number in order]) for gates in own]) for own in ways])


def cell_of(layer: nn.RNNBase) -> Cell:
    """The cell of a layer."""
    return next(cell for cell, module in MODULES.items() if isinstance(layer, module))


def recurrence(
    cell: Cell, x: Tensor, weight_ih: Tensor, weight_hh: Tensor, bias_ih: Tensor, bias_hh: Tensor, batch: StackedBatch
) -> Tensor:
    """Hidden states ``[S, K, N, H]``.

    Args:
        cell: 'lstm' or 'gru'.
        x: Inputs of the steps that exist, ``[R, D]``.
        weight_ih: ``[S, K, gates * H, D]``; these and the others with gates in the order of this module.
        weight_hh: ``[S, K, gates * H, H]``.
        bias_ih: ``[S, K, gates * H]``.
        bias_hh: The same.
        batch: Where each step is.
    """
    models, directions, width, _ = weight_hh.shape
    bias = bias_ih if cell == "gru" else bias_ih + bias_hh
    weights = zip(x.split(batch.sizes), weight_ih.flatten(1, 2).unbind(), bias.flatten(1).unbind(), strict=True)
    projected = torch.cat([F.linear(rows, *own) for rows, *own in weights]).view(-1, width)
    if cell == "gru":
        hidden = _Gru.apply(projected, weight_hh.flatten(0, 1), bias_hh.flatten(0, 1), batch)
    else:
        hidden = _Lstm.apply(projected, weight_hh.flatten(0, 1), batch)
    return hidden.unflatten(0, (models, directions))


class _Lstm(torch.autograd.Function):
    """Hidden states ``[S * K, N, H]`` of an LSTM (Hochreiter and Schmidhuber 1997) from its projected inputs ``[R * K, 4H]``."""

    @staticmethod
    def forward(ctx: FunctionCtx, projected: Tensor, weight: Tensor, batch: StackedBatch) -> Tensor:
        gates = _placed(projected, weight, batch)
        width = weight.shape[-1]
        cell, squashed, hidden = gates.new_empty(3, *gates.shape[:2], width).unbind()
        views = (gates, gates[..., : 3 * width], *gates.chunk(4, dim=-1), cell, squashed, hidden)
        by_step, weight = _steps(views, batch.active), weight.transpose(1, 2).contiguous()
        h = c = gates.new_zeros(len(gates), batch.active[0], width)
        for inputs, o_i_f, o, i, f, g, c_now, tanh_c, h_now in by_step:
            n = h_now.shape[1]
            sums = torch.baddbmm(inputs, h[:, :n], weight)  # not in place: of a strided result MKL takes one product at a time
            torch.sigmoid(sums[..., : 3 * width], out=o_i_f)
            torch.tanh(sums[..., 3 * width :], out=g)
            torch.mul(f, c[:, :n], out=c_now).addcmul_(i, g)
            torch.mul(o, torch.tanh(c_now, out=tanh_c), out=h_now)
            h, c = h_now, c_now
        ctx.batch = batch
        ctx.save_for_backward(weight, gates, cell, squashed, hidden)
        return hidden

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, grad_hidden: Tensor) -> tuple[Tensor, Tensor, None]:
        weight, gates, cell, squashed, hidden = ctx.saved_tensors
        active = ctx.batch.active
        o, i, f, g = gates.chunk(4, dim=-1)
        # Of a step's cell by its gates' inputs; of its hidden state by its output gate's input, and by its cell.
        of_cell = torch.stack([g * i * (1 - i), _shifted(cell, ctx.batch) * f * (1 - f), i * (1 - g.square())], dim=2)
        by_output, by_cell = squashed * o * (1 - o), o * (1 - squashed.square())
        grad_gates, grad_hidden = torch.empty_like(gates), grad_hidden.clone()
        grad_output, grad_others = grad_gates.unflatten(-1, (4, -1)).split([1, 3], dim=2)
        views = (grad_hidden, by_cell, f, of_cell, by_output, grad_gates, grad_output.squeeze(2), grad_others)
        steps, weight = list(_steps(views, active)), weight.transpose(1, 2)
        grad_cell = torch.zeros_like(cell[:, : active[0]])
        for now in range(len(steps) - 1, -1, -1):
            dh, dh_dc, forget, dc_gates, dh_output, d_gates, d_output, d_others = steps[now]
            dc = grad_cell[:, : active[now]].addcmul_(dh, dh_dc)
            torch.mul(dc.unsqueeze(2), dc_gates, out=d_others)
            torch.mul(dh, dh_output, out=d_output)
            dc.mul_(forget)
            if now:
                steps[now - 1][0][:, : active[now]] += torch.bmm(d_gates, weight)
        return _unplaced(grad_gates, ctx.batch), _of_weight(grad_gates, hidden, ctx.batch), None


class _Gru(torch.autograd.Function):
    """The same of a GRU (Cho et al. 2014, with cuDNN's reset after the product, as nn.GRU) from inputs ``[R * K, 3H]``."""

    @staticmethod
    def forward(ctx: FunctionCtx, projected: Tensor, weight: Tensor, bias: Tensor, batch: StackedBatch) -> Tensor:
        gates = _placed(projected, weight, batch)
        width = weight.shape[-1]
        recurrent_new, hidden = gates.new_empty(2, *gates.shape[:2], width).unbind()
        views = (gates[..., width:], *gates.chunk(3, dim=-1), recurrent_new, hidden)
        by_step, weight, bias = _steps(views, batch.active), weight.transpose(1, 2).contiguous(), bias.unsqueeze(1)
        h = gates.new_zeros(len(gates), batch.active[0], width)
        for r_z, new, r, z, from_h, h_now in by_step:
            h = h[:, : h_now.shape[1]]
            sums = torch.baddbmm(bias, h, weight)
            r_z.add_(sums[..., : 2 * width]).sigmoid_()
            new.addcmul_(r, from_h.copy_(sums[..., 2 * width :])).tanh_()
            h = torch.lerp(new, h, z, out=h_now)
        ctx.batch = batch
        ctx.save_for_backward(weight, gates, recurrent_new, hidden)
        return hidden

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, grad_hidden: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        weight, gates, recurrent_new, hidden = ctx.saved_tensors
        active = ctx.batch.active
        new, r, z = gates.chunk(3, dim=-1)
        # Of a step's hidden state by the inputs of its gates: new, reset, update, and what the reset gate lets through.
        by_new = (1 - z) * (1 - new.square())
        by_update = (_shifted(hidden, ctx.batch) - new) * z * (1 - z)
        by_gates = torch.stack([by_new, by_new * recurrent_new * r * (1 - r), by_update, by_new * r], dim=2)
        grad_gates, grad_hidden = torch.empty_like(by_gates), grad_hidden.clone()
        views = (grad_hidden, z, by_gates, grad_gates, grad_gates[:, :, 1:].flatten(2))
        steps, weight = list(_steps(views, active)), weight.transpose(1, 2)
        for now in range(len(steps) - 1, -1, -1):
            dh, keep, dh_gates, d_gates, d_products = steps[now]
            torch.mul(dh.unsqueeze(2), dh_gates, out=d_gates)
            if now:
                steps[now - 1][0][:, : active[now]].addcmul_(dh, keep).add_(torch.bmm(d_products, weight))
        inputs, recurrent = grad_gates[:, :, :3].flatten(2), grad_gates[:, :, 1:].flatten(2)
        grad_weight = _of_weight(recurrent, hidden, ctx.batch)
        return _unplaced(inputs, ctx.batch), grad_weight, recurrent.sum(dim=1), None


def _placed(projected: Tensor, weight: Tensor, batch: StackedBatch) -> Tensor:
    """Projected inputs in the order of the steps, ``[S * K, N, width]``."""
    return projected.index_select(0, batch.taken).view(len(weight), -1, projected.shape[1])


def _unplaced(gradient: Tensor, batch: StackedBatch) -> Tensor:
    """The reverse for gradients ``[S * K, N, width]``; those of gaps are left out."""
    return gradient.reshape(-1, gradient.shape[-1]).index_select(0, batch.given)


def _shifted(states: Tensor, batch: StackedBatch) -> Tensor:
    """For each position the state ``[S * K, N, H]`` of the step before; 0 at the first."""
    return torch.cat([torch.zeros_like(states[:, : batch.active[0]]), states.index_select(1, batch.previous)], dim=1)


def _of_weight(gradient: Tensor, hidden: Tensor, batch: StackedBatch) -> Tensor:
    """Gradient of the recurrent weights ``[S * K, width, H]`` from that of their products ``[S * K, N, width]``."""
    return gradient[:, batch.active[0] :].transpose(1, 2) @ hidden.index_select(1, batch.previous)


def _steps(tensors: Sequence[Tensor], active: list[int]) -> Iterator[tuple[Tensor, ...]]:
    """For each step, the views of all ``tensors`` ``[S * K, N, ...]`` on its positions."""
    return zip(*(tensor.split(active, dim=1) for tensor in tensors), strict=True)
