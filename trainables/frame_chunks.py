"""Random chunks of turns' frames, read when they are needed: memory grows neither with the corpus nor with its longest file."""

from __future__ import annotations

import numpy as np
import torch

from trainables.errors import UserError
from trainables.features.frames import FrameTable
from trainables.random_stretches import RandomStretches, stretches_of


class FrameChunks:
    """Batches of chunks, a function of (seed, step) alone.

    A chunk is a stretch of ``frames`` frames of one utterance, or a whole utterance that is shorter. How often an utterance has one
    in an epoch, :func:`~trainables.random_stretches.stretches_of` says; each time anywhere in it.

    Args:
        table: The frames of all utterances.
        rows: Numbers of the utterances that may be heard, int64 ``[n]``, each once.
        frames: Frames of a chunk.
        least: Frames below which an utterance is left out, at most ``frames``.
        batch_size: Chunks of a step.
        seed: Seeds which chunks a step has and where they begin.
        repeat: Whether utterances may have further chunks where there would be fewer than a batch has.

    Attributes:
        steps_per_epoch: Batches in which every utterance that is not too short has as many chunks as said above.
        rows: Numbers of the utterances that are heard, int64 ``[utterances]``.
        utterances: How many they are.
        too_short: Number of those that are left out.

    Raises:
        UserError: There are fewer chunks in an epoch than a batch has.
    """

    def __init__(
        self, table: FrameTable, rows: torch.Tensor, frames: int, least: int, batch_size: int, seed: int, repeat: bool = False
    ) -> None:
        self.rows = rows[table.lengths[rows] >= least]
        self.utterances, self.too_short = len(self.rows), len(rows) - len(self.rows)
        whole = table.lengths[self.rows].numpy()
        chunks = stretches_of(whole, frames)
        if repeat and 0 < len(chunks) < batch_size:
            chunks = np.tile(chunks, -(-batch_size // len(chunks)))
        if batch_size > len(chunks):
            raise UserError(
                f"batch_size {batch_size} is more than the {len(chunks)} chunks of {frames} frames in {len(rows)} utterances "
                f"({self.too_short} of them have fewer than {least} frames); lower batch_size or chunk_frames, or let more speech "
                "be heard"
            )
        self._table, self._first = table, table.first[self.rows].numpy()
        self._lengths = np.minimum(whole, frames)
        self._drawn = RandomStretches(chunks, whole - self._lengths + 1, batch_size, seed)
        self.steps_per_epoch = self._drawn.steps_per_epoch

    def lengths(self, step: int) -> torch.Tensor:
        """Frames of each chunk of this step's whole batch, int64 ``[batch_size]``."""
        chosen, _ = self._drawn[step]
        return torch.from_numpy(self._lengths[chosen])

    def gather(self, step: int, places: slice) -> torch.Tensor:
        """Some chunks of this step, float32 ``[chosen, T, D]``; T is the longest of the whole batch, and zeros fill up to it.

        Args:
            step: Number of the step.
            places: Which places of the batch.
        """
        chosen, offsets = self._drawn[step]
        longest, mine = int(self._lengths[chosen].max()), chosen[places]
        first = torch.from_numpy(self._first[mine] + offsets[places])
        found = self._table.gather(first, torch.from_numpy(self._lengths[mine]))
        return torch.nn.functional.pad(found, (0, 0, 0, longest - found.shape[1]))
