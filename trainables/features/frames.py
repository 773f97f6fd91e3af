"""Frames of turns of any length as one memory-mapped array: the turns lie in it one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from trainables.errors import UserError
from trainables.features.array_file import ArrayWriter, open_array

FILE_NAME = "frames.npy"

_BLOCK = 32768  # frames of a turn taken at a time: bounds the memory, where a recording of an hour is one turn


class FrameWriter(ArrayWriter):
    """Writes frames ``[all frames, D]`` into ``path/frames.npy`` without holding them in memory.

    What it refuses, and how it leaves the folder then, is :class:`~trainables.features.array_file.ArrayWriter`'s.
    """

    def __init__(self, path: Path, dimensions: int, dtype: str = "float16") -> None:
        super().__init__(Path(path) / FILE_NAME, (dimensions,), dtype)

    def append(self, frames: Tensor) -> None:
        """Write the next frames, ``[n, D]``, at least one."""
        self.write(frames)

    def extend(self, path: Path) -> None:
        """Write all of ``path/frames.npy``, which another writer has made of frames of the same size and type.

        Raises UserError if that file is missing or damaged, ValueError if its frames are of another kind.
        """
        self.copy(Path(path) / FILE_NAME)


class FrameTable:
    """The frames of all turns in a result folder (``frames.npy`` and ``segments.parquet``), read from the page cache.

    Attributes:
        first: Number of each turn's first frame, int64 ``[turns]``.
        lengths: Number of each turn's frames, int64 ``[turns]``.

    Raises UserError if there is no whole ``frames.npy``, or if ``segments.parquet`` tells of other frames.
    """

    def __init__(self, path: Path) -> None:
        path = Path(path)
        self._frames = torch.from_numpy(open_array(path / FILE_NAME, axes=2))
        turns = pd.read_parquet(path / "segments.parquet", columns=["first_frame", "frames"]).to_numpy(dtype=np.int64)
        self.first, self.lengths = torch.tensor(turns.T.copy())
        follow = torch.equal(self.first, self.lengths.cumsum(0) - self.lengths)
        if not follow or int(self.lengths.sum()) != len(self._frames):
            raise UserError(
                f"found {len(self._frames)} frames in {path / FILE_NAME}, but segments.parquet beside it tells of "
                f"{int(self.lengths.sum())}{'' if follow else ' in another order'}; delete this folder and run its stage again"
            )

    def __len__(self) -> int:
        return len(self.first)

    @property
    def dimensions(self) -> int:
        """Values of a frame, D."""
        return self._frames.shape[1]

    def blocks(self, index: int) -> Iterator[Tensor]:
        """The frames of one turn in pieces that fit into memory however long it is, each float32 ``[n, D]``."""
        start, length = int(self.first[index]), int(self.lengths[index])
        for block in self._frames[start : start + length].split(_BLOCK):
            yield block.float()

    def gather(self, first: Tensor, lengths: Tensor) -> Tensor:
        """Stretches of frames, in their order and as often as asked, float32 ``[B, longest, D]``, zero beyond each one's length.

        They are read in the order in which they lie on disk. Raises IndexError for a stretch that is not inside the array.

        Args:
            first: Number of the first frame of each, int64 ``[B]``: :attr:`first` of whole turns.
            lengths: Number of frames of each, int64 ``[B]``: :attr:`lengths` of whole turns.
        """
        if len(first) and not 0 <= int(first.min()) <= int((first + lengths).max()) <= len(self._frames):
            raise IndexError(f"expected frames from 0 to {len(self._frames) - 1}, found {(first + lengths - 1).tolist()}")
        batch = torch.zeros(len(first), int(lengths.max()) if len(first) else 0, self.dimensions)
        for place in first.argsort().tolist():
            start, length = int(first[place]), int(lengths[place])
            batch[place, :length] = self._frames[start : start + length]
        return batch
