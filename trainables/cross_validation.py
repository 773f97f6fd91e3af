"""Stage: the folds of a cross-validation put together, so that every unit is scored once."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field, model_validator

from trainables.divided import DividedStage
from trainables.errors import UserError
from trainables.leakage.exposure import Exposure
from trainables.stage import Context, Stage
from trainables.tasks import TASKS

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd


class CrossValidation(Stage):
    """Predictions of all folds, scored together: one confusion matrix over all units.

    Decision: the scores are of the pooled predictions, because a fold of a few speakers may lack a class, and a macro average over
    folds would then be of different classes. The plain mean over folds is beside it (``f1_macro_fold_mean``, ...), for papers that
    print that one; not of a score that some fold does not have, as ``auc`` where a fold has one class alone. The ``auc`` of all
    predictions ranks the probabilities of several models, which may not be on one scale; where it matters its mean tells.

    Each fold is a stage of its own, so that folds run side by side, resume one by one and are shared with other studies.

    Development sets have no pooled scores: those of different folds overlap, so a unit would be counted several times, and by
    models some of which were trained on it.

    The scores of subjects are of all their segments, whichever folds these were tested in (under a protocol that mixes speakers a
    subject's segments are in several); they have no mean over folds, in which a subject may have a part alone.

    Result: ``predictions.parquet`` (one row per unit); of segments the files of their subjects too
    (:func:`trainables.subjects.write_subjects`); ``metrics.json``.
    """

    draws: ClassVar[bool] = True
    label: ClassVar[str] = "cross-validation"
    accelerated: ClassVar[bool] = False

    folds: tuple[DividedStage, ...] = Field(min_length=2)
    """The same stage for every fold of its protocol, in order."""

    @model_validator(mode="after")
    def _every_fold_once(self) -> CrossValidation:
        first = self.folds[0]
        wanted = list(range(first.protocol.folds))
        if [stage.fold for stage in self.folds] != wanted:
            raise ValueError(f"folds {[stage.fold for stage in self.folds]}: protocol {first.protocol.name!r} has {wanted}")
        if any(stage.with_upstream({}, fold=0) != first for stage in self.folds):
            raise ValueError("the stages of a cross-validation must be alike but for their fold")
        return self

    def exposure(self) -> Exposure:
        """Nothing is learnt: predictions are put together."""
        return Exposure()

    def run(self, context: Context) -> None:
        """Put the predictions together and score them.

        Raises:
            UserError: A unit was scored in two folds; or the segments of a subject are of several classes.
        """
        import numpy as np
        import pandas as pd

        from trainables.metrics import add_metrics, prediction_scores, write_table
        from trainables.subjects import write_subjects

        parts = [pd.read_parquet(context.result(stage) / "predictions.parquet") for stage in self.folds]
        whole = pd.concat(parts, ignore_index=True)
        repeated = whole.loc[whole["unit"].duplicated(), "unit"]
        if len(repeated):
            raise UserError(f"{len(repeated)} units were scored in several folds, such as {repeated.iloc[0]!r}; expected once each")
        metrics = write_table(context.directory, whole)
        if all("subject" in part for part in parts):
            write_subjects(context.directory, whole)
            self._draw(context.directory, whole)
        # From the predictions and not from metrics.json: a fold that was computed before a metric existed has it all the same.
        scores = [prediction_scores(part) for part in parts]
        common = [name for name in metrics if all(name in score for score in scores)]
        add_metrics(context.directory, {f"{name}_fold_mean": float(np.mean([score[name] for score in scores])) for name in common})

    def _draw(self, directory: Path, segments: pd.DataFrame) -> None:
        """Pictures of the scores of segments and of what they were put together to."""
        from trainables.score_figure import score_pictures
        from trainables.subjects import mean_probability

        fold = self.folds[0]
        task = fold.exposure().task
        tables = {"by segment": segments, "by subject": mean_probability(segments)}
        score_pictures(directory, tables, TASKS[task].classes, f"{fold.label}: {task.replace('_', ' ')}, seed {fold.seed}")
