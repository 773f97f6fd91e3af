"""Scores of a classifier as functions of confusion counts, over any number of leading axes.

Confusion counts add up over speakers, so the score of any weighting of the speakers costs one matrix product, not a pass over
the utterances. They equal scikit-learn's (``zero_division=0``, its default labels), with sample weights that are all positive.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


def f1_macro(confusion: np.ndarray) -> np.ndarray:
    """Mean over classes of 2 TP / (2 TP + FP + FN).

    Args:
        confusion: Weights ``[..., classes, classes]``, truth by prediction.

    Returns:
        ``[...]``. As in scikit-learn, a class in neither truth nor predictions has no part in the mean.
    """
    hits, truth, predicted = _margins(confusion)
    return _mean_over_present(_ratio(2 * hits, truth + predicted), truth + predicted)


def f1_micro(confusion: np.ndarray) -> np.ndarray:
    """Share of right predictions, which is what micro F1 of single-label predictions comes to; shapes as in :func:`f1_macro`."""
    hits, truth, _ = _margins(confusion)
    return _ratio(hits.sum(axis=-1), truth.sum(axis=-1))


def uar(confusion: np.ndarray) -> np.ndarray:
    """Mean over classes of TP / (TP + FN), unweighted average recall; shapes as in :func:`f1_macro`.

    As in scikit-learn, a class that is predicted but never true counts with recall 0.
    """
    hits, truth, predicted = _margins(confusion)
    return _mean_over_present(_ratio(hits, truth), truth + predicted)


SCORES: dict[str, Callable[[np.ndarray], np.ndarray]] = {"f1_macro": f1_macro, "f1_micro": f1_micro, "uar": uar}
"""The metrics that can be had from confusion counts, by the name under which a trial reports them. All lie in 0..1."""


def _margins(confusion: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return np.diagonal(confusion, axis1=-2, axis2=-1), confusion.sum(axis=-1), confusion.sum(axis=-2)


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.zeros(np.shape(whole)), where=whole > 0)


def _mean_over_present(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return _ratio(values.sum(axis=-1), (weights > 0).sum(axis=-1))
