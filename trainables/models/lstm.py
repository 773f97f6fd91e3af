"""Long short-term memory over sequences of unequal length, several times as fast as packing on a CPU."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from trainables.models.stacked_recurrent import StackedBatch, recurrence, stacked


class Lstm(nn.LSTM):
    """One layer of LSTM (Hochreiter and Schmidhuber 1997), in one or both directions, over a padded batch.

    Its parameters, their names and initialisation are those of ``nn.LSTM(input_size, hidden_size, batch_first=True)``, and its
    outputs are those of that module on a packed sequence: each row is read from its first to its last step, the other way
    round from its last to its first, and what lies beyond its length is never read.

    PyTorch gives packed sequences a slow path on the CPU (pytorch#149194), so there it is a stack of one model
    (:mod:`trainables.models.stacked_recurrent`). Autocast does not apply there. Elsewhere cuDNN reads packed sequences directly.
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
        rows, steps, width = x.shape
        directions = 2 if self.bidirectional else 1
        batch = StackedBatch.of(torch.arange(rows).unsqueeze(0) * steps, lengths.unsqueeze(0), directions)
        own = (stacked([self], name) for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
        hidden = recurrence("lstm", x.reshape(-1, width).index_select(0, batch.rows), *own, batch)
        existing = hidden.view(-1, self.hidden_size).index_select(0, batch.given).view(-1, directions * self.hidden_size)
        return x.new_zeros(rows * steps, existing.shape[1]).index_copy(0, batch.rows, existing).view(rows, steps, -1)


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
