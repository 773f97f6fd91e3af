"""Training steps of a session classifier: Lstm against packed nn.LSTM, same weights and batches, CPU time of one thread.

A bi-LSTM over 100 to 300 segments of 512 dimensions, mean over time, cross entropy, Adam: the ReCLR paper's session model.

    python tests/benchmarks/session_lstm.py [--rounds N] [--json PATH]
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable

import torch
from _ratio import Goal, Row, arguments, interleaved, one_thread, report, rows
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from trainables.models.lstm import Lstm, masked_mean
from trainables.numerics import keep_freed_memory, seeded

GOAL = 3.0
DIMENSIONS = 512


class _Packed(nn.LSTM):
    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        return pad_packed_sequence(super().forward(packed)[0], batch_first=True, total_length=x.shape[1])[0]


class _Classifier(nn.Module):
    def __init__(self, lstm: nn.LSTM) -> None:
        super().__init__()
        self.lstm = lstm
        self.output = nn.Linear(2 * lstm.hidden_size, 2)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        return self.output(masked_mean(self.lstm(x, lengths), lengths))


def _batch(size: int, step: int) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seeded(0, "batch", step))
    lengths = torch.randint(100, 301, (size,), generator=generator)
    labels = torch.randint(0, 2, (size,), generator=generator)
    x = torch.randn(size, int(lengths.max()), DIMENSIONS, generator=generator)
    x[:, :, :32] += 0.2 * (2 * labels - 1).view(-1, 1, 1)  # learnable, so that the losses fall and could part
    return x, lengths, labels


def _stepper(model: nn.Module, losses: list[float], batch: dict[str, tuple]) -> Callable[[], None]:
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

    def step() -> None:
        x, lengths, labels = batch["now"]
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x, lengths), labels)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())

    return step


def _compare(hidden: int, size: int, rounds: int) -> list[Row]:
    torch.manual_seed(0)
    packed = _Classifier(_Packed(DIMENSIONS, hidden, batch_first=True, bidirectional=True))
    ours = _Classifier(Lstm(DIMENSIONS, hidden, bidirectional=True))
    ours.load_state_dict(copy.deepcopy(packed.state_dict()))
    losses, batch = {"packed nn.LSTM": [], "Lstm": []}, {}
    variants = {name: _stepper(model, losses[name], batch) for (name, model) in zip(losses, (packed, ours), strict=True)}
    steps = iter(range(rounds + 1))

    def next_batch() -> None:
        batch["now"] = _batch(size, next(steps))

    interleaved(variants, 1, "cpu", next_batch)  # the first step also allocates the optimizer's state
    seconds = interleaved(variants, rounds, "cpu", next_batch)
    difference = max(abs(theirs - mine) for theirs, mine in zip(*losses.values(), strict=True))
    figures = {name: {"first loss": own[0], "last loss": own[-1]} for name, own in losses.items()}
    return rows(seconds, {**figures, "Lstm": figures["Lstm"] | {"max loss difference": difference}})


def main() -> int:
    """Time both sizes, compare the losses step by step, report."""
    options = arguments(__doc__, rounds=12)
    keep_freed_memory()
    one_thread()
    tables = {f"H {hidden}, batch {size}": _compare(hidden, size, options.rounds) for hidden, size in ((128, 16), (32, 4))}
    goals = []
    for caption, (_, ours) in tables.items():
        goals.append(Goal(f"{caption}: at least {GOAL} x packed nn.LSTM", ours.ratio >= GOAL))
        goals.append(Goal(f"{caption}: losses within 1e-6", ours.figures["max loss difference"] <= 1e-6))
    return report("training step of a session classifier", tables, goals, options.json)


if __name__ == "__main__":
    sys.exit(main())
