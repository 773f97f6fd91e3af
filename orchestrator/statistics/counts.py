"""Predictions of one trial as confusion counts per speaker."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from trainables.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

_COLUMNS = ("unit", "speaker", "truth", "predicted")


@dataclass(frozen=True)
class SpeakerCounts:
    """What one trial's test set says of each of its speakers.

    Attributes:
        speakers: Names, sorted.
        confusion: Units ``[speakers, classes, classes]``, truth by prediction; the classes are those that this trial saw.
        digest: Of the test set without the predictions (unit, speaker, truth): equal for trials that can be paired.
    """

    speakers: tuple[str, ...]
    confusion: np.ndarray
    digest: str

    @property
    def units(self) -> int:
        """Units in the test set."""
        return int(self.confusion.sum())


def speaker_counts(predictions: pd.DataFrame) -> SpeakerCounts:
    """Count a file of predictions (:func:`trainables.metrics.write_predictions`); the order of its lines does not matter.

    Raises:
        UserError: A column is missing, a value is missing, or there is no line.
    """
    lacking = [name for name in _COLUMNS if name not in predictions or predictions[name].isna().any()]
    if lacking or predictions.empty:
        found = f"no {', '.join(lacking)} or gaps therein" if lacking else "no line"
        raise UserError(f"the predictions have {found}, expected complete columns {', '.join(_COLUMNS)}; run that trial again")
    speakers, speaker = np.unique(predictions["speaker"].to_numpy().astype(str), return_inverse=True)
    labels = predictions[["truth", "predicted"]].to_numpy().astype(int)
    classes, codes = np.unique(labels, return_inverse=True)
    truth, predicted = codes.reshape(labels.shape).T
    confusion = np.zeros((len(speakers), len(classes), len(classes)))
    np.add.at(confusion, (speaker, truth, predicted), 1)
    return SpeakerCounts(tuple(speakers.tolist()), confusion, _digest(predictions))


def _digest(predictions: pd.DataFrame) -> str:
    lines = sorted(zip(*(predictions[name].astype(str) for name in ("unit", "speaker", "truth")), strict=True))
    return hashlib.sha256(repr(lines).encode()).hexdigest()
