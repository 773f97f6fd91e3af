"""Long short-term memory over sequences of unequal length, several times as fast as packing on a CPU."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx, once_differentiable
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence


class Lstm(nn.LSTM):
    """One layer of LSTM (Hochreiter and Schmidhuber 1997), in one or both directions, over a padded batch.

    Its parameters, their names and initialisation are those of ``nn.LSTM(input_size, hidden_size, batch_first=True)``, and its
    outputs are those of that module on a packed sequence: each row is read from its first to its last step, the other way
    round from its last to its first, and what lies beyond its length is never read.

    PyTorch gives packed sequences a slow path on the CPU (pytorch#149194). So there the input products are one matrix product
    over the steps that exist, both directions advance together, and the backward pass is written out: its derivatives that do
    not depend on later steps are taken for all steps at once. Autocast does not apply there. Elsewhere cuDNN reads packed
    sequences directly.
    """

    def __init__(self, input_size: int, hidden_size: int, bidirectional: bool) -> None:
        super().__init__(input_size, hidden_size, batch_first=True, bidirectional=bidirectional)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """Return the hidden states ``[B, T, H]``, or ``[B, T, 2H]``, of ``x`` ``[B, T, D]``; zero beyond ``lengths``.

        Raises ValueError unless 1 <= length <= T for every row's length in ``lengths`` ``[B]``.
        """
        _check(x, lengths)
        if x.device.type != "cpu":
            packed = pack_padded_sequence(x, lengths.cpu(), batch_first=True, enforce_sorted=False)
            return pad_packed_sequence(super().forward(packed)[0], batch_first=True, total_length=x.shape[1])[0]
        with torch.autocast("cpu", enabled=False):
            return self._on_cpu(x.to(self.weight_ih_l0.dtype), lengths.cpu())

    def _on_cpu(self, x: Tensor, lengths: Tensor) -> Tensor:
        batch, steps, width = x.shape
        directions = 2 if self.bidirectional else 1
        layout = _packed_layout(lengths, steps)
        sources = layout.sources[:directions]
        inputs = x.reshape(batch * steps, width).index_select(0, sources.flatten()).view(directions, -1, width)
        bias = self._both("bias_ih") + self._both("bias_hh")
        hidden = _Layer.apply(inputs, self._both("weight_ih"), self._both("weight_hh"), bias, layout.active)
        padded = [x.new_zeros(batch * steps, self.hidden_size).index_copy(0, *pair) for pair in zip(sources, hidden, strict=True)]
        return torch.cat(padded, dim=-1).view(batch, steps, -1)

    def _both(self, name: str) -> Tensor:
        suffixes = ("_l0", "_l0_reverse") if self.bidirectional else ("_l0",)
        return torch.stack([getattr(self, name + suffix) for suffix in suffixes])


def masked_mean(x: Tensor, lengths: Tensor) -> Tensor:
    """Return the mean ``[B, D]`` of each row of ``x`` ``[B, T, D]`` over its first ``lengths`` ``[B]`` steps.

    What lies beyond a row's length has no influence, whatever it holds.
    Raises ValueError unless 1 <= length <= T for every row.
    """
    _check(x, lengths)
    lengths = lengths.to(x.device).unsqueeze(1)
    beyond = torch.arange(x.shape[1], device=x.device) >= lengths
    return x.masked_fill(beyond.unsqueeze(-1), 0.0).sum(dim=1) / lengths


def _check(x: Tensor, lengths: Tensor) -> None:
    batch, steps = x.shape[:2]
    if batch == 0 or lengths.shape != (batch,):
        raise ValueError(f"expected one length for each of {batch} rows, at least one, found lengths {list(lengths.shape)}")
    if int(lengths.min()) < 1 or int(lengths.max()) > steps:
        raise ValueError(f"expected lengths from 1 to {steps}, found {lengths.tolist()}")


@dataclass(frozen=True)
class _Layout:
    """Where the N existing steps of a padded batch lie when all rows' first steps come first, longest row first, and so on."""

    sources: Tensor  # [2, N] in the flattened batch; in the second line each row is read from its end
    active: list[int]  # rows that have a step t; it never grows with t


def _packed_layout(lengths: Tensor, steps: int) -> _Layout:
    rows = lengths.argsort(descending=True, stable=True)
    step, rank = (torch.arange(steps).unsqueeze(1) < lengths[rows]).nonzero().unbind(1)
    row = rows[rank]
    sources = torch.stack([row * steps + step, row * steps + lengths[row] - 1 - step])
    return _Layout(sources, torch.bincount(step).tolist())


class _Layer(torch.autograd.Function):
    """Hidden states ``[K, N, H]`` of K directions from inputs ``[K, N, D]``; N runs over the steps as in :class:`_Layout`.

    Weights are ``[K, 4H, D]`` and ``[K, 4H, H]``, the bias ``[K, 4H]``; gates in nn.LSTM's order: input, forget, cell, output.
    """

    @staticmethod
    def forward(ctx: FunctionCtx, inputs: Tensor, weight_ih: Tensor, weight_hh: Tensor, bias: Tensor, active: list[int]) -> Tensor:
        gates = torch.baddbmm(bias.unsqueeze(1), inputs, weight_ih.transpose(1, 2))
        width = weight_hh.shape[-1]
        cell, squashed, hidden = gates.new_empty(3, *gates.shape[:2], width).unbind()
        views = (gates[..., : 2 * width], *gates.chunk(4, dim=-1), cell, squashed, hidden)
        recurrent = [weight.t() for weight in weight_hh]
        before, c = [], gates.new_zeros(len(gates), active[0], width)
        for products, h_by_direction, step in zip(
            _steps(gates, active), _steps(hidden, active), _steps(views, active), strict=True
        ):
            i_f, i, f, g, o, c_now, tanh_c, h_now = step
            n = h_now.shape[1]
            for product, h, weight in zip(products, before, recurrent):  # noqa: B905  nothing is before the first step
                product.addmm_(h[:n], weight)
            i_f.sigmoid_(), g.tanh_(), o.sigmoid_()
            torch.mul(f, c[:, :n], out=c_now).addcmul_(i, g)
            torch.mul(o, torch.tanh(c_now, out=tanh_c), out=h_now)
            before, c = h_by_direction, c_now
        ctx.active = active
        ctx.save_for_backward(inputs, weight_ih, weight_hh, gates, cell, squashed, hidden)
        return hidden

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, grad_hidden: Tensor) -> tuple[Tensor | None, Tensor, Tensor, Tensor, None]:
        inputs, weight_ih, weight_hh, gates, cell, squashed, hidden = ctx.saved_tensors
        first, previous = ctx.active[0], _previous(ctx.active)
        cell_before = torch.cat([torch.zeros_like(cell[:, :first]), cell[:, previous]], dim=1)
        grad_gates = _back_through_time(grad_hidden.clone(), weight_hh, gates, squashed, cell_before, ctx.active)
        grad_inputs = grad_gates @ weight_ih if ctx.needs_input_grad[0] else None
        transposed = grad_gates.transpose(1, 2)
        return grad_inputs, transposed @ inputs, transposed[..., first:] @ hidden[:, previous], grad_gates.sum(1), None


def _back_through_time(
    grad_hidden: Tensor, weight_hh: Tensor, gates: Tensor, squashed: Tensor, cell_before: Tensor, active: list[int]
) -> Tensor:
    """Return the gradient ``[K, N, 4H]`` by the gates' inputs; ``grad_hidden`` ``[K, N, H]`` is used up."""
    i, f, g, o = gates.chunk(4, dim=-1)
    # The derivatives of a step's cell by its gates' inputs, of its hidden state by its cell and by its output gate's input.
    of_cell = torch.stack([g * i * (1 - i), cell_before * f * (1 - f), i * (1 - g.square())], dim=2)
    by_cell, by_output = o * (1 - squashed.square()), squashed * o * (1 - o)
    grad_gates = torch.empty_like(gates)
    d_cell_gates, d_output = grad_gates.unflatten(-1, (4, -1)).split([3, 1], dim=2)
    views = (grad_hidden, by_cell, f, of_cell, d_cell_gates, by_output, d_output.squeeze(2))
    steps = list(zip(_steps(views, active), _steps(grad_hidden, active), _steps(grad_gates, active), strict=True))
    weights = weight_hh.unbind()
    grad_cell = torch.zeros_like(cell_before[:, : active[0]])
    for now in range(len(active) - 1, -1, -1):
        (dh, dh_dc, forget, dc_gates, d_gates, dh_output, d_out), _, d_products = steps[now]
        dc = grad_cell[:, : active[now]].addcmul_(dh, dh_dc)
        torch.mul(dc.unsqueeze(2), dc_gates, out=d_gates)
        torch.mul(dh, dh_output, out=d_out)
        dc.mul_(forget)
        if now:
            for dh_before, d_product, weight in zip(steps[now - 1][1], d_products, weights, strict=True):
                dh_before[: active[now]].addmm_(d_product, weight)
    return grad_gates


def _steps(tensors: Iterable[Tensor], active: list[int]) -> Iterator[tuple[Tensor, ...]]:
    """For each step, the views of all ``tensors`` (``[N, width]`` or ``[K, N, width]``) on its rows."""
    return zip(*(tensor.split(active, dim=min(tensor.ndim - 2, 1)) for tensor in tensors), strict=True)


def _previous(active: list[int]) -> Tensor:
    """Where, for each but the rows' first steps, the same row's step before lies."""
    rows = torch.tensor(active)
    return torch.arange(active[0], int(rows.sum())) - rows[:-1].repeat_interleave(rows[1:])
