"""Stage: the clean rule of a comparison: which candidate counts is decided on development data, and then the test set is opened."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import field_validator, model_validator

from trainables.divided import DividedStage
from trainables.errors import UserError
from trainables.leakage.exposure import Exposure
from trainables.recombination import Recombination
from trainables.stage import Context, Stage
from trainables.tasks import TASKS

if TYPE_CHECKING:
    from pathlib import Path


class NestedSelection(Recombination):
    """Of several candidates the one that is best on development data; the test predictions of no other one are read.

    The paper's rule reports the best of several models, fusions and seeds on the very set that they are compared on, which is too
    good. Here every seed chooses anew, and what is reported is the mean of what was chosen. Decisions:

    - The candidates are the ``members``. Best is the highest ``criterion``; of equal ones the first.
    - The corpus' own splits: the criterion on the development set, of ``predictions_dev.parquet``.
    - A nested cross-validation: the mean of the criterion over all inner folds, on each of which the candidate is trained anew
      without that fold, and scored on it alone. The one chosen has been trained on the whole outer training set, but for a
      candidate that itself needs a development set (an epoch, weights of a fusion): it keeps the first inner fold for that.
      An inner fold is then both what such a candidate selects on and what it is compared on.
    - A drawn division with a development set: the candidates are compared on that, and the chosen one is trained without it.
    - The development scores of the chosen one are no result: it was chosen because they are high. They are in ``chosen.json``
      beside those of all candidates, and there is no ``predictions_dev.parquet``.

    Every inner fold takes part, so there is none to be asked for: ``inner`` is None, whatever is given.

    Result: ``predictions.parquet``, ``chosen.json`` (the number of the candidate, from 0, and every candidate's criterion on
    each development set), ``metrics.json`` with that number as ``chosen``.
    """

    label: ClassVar[str] = "nested selection"

    criterion: Literal["f1_positive", "f1_macro", "f1_micro", "uar"] = "f1_positive"
    """A metric of the development predictions; F1 of the depressed class is what the paper reports."""

    @field_validator("inner")
    @classmethod
    def _all_inner_folds(cls, inner: int | None) -> None:
        return None

    @classmethod
    def _divided(cls, member: DividedStage, division: dict[str, Any]) -> DividedStage:
        if division["protocol"].inner_folds:
            first = division | {"inner": 0}
            if _selects(member.with_upstream({}, **first)):
                division = first
        return super()._divided(member, division)

    @model_validator(mode="after")
    def _can_select(self) -> NestedSelection:
        if not self.has_development_set() and not self._comparisons():
            raise UserError(
                f"protocol {self.protocol.name!r} has neither a development set nor inner folds to choose a candidate on; choose "
                "one that has"
            )
        if self.criterion == "f1_positive" and len(TASKS[self.task].classes) != 2:
            raise ValueError(f"criterion 'f1_positive' is of two classes, {self.task!r} has others; choose 'f1_macro'")
        return self

    def exposure(self) -> Exposure:
        """Its candidates' predictions; it chooses on the development set, or on parts of the training set."""
        return self.recombining("dev" if self.has_development_set() else "train")

    def upstream(self) -> dict[str, Stage]:
        """The candidates, and where it is not they who are compared, ``compared.<candidate>.<division>``."""
        compared = {f"compared.{n}.{k}": stage for n, stages in enumerate(self.compared()) for k, stage in enumerate(stages)}
        return super().upstream() | (compared if self._comparisons() else {})

    def compared(self) -> tuple[tuple[DividedStage, ...], ...]:
        """For each candidate the stages on whose development predictions it is judged."""
        divisions = self._comparisons()
        return tuple(tuple(member.with_upstream({}, **each) for each in divisions) or (member,) for member in self.members)

    def _comparisons(self) -> list[dict[str, Any]]:
        """The divisions in which candidates are trained for the comparison alone; none if they have a development set anyway."""
        if self.has_development_set():
            return []
        if self.protocol.inner_folds:
            return [{"inner": fold, "scored_on": "dev"} for fold in range(self.protocol.inner_folds)]
        return [{"scored_on": "dev"}] if self.protocol.dev_fraction else []

    def run(self, context: Context) -> None:
        """Choose, then open the test predictions of the chosen one.

        Raises:
            UserError: A candidate has no development predictions.
        """
        import numpy as np
        import pandas as pd

        from trainables.metrics import add_metrics, write_table

        scores = [[self._score(context.result(stage), stage) for stage in stages] for stages in self.compared()]
        chosen = int(np.argmax(np.mean(scores, axis=1)))
        told = {"chosen": chosen, "criterion": self.criterion, "development": scores}
        (context.directory / "chosen.json").write_text(json.dumps(told))
        write_table(context.directory, pd.read_parquet(context.result(self.members[chosen]) / "predictions.parquet"))
        add_metrics(context.directory, {"chosen": float(chosen)})

    def _score(self, result: Path, stage: DividedStage) -> float:
        import pandas as pd

        from trainables.metrics import prediction_scores

        file = result / ("predictions.parquet" if stage.scored_on == "dev" else "predictions_dev.parquet")
        if not file.exists():
            raise UserError(f"the {stage.label} has no {file.name} to choose it by; choose candidates that write it")
        return prediction_scores(self.selecting(pd.read_parquet(file)))[self.criterion]


def _selects(stage: DividedStage) -> bool:
    exposure = stage.exposure()
    return exposure is not None and exposure.selected == "dev"
