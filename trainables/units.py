"""Sessions and utterances as rows, with the segments that belong to each."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from trainables.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


@dataclass(frozen=True)
class Units:
    """The units (sessions or utterances) of a features stage.

    Attributes:
        table: One row per unit: ``unit``, ``speaker``, ``session``, ``split`` and the labels.
        segments: For each unit the row numbers of its segments in the features, in time order.
    """

    table: pd.DataFrame
    segments: tuple[np.ndarray, ...]

    def where(self, keep: np.ndarray) -> Units:
        """The units for which the boolean array ``keep`` holds, in the same order."""
        kept = [segments for segments, wanted in zip(self.segments, keep, strict=True) if wanted]
        return Units(self.table[keep].reset_index(drop=True), tuple(kept))


def read_units(features: Path, label: str) -> Units:
    """Read ``segments.parquet`` of a features stage.

    Args:
        features: Result directory of :class:`~trainables.log_mel_features.LogMelFeatures`.
        label: Label column that must be there and filled.

    Raises:
        UserError: The corpus does not have this label.
    """
    import pandas as pd

    segments = pd.read_parquet(features / "segments.parquet")
    if label not in segments or segments[label].isna().any():
        raise UserError(f"label {label!r} is missing for some segments; the corpus has {sorted(segments.columns)}")
    groups = segments.sort_values(["unit", "position"], kind="stable").groupby("unit", sort=True)
    table = groups.first().reset_index().drop(columns=["position", "seconds"])
    return Units(table, tuple(group.index.to_numpy(copy=True) for _, group in groups))
