"""Which stretches of utterances a batch has and where they begin: a function of (seed, step) alone."""

from __future__ import annotations

import numpy as np
import torch

from trainables.numerics import seeded
from trainables.training import EpochOrder


def stretches_of(lengths: np.ndarray, stretch: int) -> np.ndarray:
    """The stretches of an epoch, each as the number of its utterance, int64 ``[stretches]``.

    An utterance has one for every stretch's length that it lasts (rounded, at least one): an epoch hears about as much sound as
    there is, and long utterances have their share.

    Args:
        lengths: Of the utterances, int64 ``[utterances]``.
        stretch: Length of a stretch, in the same unit.
    """
    return np.repeat(np.arange(len(lengths)), np.maximum(1, (lengths / stretch).round().astype(np.int64)))


class RandomStretches:
    """Batches of an epoch's stretches, each time anywhere in their utterances.

    Args:
        stretches: What :func:`stretches_of` says; not fewer than a batch has.
        places: At how many places a stretch of each utterance can begin, int64 ``[utterances]``.
        batch_size: Stretches of a step.
        seed: Seeds which stretches a step has ("batch order") and where they begin ("crops").

    Attributes:
        steps_per_epoch: Batches in which all stretches of an epoch occur.
    """

    def __init__(self, stretches: np.ndarray, places: np.ndarray, batch_size: int, seed: int) -> None:
        self._stretches, self._places, self._seed = stretches, places, seed
        self._order = EpochOrder(len(stretches), batch_size, seed)
        self.steps_per_epoch = self._order.steps_per_epoch

    def __getitem__(self, step: int) -> tuple[np.ndarray, np.ndarray]:
        """Utterances of this step, and at which of its places each one's stretch begins, both int64 ``[batch_size]``."""
        chosen = self._stretches[self._order[step].numpy()]
        generator = torch.Generator().manual_seed(seeded(self._seed, "crops", step))
        draws = torch.rand(len(chosen), generator=generator, dtype=torch.float64).numpy()
        return chosen, (draws * self._places[chosen]).astype(np.int64)
