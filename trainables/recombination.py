"""What the stages have in common that make new predictions out of stored ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

from pydantic import Field, ValidationInfo, field_validator, model_validator

from trainables.divided import DividedStage, shuffle_labels
from trainables.errors import UserError
from trainables.leakage.exposure import Exposure
from trainables.stage import Context

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    import pandas as pd

    from trainables.metrics import PredictionsName
    from trainables.tasks import TaskName


class Stored(NamedTuple):
    """What all members predict of the same units.

    Attributes:
        table: ``unit``, ``speaker`` and ``truth`` of each unit.
        probabilities: ``[members, units, classes]``.
    """

    table: pd.DataFrame
    probabilities: np.ndarray


class Recombination(DividedStage):
    """Reads what its members have predicted, and nothing else: no features, no weights, and no training is repeated.

    The members get the recombination's own division (protocol, fold, inner fold, scored set, seed, shuffled labels), so that a
    protocol that is asked for reaches them too, and all of them have predicted the same units. What of it is not given is as the
    first member has it.
    """

    accelerated: ClassVar[bool] = False

    members: tuple[DividedStage, ...] = Field(min_length=2)
    """Stages that write ``predictions.parquet`` of one task and one corpus."""

    @model_validator(mode="before")
    @classmethod
    def _as_the_first_member(cls, given: dict[str, Any]) -> dict[str, Any]:
        first = next(iter(given.get("members") or ()), None)
        if not isinstance(first, DividedStage):
            return given  # the members have a fault, which is told
        return {name: getattr(first, name) for name in DividedStage.model_fields} | given

    @field_validator("members")
    @classmethod
    def _share_the_division(cls, members: tuple[DividedStage, ...], info: ValidationInfo) -> tuple[DividedStage, ...]:
        division = {name: info.data[name] for name in DividedStage.model_fields if name in info.data}
        if len(division) < len(DividedStage.model_fields):
            return members  # the division itself has a fault, which is told
        return tuple(cls._divided(member, division) for member in members)

    @classmethod
    def _divided(cls, member: DividedStage, division: dict[str, Any]) -> DividedStage:
        return member.with_upstream({}, **division)

    @model_validator(mode="after")
    def _one_question(self) -> Recombination:
        asked = {}
        for member in self.members:
            exposure = member.exposure()
            if exposure is None or exposure.features is None:
                raise ValueError(f"{type(member).__name__} does not say in exposure() of which units it predicts what")
            asked[exposure.task, exposure.features.corpus, exposure.features.unit] = member.label
        if len(asked) > 1:
            found = "; ".join(f"{task} of {corpus} by {unit} ({label})" for (task, corpus, unit), label in asked.items())
            raise ValueError(f"the members must predict the same of the same units; found {found}")
        return self

    @property
    def task(self) -> TaskName:
        """What the members predict."""
        return self.members[0].exposure().task

    def recombining(self, selected: Literal["nothing", "train", "dev"]) -> Exposure:
        """What a recombination knows beyond its members, which the audit asks themselves: what it selects on."""
        return Exposure(features=self.members[0].exposure().features, task=self.task, selected=selected)

    def stored(self, context: Context, name: PredictionsName = "predictions") -> Stored | None:
        """The members' predictions in the order of the first one's units; None if no member has any of a development set.

        Raises:
            UserError: Members lack the file, or they have predicted other units.
        """
        import numpy as np
        import pandas as pd

        from trainables.metrics import probability_columns

        files = [context.result(member) / f"{name}.parquet" for member in self.members]
        if name == "predictions_dev" and not any(file.exists() for file in files):
            return None
        self._require_all(files)
        tables = [pd.read_parquet(file).set_index("unit", drop=False) for file in files]
        first, facts = tables[0], ["unit", "speaker", "truth"]
        for number, table in enumerate(tables):
            if not table[facts].sort_index().equals(first[facts].sort_index()):
                raise UserError(
                    f"member {number} ({self.members[number].label}) has predicted other units than member 0, or with another "
                    "truth; expected the same ones: give members whose features leave out no unit"
                )
        rows = [table.loc[first.index, probability_columns(table)].to_numpy(dtype=np.float64) for table in tables]
        return Stored(first[facts].reset_index(drop=True), np.stack(rows))

    def selecting(self, table: pd.DataFrame) -> pd.DataFrame:
        """The development units with the classes that weights or candidates are chosen by: permuted, where labels are shuffled."""
        if not self.shuffled_labels:
            return table
        from trainables.tasks import TASKS
        from trainables.units import Units

        units = Units(table, (), table["truth"].to_numpy(), TASKS[self.task])
        return table.assign(truth=shuffle_labels(units, self.seed, "dev").truth)

    def _require_all(self, files: list[Path]) -> None:
        lacking = [member.label for member, file in zip(self.members, files, strict=True) if not file.exists()]
        if lacking:
            raise UserError(f"{', '.join(lacking)}: no {files[0].name}; give members that all write it")
