"""Predictions of one trial as sums per speaker, from which a score can be had for any weighting of the speakers."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from trainables.attributes import attribute_columns
from trainables.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

_UNITS = ("unit", "speaker")


@dataclass(frozen=True)
class Statistic:
    """What is summed over the units of a speaker.

    Attributes:
        columns: Those of the predictions that it reads.
        sums: From the predictions and the number ``[units]`` of each unit's speaker, which are counted from 0 without a gap, to the
            sums ``[speakers, ...]``. With whatever weights these are added up over speakers, the score follows from the total.
        groups: From the predictions to the group of each unit ``[units]``, from 0: what the score is a mean within, such as the
            class; -1 for a unit that has no part in the score.
    """

    columns: tuple[str, ...]
    sums: Callable[[pd.DataFrame, np.ndarray], np.ndarray]
    groups: Callable[[pd.DataFrame], np.ndarray]


def of_units(terms: Callable[[pd.DataFrame], np.ndarray]) -> Callable[[pd.DataFrame, np.ndarray], np.ndarray]:
    """The sums of a statistic to which each unit adds its own terms ``[units, ...]``."""

    def sums(predictions: pd.DataFrame, speaker: np.ndarray) -> np.ndarray:
        each = terms(predictions)
        total = np.zeros((speaker.max() + 1, *each.shape[1:]))
        np.add.at(total, speaker, each)
        return total

    return sums


@dataclass(frozen=True)
class SpeakerSums:
    """What one trial's test set says of each of its speakers.

    Attributes:
        speakers: Names, sorted.
        sums: Of a statistic ``[speakers, ...]``.
        sizes: Units ``[speakers, groups]`` that have part in the score.
        digest: Of the test set without the predictions (unit, speaker, truth; the true attributes, where nothing is classified):
            equal for trials that can be paired.
    """

    speakers: tuple[str, ...]
    sums: np.ndarray
    sizes: np.ndarray
    digest: str

    @property
    def units(self) -> int:
        """Units that have part in the score."""
        return int(self.sizes.sum())


def speaker_sums(predictions: pd.DataFrame, statistic: Statistic) -> SpeakerSums:
    """Add up a file of predictions, of classes, of attributes or of both; the order of its lines does not matter.

    Args:
        predictions: As :func:`trainables.metrics.write_predictions` or :func:`trainables.metrics.write_attributes` have it.
        statistic: What is summed.

    Raises:
        UserError: A column is missing, a value is missing, or there is no line.
    """
    test_set = _UNITS + (("truth",) if "truth" in predictions else tuple(sorted(attribute_columns(predictions))))
    needed = tuple(dict.fromkeys((*test_set, *statistic.columns)))
    lacking = [name for name in needed if name not in predictions or predictions[name].isna().any()]
    if lacking or predictions.empty:
        found = f"no {', '.join(lacking)} or gaps therein" if lacking else "no line"
        raise UserError(f"the predictions have {found}, expected complete columns {', '.join(needed)}; run that trial again")
    # In a fixed order, because sums of floating-point terms depend on it.
    predictions = predictions.sort_values("unit", kind="stable", key=lambda units: units.astype(str))
    speakers, speaker = np.unique(predictions["speaker"].to_numpy().astype(str), return_inverse=True)
    sums, groups = statistic.sums(predictions, speaker), statistic.groups(predictions)
    sizes = np.zeros((len(speakers), max(groups.max() + 1, 1)))
    counted = groups >= 0
    np.add.at(sizes, (speaker[counted], groups[counted]), 1)
    return SpeakerSums(tuple(speakers.tolist()), sums, sizes, _digest(predictions[list(test_set)]))


def _digest(test_set: pd.DataFrame) -> str:
    lines = sorted(zip(*(test_set[name].astype(str) for name in test_set), strict=True))
    return hashlib.sha256(repr(lines).encode()).hexdigest()
