"""Who is in which set: a division by a protocol, carried back from units to the manifest's rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainables.attributes import require_ratings
from trainables.tasks import TASKS
from trainables.units import Units, subject_turns, with_class

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from trainables.divided import DividedStage
    from trainables.leakage.corpus import AuditedCorpus
    from trainables.tasks import Task

BITS = {"train": 1, "dev": 2, "test": 4}
"""Name of a set to its bit."""


def manifest_units(table: pd.DataFrame, unit: str, task: Task, columns: tuple[str, ...] = ()) -> Units:
    """The units as the stages will have them (:func:`trainables.units.read_units`), before there are any features.

    Args:
        table: The manifest.
        unit: 'session' or 'utterance', as :class:`~trainables.log_mel_features.LogMelFeatures` has it.
        task: What is classified.
        columns: Further columns of the manifest that the division looks at.

    Returns:
        The units that have a class, by name; without segments, because nothing is cut yet.

    Raises:
        UserError: The corpus does not have the task's label, or not everywhere, or nothing that is a class of the task.
    """
    import numpy as np

    units = subject_turns(table, unit).drop_duplicates("unit").sort_values("unit", kind="stable").reset_index(drop=True)
    if task == TASKS["attributes"]:
        require_ratings(units)  # all three are learnt, and the task's own column is one of them
    kept = dict.fromkeys(("unit", "speaker", "session", "split", task.column, *columns))
    nothing = np.empty(0, dtype=np.int64)
    return with_class(units[[name for name in kept if name in units]], (nothing,) * len(units), task)


def set_bits(corpus: AuditedCorpus, stage: DividedStage) -> np.ndarray:
    """The sets of every row of the manifest, uint8 ``[rows]``: the sum of the bits of the sets that it is in.

    Args:
        corpus: The corpus of the stage's features.
        stage: A stage that is divided; its protocol, fold, inner fold, scored set and seed decide.

    Raises:
        UserError: The division is impossible.
    """
    import numpy as np

    exposure = stage.exposure()
    kept = tuple(column for column, _ in stage.protocol.keep)
    units, of_row = corpus.units(exposure.features.unit, exposure.task, kept)
    of_unit = np.zeros(len(units.truth) + 1, dtype=np.uint8)  # the last one is for rows without a unit, whose number is -1
    for name, part in stage.sets(units).items():
        of_unit[part.table["number"].to_numpy()] |= BITS[name]
    return of_unit[of_row]
