"""Mean and deviation of every value of frames or sentences that come in pieces."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import torch

_ROUNDING = 1e-12  # a variance of so small a share of the mean square is what is left of rounding in float64


class Statistics(NamedTuple):
    """Mean and deviation of every dimension, float32 ``[D]``; the deviation is 1 where there is none, so that what is constant in
    what was heard is not blown up where it varies, as it may in the corpus to which a model is transferred."""

    mean: torch.Tensor
    scale: torch.Tensor


def statistics_of(pieces: Iterable[np.ndarray | torch.Tensor]) -> Statistics:
    """Of all rows together; sums are in float64, and one piece is held at a time.

    Args:
        pieces: Each ``[n, D]``, in the memory of the CPU; at least one row in all.
    """
    count, total, squares = 0, 0.0, 0.0
    for piece in pieces:
        values = np.asarray(piece, dtype=np.float64)
        count, total, squares = count + len(values), total + values.sum(axis=0), squares + np.square(values).sum(axis=0)
    mean, squares = total / count, squares / count
    variance = squares - np.square(mean)
    scale = np.sqrt(np.where(variance > _ROUNDING * squares, variance, 1.0))
    return Statistics(torch.tensor(mean, dtype=torch.float32), torch.tensor(scale, dtype=torch.float32))
