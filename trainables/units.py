"""Sessions, utterances and segments as rows, with their classes and the rows of features that belong to each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import compress
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from trainables.errors import UserError
from trainables.tasks import Task

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


@dataclass(frozen=True)
class Units:
    """The units (sessions, utterances or segments) of a features stage that have a class.

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
        kept = tuple(compress(self.segments, keep.tolist()))
        return Units(self.table[keep].reset_index(drop=True), kept, self.truth[keep], self.task)


def subject_turns(manifest: pd.DataFrame, unit: Literal["session", "utterance", "segment"]) -> pd.DataFrame:
    """The subject's turns, with the name of the unit of each as ``unit``, in the order in which all stages take them.

    A session's are in order of recording and start. Its first turn says speaker, split and labels of the whole session: the same
    one for a model, for the control beside it and for the leakage audit. Utterances, and the turns that
    segments are cut from, stay in the manifest's order.
    """
    turns = manifest[manifest["talker"] == "subject"]
    if unit == "session":
        turns = turns.sort_values(["session", "recording", "start"], kind="stable")
    return turns.assign(unit=turns["session" if unit == "session" else "segment"])


def with_class(table: pd.DataFrame, segments: Sequence[np.ndarray], task: Task) -> Units:
    """The units that the task gives a class; the others are left out.

    Args:
        table: One row per unit, among its columns ``unit`` and the task's label.
        segments: For each unit the row numbers of its segments.
        task: An entry of :data:`trainables.tasks.TASKS`.

    Raises:
        UserError: The corpus does not have the task's label, or not for every unit, or none that is a class of the task.
    """
    import numpy as np
    import pandas as pd

    from trainables.corpora.reading import listing

    if task.column not in table:
        raise UserError(f"label {task.column!r} is missing; the corpus has {sorted(table.columns)}")
    unknown = table[task.column].isna()
    if unknown.any():
        raise UserError(f"label {task.column!r} is missing for {listing(table.loc[unknown, 'unit'])}; fill it in or delete them")
    codes, labels = pd.factorize(table[task.column])
    numbers = [task.class_of(label) for label in labels]
    truth = np.array([-1 if number is None else number for number in numbers], dtype=np.int64)[codes]
    if not (truth >= 0).any():
        found = ", ".join(sorted({repr(label) for label in labels.tolist()})[:10])
        raise UserError(f"no {task.column} is one of {', '.join(task.classes)}; found {found}: map the labels in corpora.toml")
    return Units(table, tuple(segments), truth, task).where(truth >= 0)


def read_units(features: Path, task: Task) -> Units:
    """The units that the task gives a class, from ``segments.parquet`` of a features stage; the others are left out.

    Args:
        features: Result directory of a stage of features, of segments or of turns.
        task: An entry of :data:`trainables.tasks.TASKS`.

    Raises:
        UserError: As :func:`with_class`.
    """
    import numpy as np
    import pandas as pd

    segments = pd.read_parquet(features / "segments.parquet").sort_values(["unit", "position"], kind="stable")
    first = ~segments["unit"].duplicated()
    rows = np.split(segments.index.to_numpy(copy=True), np.flatnonzero(first)[1:])
    units = with_class(segments[first].reset_index(drop=True), rows, task)
    return replace(units, table=units.table.drop(columns=["position", "seconds"]))
