"""Scores of a trial as functions of sums over its units, over any number of leading axes.

Such sums add up over speakers, so the score of any weighting of the speakers costs one matrix product, not a pass over the
utterances. A score that is no function of sums, as a mean over folds, has no place here.

Scores of a classifier are functions of confusion counts and equal scikit-learn's (``zero_division=0``, its default labels), with
sample weights that are all positive.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from orchestrator.statistics.roc_area import pair_sums, roc_area
from orchestrator.statistics.sums import Statistic, of_units
from trainables.attributes import ATTRIBUTES
from trainables.metrics import PREFIXES, PredictionsName

if TYPE_CHECKING:
    import pandas as pd

_MAE, _CCC = "mae_", "ccc_"
_FOLD_MEAN = "_fold_mean"


@dataclass(frozen=True)
class Score:
    """A metric that can be had from sums.

    Attributes:
        statistic: What is summed.
        of_sums: From the sums ``[..., *terms]`` to the score ``[...]``.
        share: Whether it lies in 0..1 and, as a share of right answers, varies less towards both ends.
    """

    statistic: Statistic
    of_sums: Callable[[np.ndarray], np.ndarray]
    share: bool


def find_score(metric: str) -> Score | None:
    """The score of this name; None if the metric cannot be had from sums, as a mean over folds cannot.

    ``dev_<name>``, ``subject_<name>`` and so on are the score ``<name>`` of other predictions (:func:`predictions_file`).
    ``mae_<attribute>`` and ``ccc_<attribute>`` read the columns ``<attribute>`` and ``<attribute>_predicted``.
    """
    name = metric.removeprefix(PREFIXES[_predictions(metric)])
    if name.endswith(_FOLD_MEAN):
        return None
    if name.startswith(_MAE):
        return _mean_absolute_error(name.removeprefix(_MAE))
    if name.startswith(_CCC):
        return _concordance((name.removeprefix(_CCC),))
    return SCORES.get(name)


def predictions_file(metric: str) -> str:
    """The file of a trial's result that holds the predictions behind a metric."""
    return f"{_predictions(metric)}.parquet"


def _predictions(metric: str) -> PredictionsName:
    """The file whose metrics begin as this one does, the longest beginning first: ``mixed_subject_uar`` is none of ``mixed_``."""
    return max((name for name, prefix in PREFIXES.items() if metric.startswith(prefix)), key=lambda name: len(PREFIXES[name]))


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


def f1_positive(confusion: np.ndarray) -> np.ndarray:
    """2 TP / (2 TP + FP + FN) of class 1 of a binary task; shapes as in :func:`f1_macro`."""
    hits, truth, predicted = _margins(confusion)
    return _ratio(2 * hits[..., 1], truth[..., 1] + predicted[..., 1])


def precision_positive(confusion: np.ndarray) -> np.ndarray:
    """TP / (TP + FP) of class 1 of a binary task; shapes as in :func:`f1_macro`."""
    hits, _, predicted = _margins(confusion)
    return _ratio(hits[..., 1], predicted[..., 1])


def recall_positive(confusion: np.ndarray) -> np.ndarray:
    """TP / (TP + FN) of class 1 of a binary task; shapes as in :func:`f1_macro`."""
    hits, truth, _ = _margins(confusion)
    return _ratio(hits[..., 1], truth[..., 1])


def uar(confusion: np.ndarray) -> np.ndarray:
    """Mean over classes of TP / (TP + FN), unweighted average recall; shapes as in :func:`f1_macro`.

    As in scikit-learn, a class that is predicted but never true counts with recall 0.
    """
    hits, truth, predicted = _margins(confusion)
    return _mean_over_present(_ratio(hits, truth), truth + predicted)


def _margins(confusion: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return np.diagonal(confusion, axis1=-2, axis2=-1), confusion.sum(axis=-1), confusion.sum(axis=-2)


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.zeros(np.shape(whole)), where=whole > 0)


def _mean_over_present(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return _ratio(values.sum(axis=-1), (weights > 0).sum(axis=-1))


def _codes(predictions: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, int]:
    """Truth and prediction ``[units]`` as numbers from 0, and how many there are.

    Class 0 and 1 are always there, so that class 1 of a binary task is class 1 in whatever little set.
    """
    labels = predictions[["truth", "predicted"]].to_numpy().astype(int)
    classes, codes = np.unique(np.concatenate([labels.ravel(), [0, 1]]), return_inverse=True)
    truth, predicted = codes[:-2].reshape(labels.shape).T
    return truth, predicted, len(classes)


def _confusion(predictions: pd.DataFrame) -> np.ndarray:
    truth, predicted, classes = _codes(predictions)
    one = np.eye(classes)
    return one[truth][:, :, None] * one[predicted][:, None, :]


def _truth(predictions: pd.DataFrame) -> np.ndarray:
    return _codes(predictions)[0]


_CONFUSION = Statistic(("truth", "predicted"), of_units(_confusion), _truth)


def _by_class(predictions: pd.DataFrame) -> np.ndarray:
    """Value and count ``[units, 2 classes, 2]``."""
    value = predictions["value"].to_numpy(float)
    healthy_or_depressed = np.eye(2)[predictions["truth"].to_numpy().astype(int)]
    return healthy_or_depressed[:, :, None] * np.stack([value, np.ones_like(value)], axis=1)[:, None, :]


def _class_means(sums: np.ndarray) -> np.ndarray:
    """Means ``[..., 2]`` of the healthy and of the depressed."""
    return _ratio(sums[..., 0], sums[..., 1])


def _only(wanted: int) -> Callable[[pd.DataFrame], np.ndarray]:
    return lambda predictions: np.where(predictions["truth"].to_numpy().astype(int) == wanted, 0, -1)


def _one_group(predictions: pd.DataFrame) -> np.ndarray:
    return np.zeros(len(predictions), int)


def _classes(predictions: pd.DataFrame) -> np.ndarray:
    return predictions["truth"].to_numpy().astype(int)


def _mean_absolute_error(attribute: str) -> Score:
    truth, predicted = attribute, f"{attribute}_predicted"

    def terms(predictions: pd.DataFrame) -> np.ndarray:
        errors = np.abs(predictions[truth].to_numpy(float) - predictions[predicted].to_numpy(float))
        return np.stack([errors, np.ones_like(errors)], axis=1)

    statistic = Statistic((truth, predicted), of_units(terms), _one_group)
    return Score(statistic, lambda sums: _ratio(sums[..., 0], sums[..., 1]), share=False)


def concordance(sums: np.ndarray) -> np.ndarray:
    """Concordance correlation coefficient 2 cov / (var + var + (difference of the means)^2), population moments.

    Args:
        sums: Weights and weighted sums ``[..., 6]`` of 1, x, y, x^2, y^2 and x y, of truth x and prediction y.

    Returns:
        ``[...]``, from -1 to 1; 0 where either does not vary, as in :func:`trainables.losses.concordance.ccc`.
    """
    mean_x, mean_y, xx, yy, xy = (_ratio(sums[..., term], sums[..., 0]) for term in range(1, 6))
    return _ratio(2 * (xy - mean_x * mean_y), xx + yy - 2 * mean_x * mean_y)  # var + mean^2 = xx, and so on: the means cancel


def _concordance(attributes: tuple[str, ...]) -> Score:
    """The mean over attributes of their coefficients."""
    columns = tuple(name for attribute in attributes for name in (attribute, f"{attribute}_predicted"))

    def terms(predictions: pd.DataFrame) -> np.ndarray:
        return np.stack([_moments(*predictions[[name, f"{name}_predicted"]].to_numpy(float).T) for name in attributes], axis=1)

    return Score(Statistic(columns, of_units(terms), _one_group), lambda sums: concordance(sums).mean(axis=-1), share=False)


def _moments(truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """What each unit adds ``[units, 6]`` to the sums of :func:`concordance`.

    Both are counted from the middle of the predictions, which changes no coefficient: squares are then no larger than they must be,
    and of a constant prediction every sum is 0, as its coefficient then is without a rounding error.
    """
    middle = (predicted.min() + predicted.max()) / 2
    x, y = truth - middle, predicted - middle
    return np.stack([np.ones_like(x), x, y, x * x, y * y, x * y], axis=1)


def _mean_value(wanted: Callable[[pd.DataFrame], np.ndarray], of_means: Callable[[np.ndarray], np.ndarray]) -> Score:
    """From the means ``[..., 2]`` of a value over healthy and over depressed units, of which ``wanted`` have part."""
    statistic = Statistic(("truth", "value"), of_units(_by_class), wanted)
    return Score(statistic, lambda sums: of_means(_class_means(sums)), share=False)


SCORES: dict[str, Score] = {
    "f1_macro": Score(_CONFUSION, f1_macro, share=True),
    "f1_micro": Score(_CONFUSION, f1_micro, share=True),
    "f1_positive": Score(_CONFUSION, f1_positive, share=True),
    "precision_positive": Score(_CONFUSION, precision_positive, share=True),
    "recall_positive": Score(_CONFUSION, recall_positive, share=True),
    "uar": Score(_CONFUSION, uar, share=True),
    "auc": Score(Statistic(("truth", "p1"), pair_sums, _classes), roc_area, share=True),
    "ccc": _concordance(ATTRIBUTES),
    # Means of a value over healthy units (truth 0) and depressed ones (truth 1), and the latter minus the former.
    "healthy": _mean_value(_only(0), lambda means: means[..., 0]),
    "depressed": _mean_value(_only(1), lambda means: means[..., 1]),
    "difference": _mean_value(_classes, lambda means: np.diff(means)[..., 0]),
}
"""By the name under which a trial reports them, all but those of single attributes (:func:`find_score`)."""
