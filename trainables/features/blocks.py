"""What log-mel front ends share on a CPU: overlapping frames cut block by block, and the product with the mel filters."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

# Shorter blocks pay more for planning the FFT, longer ones for memory traffic: these buffers (3 MB at 512 points) stay in a
# core's cache. Blocks also bound the memory that a long recording takes.
FRAMES_PER_BLOCK = 512
"""Frames of a block; a clip's last block has fewer."""


class FrameBlocks:
    """The samples of each block of a clip's frames. One buffer is used again and again: one object per thread.

    Args:
        length: Samples of a frame.
        hop: Samples from one frame's begin to the next one's.
    """

    def __init__(self, length: int, hop: int) -> None:
        self._length, self._hop = length, hop
        self._samples = torch.empty((FRAMES_PER_BLOCK - 1) * hop + length)

    def of(self, clip: Tensor, head: Tensor, tail: Tensor, first: int, frames: int) -> Iterator[tuple[slice, Tensor]]:
        """Yield for each block the numbers of its frames and their samples, which hold until the next block is asked for.

        Args:
            clip: Samples ``[n]``, the first of which is sample 0.
            head: Samples that end where the clip begins; at least as many as frames reach before it.
            tail: Samples that follow the clip; at least as many as frames reach after it.
            first: Sample with which frame 0 begins; negative where that is before the clip.
            frames: Number of frames.
        """
        for begin in range(0, frames, FRAMES_PER_BLOCK):
            end = min(begin + FRAMES_PER_BLOCK, frames)
            start = first + begin * self._hop
            stop = start + (end - begin - 1) * self._hop + self._length
            yield slice(begin, end), self._between(start, stop, clip, head, tail)

    def _between(self, start: int, stop: int, clip: Tensor, head: Tensor, tail: Tensor) -> Tensor:
        n = len(clip)
        if start >= 0 and stop <= n:
            return clip[start:stop]
        samples = self._samples[: stop - start]
        before, inside = max(0, -start), clip[max(0, start) : min(stop, n)]
        samples[:before] = head[len(head) - before :]
        samples[before : before + len(inside)] = inside
        missing = len(samples) - before - len(inside)
        samples[before + len(inside) :] = tail[max(0, stop - n) - missing : max(0, stop - n)]
        return samples


class MelBands:
    """The product of power spectra with mel filters, in bands that skip what is zero.

    A mel filter covers few bins: four products, each over its own bins, do a quarter of the dense product's work. More bands are
    slower again, because narrow products run badly.

    Args:
        filters: ``[bins, mels]``.
        bands: Into how many bands the mels are divided.
    """

    def __init__(self, filters: Tensor, bands: int) -> None:
        self._bands = [_band(filters, mels) for mels in torch.arange(filters.shape[1]).tensor_split(bands) if len(mels)]

    def write(self, power: Tensor, rows: Tensor) -> None:
        """Write the mel energies of ``power`` ``[frames, bins]`` into ``rows`` ``[frames, mels]``."""
        for bins, mels, filters in self._bands:
            torch.mm(power[:, bins], filters, out=rows[:, mels])


def _band(filters: Tensor, mels: Tensor) -> tuple[slice, slice, Tensor]:
    """The bins that are not all zero in these mels, the mels, and the filters between them."""
    columns = slice(int(mels[0]), int(mels[-1]) + 1)
    used = filters[:, columns].any(dim=1).nonzero()
    rows = slice(int(used.min()), int(used.max()) + 1) if len(used) else slice(0, 1)
    return rows, columns, filters[rows, columns].contiguous()
