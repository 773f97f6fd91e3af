"""Trains the same small sequence model with several seeds side by side; each seed has its own units, order and first weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

from trainables.models.stacked_recurrent import MODULES, StackedBatch, StackedClassifier
from trainables.numerics import seeded
from trainables.training import EpochOrder

if TYPE_CHECKING:
    from trainables.seed_batch import SequenceSettings

_ROUNDING = 1e-12  # a variance of so small a share of the mean square is what is left of rounding in float64


@dataclass(frozen=True)
class Sequences:
    """Units as sequences of vectors: slices of one table.

    Attributes:
        table: The vectors of all units one after the other, float32 ``[rows, D]``.
        lengths: Of each unit, LongTensor ``[units]``.
    """

    table: Tensor
    lengths: Tensor

    @cached_property
    def starts(self) -> Tensor:
        """First row of each unit, ``[units]``."""
        return self.lengths.cumsum(0) - self.lengths

    @cached_property
    def _sums(self) -> tuple[Tensor, Tensor]:
        """Sum of each unit's vectors and of their squares, float64 ``[units, D]``."""
        wide = [part.double() for part in self.table.split(self.lengths.tolist())]
        return torch.stack([part.sum(dim=0) for part in wide]), torch.stack([part.square().sum(dim=0) for part in wide])

    def statistics(self, units: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and deviation ``[D]`` of the vectors of some units; a dimension in which they do not differ has deviation 1."""
        mean, squares = (part[units].sum(dim=0) / self.lengths[units].sum() for part in self._sums)
        variance = squares - mean.square()
        varies = variance > _ROUNDING * squares
        return mean.float(), torch.where(varies, variance, 1.0).sqrt().float()


class SeedData(NamedTuple):
    """What one seed trains on.

    Attributes:
        seed: Decides first weights and order.
        training: Numbers of its training units, LongTensor ``[n]``.
        labels: Their classes, LongTensor ``[n]``.
        outside: Numbers of the units that it is asked about afterwards, LongTensor ``[m]``.
    """

    seed: int
    training: Tensor
    labels: Tensor
    outside: Tensor


class Trained(NamedTuple):
    """What comes of one seed.

    Attributes:
        losses: Mean loss of each epoch, float32 ``[epochs]``.
        probabilities: Of the units outside, float32 ``[m, classes]``.
    """

    losses: Tensor
    probabilities: Tensor


class StackedTraining:
    """Models of some seeds side by side, what they read, and where each is in its training."""

    def __init__(
        self, settings: SequenceSettings, sequences: Sequences, data: Sequence[SeedData], classes: int, device: torch.device
    ) -> None:
        self.data, self._sequences, self._device = data, sequences, device
        self._table = sequences.table.to(device)
        statistics = zip(*(sequences.statistics(own.training) for own in data), strict=True)
        self._mean, self._deviation = (torch.stack(part).to(device) for part in statistics)
        self.model = _initial(settings, sequences.table.shape[1], classes, [own.seed for own in data]).to(device)
        # Adam acts on each weight by itself, so one optimizer of all is each seed's own.
        self._optimizer = torch.optim.Adam(self.model.parameters(), lr=settings.learning_rate, fused=True)
        self._orders = [EpochOrder(len(own.training), settings.batch_size, own.seed) for own in data]
        self.steps = [settings.epochs * order.steps_per_epoch for order in self._orders]
        self._weights = [class_weights(own.labels, classes)[own.labels] for own in data] if settings.balanced else None

    def step(self, index: int) -> Tensor:
        """Take a step with the batch of this number; return each seed's loss before it, ``[S]``."""
        batches = [order[index] for order in self._orders]
        logits = self._logits([own.training[batch] for own, batch in zip(self.data, batches, strict=True)])
        labels = _padded([own.labels[batch] for own, batch in zip(self.data, batches, strict=True)]).to(self._device)
        ones = self._weights or [torch.ones(len(own.labels)) for own in self.data]
        share = _padded([own[batch] / len(batch) for own, batch in zip(ones, batches, strict=True)]).to(self._device)
        each = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none")
        losses = (each.view_as(share) * share).sum(dim=1)
        self._optimizer.zero_grad(set_to_none=True)
        losses.sum().backward()
        self._optimizer.step()
        return losses.detach()

    @torch.inference_mode()
    def probabilities(self, batch_size: int) -> list[Tensor]:
        """What each seed's model says now of the units outside its training set, ``[m, classes]``."""
        outside = [own.outside for own in self.data]
        longest = max(map(len, outside))
        found = [
            self._logits([own[begin : begin + batch_size] for own in outside]).softmax(dim=-1).cpu()
            for begin in range(0, longest, batch_size)
        ]
        return [rows[: len(own)] for rows, own in zip(torch.cat(found, dim=1), outside, strict=True)]

    def _logits(self, units: Sequence[Tensor]) -> Tensor:
        """Logits ``[S, B, classes]`` of the units that each seed is given, at most B; rows beyond its own mean nothing."""
        starts, lengths = (_padded([part[own] for own in units]) for part in (self._sequences.starts, self._sequences.lengths))
        batch = StackedBatch.of(starts, lengths, directions=2, device=self._device)
        x = self._table.index_select(0, batch.rows)
        for part, mean, deviation in zip(x.split(batch.sizes), self._mean, self._deviation, strict=True):
            part.sub_(mean).div_(deviation)
        return self.model(x, batch)


def train_together(
    settings: SequenceSettings,
    sequences: Sequences,
    data: Sequence[SeedData],
    classes: int,
    device: torch.device,
    tick: Callable[[float], None],
) -> list[Trained]:
    """Train all seeds for their epochs, then ask them about the units outside their training sets.

    Args:
        settings: Cell, hidden size, epochs, batch size, learning rate, and whether classes are balanced.
        sequences: All units.
        data: What each seed trains on.
        classes: Number of classes.
        device: Where to compute.
        tick: Told the fraction of the work that is done.
    """
    seeds = StackedTraining(settings, sequences, data, classes, device)
    losses: list[Tensor] = []
    probabilities: dict[int, Tensor] = {}
    # Where a division is drawn, seeds may have unlike many units. One that has done its steps is asked at once; the others go on,
    # and what becomes of its weights meanwhile does not matter.
    for begin, end in pairwise([0, *sorted(set(seeds.steps))]):
        for index in range(begin, end):
            losses.append(seeds.step(index))
            tick((index + 1) / max(seeds.steps))
        asked = seeds.probabilities(settings.batch_size)
        probabilities |= {number: asked[number] for number, steps in enumerate(seeds.steps) if steps == end}
    curves = torch.stack(losses, dim=1).cpu()
    epochs = [curve[:steps].view(settings.epochs, -1).mean(dim=1) for curve, steps in zip(curves, seeds.steps, strict=True)]
    return [Trained(epochs[number], probabilities[number]) for number in range(len(data))]


def class_weights(labels: Tensor, classes: int) -> Tensor:
    """A weight for each class, so that all weigh equally much in all and a unit weighs 1 on average; 0 for one without units."""
    counts = torch.bincount(labels, minlength=classes)
    return len(labels) / (counts.clamp(min=1) * (counts > 0).sum()) * (counts > 0)


def _initial(settings: SequenceSettings, width: int, classes: int, seeds: Sequence[int]) -> StackedClassifier:
    """The models with the weights that PyTorch draws for each seed alone."""
    layers, heads = [], []
    for seed in seeds:
        torch.manual_seed(seeded(seed, "initialisation"))
        layers.append(MODULES[settings.cell](width, settings.hidden_size, batch_first=True, bidirectional=True))
        heads.append(nn.Linear(2 * settings.hidden_size, classes))
    return StackedClassifier(layers, heads)


def _padded(rows: Sequence[Tensor]) -> Tensor:
    return pad_sequence(list(rows), batch_first=True)
