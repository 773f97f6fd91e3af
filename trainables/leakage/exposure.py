"""What a stage says of itself: what its result can know of the units that it is given."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from trainables.stage import Stage
    from trainables.tasks import UnitsTaskName

Learnt = Literal["nothing", "training", "all"]
"""No unit; the units of the stage's own training set (those it selects on are named apart); every unit, whoever is tested later."""


class Exposure(NamedTuple):
    """What a stage learns from; the audit of a chain rests on it, and tests hold it against what the stages do.

    Attributes:
        features: The stage that makes the units it learns from; it has the settings ``corpus`` and ``unit``. None for none.
        fitted: Units whose sound decides what it learns.
        task: The task whose labels it reads for those units; None if it reads no label.
        normalised: Units from which statistics are computed that others are normalised by; a unit's own statistics are none.
        selected: Set on which it chooses an epoch, a setting or a candidate, or fits the weights of a fusion.
        talkers: Whose speech it hears.
    """

    features: Stage | None = None
    fitted: Learnt = "nothing"
    task: UnitsTaskName | None = None
    normalised: Learnt = "nothing"
    selected: Literal["nothing", "train", "dev", "test"] = "nothing"
    talkers: Literal["subject", "interviewer", "all"] = "subject"
