"""Sessions and utterances as rows, with their classes and the segments that belong to each."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from trainables.errors import UserError
from trainables.tasks import Task

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


@dataclass(frozen=True)
class Units:
    """The units (sessions or utterances) of a features stage that have a class.

    Attributes:
        table: One row per unit: ``unit``, ``speaker``, ``session``, ``split`` and the labels.
        segments: For each unit the row numbers of its segments in the features, in time order.
        truth: Class index of each unit, int64 ``[units]``.
        task: What the classes are.
    """

    table: pd.DataFrame
    segments: tuple[np.ndarray, ...]
    truth: np.ndarray
    task: Task

    def where(self, keep: np.ndarray) -> Units:
        """The units for which the boolean array ``keep`` holds, in the same order."""
        kept = tuple(segments for segments, wanted in zip(self.segments, keep, strict=True) if wanted)
        return Units(self.table[keep].reset_index(drop=True), kept, self.truth[keep], self.task)


def read_units(features: Path, task: Task) -> Units:
    """The units that the task gives a class, from ``segments.parquet`` of a features stage; the others are left out.

    Args:
        features: Result directory of :class:`~trainables.log_mel_features.LogMelFeatures`.
        task: An entry of :data:`trainables.tasks.TASKS`.

    Raises:
        UserError: The corpus does not have the task's label, or not for every segment, or none that is a class of the task.
    """
    import numpy as np
    import pandas as pd

    segments = pd.read_parquet(features / "segments.parquet")
    if task.column not in segments or segments[task.column].isna().any():
        raise UserError(f"label {task.column!r} is missing for some segments; the corpus has {sorted(segments.columns)}")
    groups = segments.sort_values(["unit", "position"], kind="stable").groupby("unit", sort=True)
    table = groups.first().reset_index().drop(columns=["position", "seconds"])
    classes = [task.class_of(label) for label in table[task.column]]
    labelled = np.array([number is not None for number in classes])
    if not labelled.any():
        found = ", ".join(sorted({repr(label) for label in table[task.column]})[:10])
        raise UserError(f"no {task.column} is one of {', '.join(task.classes)}; found {found}: map the labels in corpora.toml")
    rows = [group.index.to_numpy(copy=True) for _, group in groups]
    truth = np.array([-1 if number is None else number for number in classes], dtype=np.int64)
    return Units(table, tuple(rows), truth, task).where(labelled)
