"""Cross-validation by whole groups: leave one group out, or k folds, plain or nested."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainables.errors import UserError
from trainables.numerics import seeded
from trainables.protocols.draws import wanted_classes
from trainables.protocols.protocol import Protocol

if TYPE_CHECKING:
    import numpy as np

    from trainables.units import Units


def fold_sets(units: Units, protocol: Protocol, seed: int, fold: int, inner: int | None) -> dict[str, np.ndarray]:
    """Training, development and test set of one fold.

    Args:
        units: Sessions or utterances.
        protocol: Of a scheme with folds.
        seed: Draws the folds where the protocol leaves them to it.
        fold: Which outer fold is tested, from 0.
        inner: Which inner fold is the development set; None for none: all that is not tested trains.

    Returns:
        Boolean ``[units]`` by name of the set; 'dev' with ``inner`` alone.

    Raises:
        UserError: There are not the groups that the protocol needs, or a class is lacking in training.
    """
    import numpy as np

    outer = _folds(units, protocol, protocol.folds, seed, "folds")
    tested = outer == fold
    if inner is None:
        sets = {"train": ~tested, "test": tested}
    else:
        rest = units.where(~tested)
        dev = np.zeros(len(tested), dtype=bool)
        dev[~tested] = _folds(rest, protocol, protocol.inner_folds, seed, f"inner folds of fold {fold}") == inner
        sets = {"train": ~tested & ~dev, "dev": dev, "test": tested}
    _check_training(units, sets["train"], protocol, fold)
    return sets


def groups_of(units: Units, kind: str) -> np.ndarray:
    """The group of each unit by name, str ``[units]``: its speaker, its conversation's first speaker, or itself.

    Speakers who ever talk in one session are one conversation, and so are those who are connected through others.
    """
    import numpy as np

    if kind == "unit":
        return units.table["unit"].to_numpy().astype(str)
    speakers = units.table["speaker"].to_numpy().astype(str)
    if kind == "speaker":
        return speakers
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    names, speaker = np.unique(speakers, return_inverse=True)
    sessions, session = np.unique(units.table["session"].to_numpy().astype(str), return_inverse=True)
    size = len(names) + len(sessions)
    meet = coo_matrix((np.ones(len(speaker)), (speaker, len(names) + session)), shape=(size, size))
    component = connected_components(meet, directed=False)[1][: len(names)]
    first = {number: names[np.flatnonzero(component == number)[0]] for number in set(component.tolist())}
    return np.array([first[number] for number in component])[speaker]


def _folds(units: Units, protocol: Protocol, count: int, seed: int, what: str) -> np.ndarray:
    """The fold of each unit, int ``[units]``."""
    import numpy as np

    groups = groups_of(units, protocol.group)
    names, group = np.unique(groups, return_inverse=True)
    if protocol.scheme == "leave_one_out":
        if len(names) != count:
            raise UserError(
                f"protocol {protocol.name!r} leaves one of {count} {protocol.group}s out ({what}); the corpus has {len(names)}: "
                "choose another protocol, or add what is missing"
            )
        return group
    if len(names) < count:
        raise UserError(f"protocol {protocol.name!r} needs at least {count} {protocol.group}s for its {what}; found {len(names)}")
    state = seeded(seed if protocol.redrawn else 0, what) % 2**32
    return _drawn_folds(units, group, count, state)[group]


def _drawn_folds(units: Units, group: np.ndarray, count: int, state: int) -> np.ndarray:
    """The fold of each group: shuffled, of like numbers, and where a label is the speaker's stratified by it."""
    import numpy as np
    from sklearn.model_selection import KFold, StratifiedKFold

    first = np.unique(group, return_index=True)[1]
    classes = units.truth[first]
    # A rarer class than there are folds cannot be in each; whether every class is in training is checked afterwards.
    stratified = units.task.of_speaker and np.unique(classes, return_counts=True)[1].min() >= count
    kind = StratifiedKFold if stratified else KFold
    folds = np.empty(len(first), dtype=int)
    for number, (_, tested) in enumerate(kind(count, shuffle=True, random_state=state).split(classes, classes)):
        folds[tested] = number
    return folds


def _check_training(units: Units, training: np.ndarray, protocol: Protocol, fold: int) -> None:
    missing = [units.task.classes[number] for number in wanted_classes(units) if not (units.truth[training] == number).any()]
    if missing:
        raise UserError(
            f"protocol {protocol.name!r}: fold {fold} has no training unit of class {', '.join(missing)}; add speakers of it"
        )
