"""Who is in which set: a division by a protocol, carried back from units to the manifest's rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainables.attributes import require_ratings
from trainables.errors import UserError
from trainables.protocols.division import kept_units
from trainables.protocols.draws import wanted_classes
from trainables.subjects import require_one_truth
from trainables.tasks import TASKS
from trainables.units import Units, subject_turns, with_class

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from trainables.divided import DividedStage
    from trainables.leakage.corpus import AuditedCorpus
    from trainables.protocols import Protocol
    from trainables.tasks import Task

BITS = {"train": 1, "dev": 2, "test": 4}
"""Name of a set to its bit."""


def manifest_units(table: pd.DataFrame, unit: str, task: Task, columns: tuple[str, ...] = ()) -> Units:
    """The units as the stages will have them (:func:`trainables.units.read_units`), before there are any features.

    Args:
        table: The manifest.
        unit: 'session', 'utterance' or 'segment', as the stage of features has it. For segments, which are cut when the sound is
            read, the turns stand that they are cut from: of the same speakers, with the same labels.
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
    found = with_class(units[[name for name in kept if name in units]], (nothing,) * len(units), task)
    if unit == "segment" and task.of_speaker:
        require_one_truth(found.table["speaker"], found.truth)  # segments are put together to subjects, once all is computed
    return found


def set_bits(corpus: AuditedCorpus, stage: DividedStage) -> np.ndarray:
    """The sets of every row of the manifest, uint8 ``[rows]``: the sum of the bits of the sets that it, or a piece of it, is in.

    Args:
        corpus: The corpus of the stage's features.
        stage: A stage that is divided; its protocol, fold, inner fold, scored set and seed decide.

    Raises:
        UserError: The division is impossible.
    """
    import numpy as np

    exposure = stage.exposure()
    kept = tuple(column for column, _ in stage.protocol.kept)
    units, of_row = corpus.units(exposure.features.unit, exposure.task, kept)
    sets = _sets_of_pieces(stage, units) if divides_pieces(stage.protocol, exposure.features.unit) else stage.sets(units)
    of_unit = np.zeros(len(units.truth) + 1, dtype=np.uint8)  # the last one is for rows without a unit, whose number is -1
    for name, part in sets.items():
        of_unit[part.table["number"].to_numpy()] |= BITS[name]
    return of_unit[of_row]


def divides_pieces(protocol: Protocol, unit: str) -> bool:
    """Whether a protocol gives pieces of one row of the manifest to several sets: it divides segments, whoever spoke them.

    Which piece is in which set nobody knows before the sound is cut, so a row then counts as being in every set.
    """
    return unit == "segment" and protocol.group == "unit" and protocol.scheme != "named"


def _sets_of_pieces(stage: DividedStage, units: Units) -> dict[str, Units]:
    """Every set that the stage's division has, each with all units."""
    kept = kept_units(units, stage.protocol)
    if missing := [kept.task.classes[number] for number in wanted_classes(kept) if number not in kept.truth]:
        raise UserError(f"no turn is of class {', '.join(missing)}; {stage.protocol.name!r} needs segments of every class")
    beside = ("dev",) if stage.has_development_set() else ()
    return dict.fromkeys(("train", stage.scored_on, *beside), kept)
