"""The area under the ROC curve of a trial of two classes, as a function of sums over its speakers.

The area is the share of all pairs of a positive and a negative unit in which the positive one has the higher probability, a tie
counting half (Mann and Whitney's statistic; Hanley and McNeil 1982). How often the positives of one speaker beat the negatives of
another is counted once. With w the weights of the speakers, U[s, t] those counts, P and N the speakers' positives and negatives,

    area = (sum over s and t of w_s w_t U[s, t]) / (sum of w_s P_s  *  sum of w_t N_t),

which equals scikit-learn's ``roc_auc_score`` with these sample weights. It is of second degree in the weights, and still a function
of sums: beside its row of U each speaker adds a 1 in a place of its own, so that the total has the weights themselves.

Cost: ``2 speakers + 2`` numbers a speaker, however many units there are (60 speakers: 58 KB); histograms over the distinct
probabilities, which would be sums as well, are 10 MB for 10,000 units, and are only held while they are counted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd


def pair_sums(predictions: pd.DataFrame, speaker: np.ndarray) -> np.ndarray:
    """What :func:`roc_area` is had from, for each speaker.

    Args:
        predictions: Columns ``truth`` (0 or 1) and ``p1``.
        speaker: Number of each unit's speaker, int ``[units]``.

    Returns:
        ``[speakers, 2 speakers + 2]``: of this speaker's positives against each speaker's negatives the pairs that are in order; 1
        at the speaker's own place; positives; negatives.
    """
    values, value = np.unique(predictions["p1"].to_numpy(float), return_inverse=True)
    speakers = speaker.max() + 1
    histograms = np.zeros((2, speakers, len(values)))
    np.add.at(histograms, (predictions["truth"].to_numpy().astype(int), speaker, value), 1)
    negatives, positives = histograms
    beaten = negatives.cumsum(axis=1) - negatives / 2  # by a positive of this value
    return np.column_stack([positives @ beaten.T, np.eye(speakers), positives.sum(axis=1), negatives.sum(axis=1)])


def roc_area(sums: np.ndarray) -> np.ndarray:
    """The area under the ROC curve.

    Args:
        sums: Weighted totals ``[..., 2 speakers + 2]`` of :func:`pair_sums`.

    Returns:
        ``[...]``; 0 where one class alone has any weight: there is no such curve, and no trial reports its area.
    """
    speakers = sums.shape[-1] // 2 - 1
    in_order = (sums[..., :speakers] * sums[..., speakers : 2 * speakers]).sum(axis=-1)
    pairs = sums[..., -2] * sums[..., -1]
    return np.divide(in_order, pairs, out=np.zeros(np.shape(pairs)), where=pairs > 0)
