"""Stage: one model under two protocols, by speaker and as a paper that cuts segments first divided them, told side by side."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, ClassVar

from pydantic import model_validator

from trainables.divided import DividedStage
from trainables.leakage.exposure import Exposure
from trainables.stage import Context, Stage
from trainables.tasks import TASKS, TaskName

if TYPE_CHECKING:
    import pandas as pd

    from trainables.metrics import PredictionsName


class SplitComparison(Stage):
    """The scores of a model that is tested on speakers whom it has not heard, and of the same one that is tested on those it has.

    Source: the CBAM-ResNet paper cuts recordings into segments and divides these (section 3.5, step 1), so that the segments of one
    recording are in training and in test. How much of a score comes from that is the gap between the two: a column
    ``Column(metric="mixed_f1_micro", minus="f1_micro")``. Decisions:

    - The clean side is the result: what others call this stage's predictions and scores is its own. The mixed one's stand beside.
    - Nothing but the protocol differs: the settings, the seed and the units that have part (``Protocol.only``) are the same. The
      test sets of a seed are not: one is of whole speakers, the other one a draw of segments. So the gap is one of means.
    - Of the mixed side's subjects one rule is told, mean probability: nearly all of them were trained on, by either rule.

    Result: of the clean side all numbers and ``predictions.parquet``, where there are segments ``predictions_subject.parquet`` and
    ``predictions_vote.parquet``, where there is a development set ``predictions_dev.parquet``; of the other side
    ``predictions_mixed.parquet`` and ``predictions_mixed_subject.parquet``, with their scores as ``mixed_<name>`` and
    ``mixed_subject_<name>``; ``metrics.json``; pictures of both (:func:`trainables.score_figure.score_pictures`).
    """

    draws: ClassVar[bool] = True
    label: ClassVar[str] = "comparison of splits"
    accelerated: ClassVar[bool] = False

    clean: DividedStage
    """A stage that predicts classes, under a protocol that keeps speakers, or their conversations, in one set."""
    mixed: DividedStage
    """The same stage under a protocol that divides units, whoever spoke them."""

    @model_validator(mode="after")
    def _one_question_divided_twice(self) -> SplitComparison:
        clean, mixed = self.clean.protocol, self.mixed.protocol
        if clean.group == "unit" or mixed.group != "unit":
            raise ValueError(
                f"clean must be divided by speaker or conversation and mixed by unit; found {clean.name!r} by {clean.group} and "
                f"{mixed.name!r} by {mixed.group}"
            )
        if clean.only != mixed.only:
            found = f"{clean.restriction or 'everything'} and {mixed.restriction or 'everything'}"
            raise ValueError(f"both sides must be asked of the same units; found {found}: restrict both protocols alike")
        if self.mixed != self.clean.with_upstream({}, protocol=mixed):
            raise ValueError("the two sides of a comparison of splits must be alike but for their protocol")
        exposure = self.clean.exposure()
        if exposure is None or exposure.task in (None, "attributes"):
            raise ValueError(f"{type(self.clean).__name__} does not say in exposure() which classes it predicts")
        return self

    @property
    def task(self) -> TaskName:
        """What both sides predict."""
        return self.clean.exposure().task

    def exposure(self) -> Exposure:
        """Nothing is learnt: predictions are put side by side."""
        return Exposure()

    def run(self, context: Context) -> None:
        """Put both sides' predictions into one result, score them anew and draw them."""
        from trainables.metrics import add_metrics, write_table
        from trainables.score_figure import score_pictures

        # What is no score, such as an epoch; scores are of the predictions, which have those that are younger than the result, too.
        add_metrics(context.directory, json.loads((context.result(self.clean) / "metrics.json").read_text()))
        tables = {**self._tables(context, self.clean, _CLEAN), **self._tables(context, self.mixed, _MIXED)}
        for name, table in tables.items():
            write_table(context.directory, table, name)
        drawn = {self._titled(name): tables[name] for name in _DRAWN if name in tables}
        score_pictures(context.directory, drawn, TASKS[self.task].classes, self._title())

    def _tables(
        self, context: Context, stage: DividedStage, named: dict[PredictionsName, PredictionsName]
    ) -> dict[PredictionsName, pd.DataFrame]:
        """What a side has predicted, by the name that it has here."""
        import pandas as pd

        files = {here: context.result(stage) / f"{there}.parquet" for there, here in named.items()}
        return {name: pd.read_parquet(file) for name, file in files.items() if file.exists()}

    def _titled(self, name: PredictionsName) -> str:
        protocol = self.mixed.protocol if name in _MIXED.values() else self.clean.protocol
        return f"{protocol.name}, by subject" if name.endswith("subject") else protocol.name

    def _title(self) -> str:
        about = ", ".join(filter(None, (self.task.replace("_", " "), self.clean.protocol.restriction, f"seed {self.clean.seed}")))
        return f"{self.clean.label}: {about}"


_CLEAN: dict[PredictionsName, PredictionsName] = {
    "predictions": "predictions",
    "predictions_dev": "predictions_dev",
    "predictions_subject": "predictions_subject",
    "predictions_vote": "predictions_vote",
}
_MIXED: dict[PredictionsName, PredictionsName] = {
    "predictions": "predictions_mixed",
    "predictions_subject": "predictions_mixed_subject",
}
_DRAWN: tuple[PredictionsName, ...] = ("predictions", "predictions_mixed", "predictions_subject", "predictions_mixed_subject")
