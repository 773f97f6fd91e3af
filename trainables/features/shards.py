"""Features of a corpus as one memory-mapped array: written once, row by row, and read by every stage and worker."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from trainables.features.array_file import ArrayWriter, open_array

FILE_NAME = "features.npy"


class FeatureWriter(ArrayWriter):
    """Writes features ``[N, frames, mels]`` into ``path/features.npy``, row by row, without knowing N or holding them in memory.

    float16 halves what an epoch reads; on log-mel values between -100 and 40 dB it rounds by at most 0.04 dB.

    >>> with FeatureWriter(folder, frames=501, mels=64, dtype="float16") as writer:  # doctest: +SKIP
    ...     writer.append(log_mel(waveform))

    What it refuses, and how it leaves the folder then, is :class:`~trainables.features.array_file.ArrayWriter`'s.
    """

    def __init__(self, path: Path, frames: int, mels: int, dtype: str = "float16") -> None:
        super().__init__(Path(path) / FILE_NAME, (frames, mels), dtype)

    def append(self, row: Tensor) -> None:
        """Write the next row, ``[frames, mels]``."""
        self.write(row[None])

    def extend(self, path: Path) -> None:
        """Write all rows of ``path/features.npy``, which another writer has made of rows of the same shape and type.

        Raises UserError if that file is missing or damaged, ValueError if its rows are of another kind.
        """
        self.copy(Path(path) / FILE_NAME)


class FeatureShard:
    """The features ``[N, frames, mels]`` in a result folder, read from the page cache row by row.

    Raises UserError if the folder holds no ``features.npy``, or one that is cut short or not such an array.
    """

    def __init__(self, path: Path) -> None:
        self._rows = torch.from_numpy(open_array(Path(path) / FILE_NAME, axes=3))

    def __len__(self) -> int:
        return len(self._rows)

    def gather(self, indices: Tensor | np.ndarray) -> Tensor:
        """Return the rows at ``indices`` ``[B]``, in their order and as often as asked, as float32 ``[B, frames, mels]``.

        They are read in the order in which they lie on disk. Raises IndexError unless 0 <= index < N.
        """
        wanted = torch.as_tensor(indices, dtype=torch.int64)
        if len(wanted) and not 0 <= int(wanted.min()) <= int(wanted.max()) < len(self):
            raise IndexError(f"expected indices from 0 to {len(self) - 1}, found {wanted.tolist()}")
        batch = torch.empty(len(wanted), *self._rows.shape[1:])
        in_file_order, places = wanted.sort()
        for place, row in zip(places.tolist(), in_file_order.tolist(), strict=True):
            batch[place] = self._rows[row]
        return batch
