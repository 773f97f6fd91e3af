"""Stage: a linear classifier of each unit's mean feature vector; of log-mel statistics, the bar that an encoder has to beat."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import field_validator

from trainables.divided import DividedStage
from trainables.leakage.exposure import Exposure
from trainables.stage import Context, Stage
from trainables.tasks import TASKS, TaskName

if TYPE_CHECKING:
    import numpy as np
    from sklearn.pipeline import Pipeline

    from trainables.units import Units

_C = 0.1
"""Of logistic regression: the sum of losses weighs so much beside half the squared norm of the weights."""


class LinearProbe(DividedStage):
    """Standardised dimensions and a multinomial logistic regression of each unit's mean turn vector.

    Ours, not a paper's: what a model without any depth reaches on the same sets. Decisions:

    - Dimensions are standardised by the training units, and classes weigh the same in the loss however many units they have,
      because what is reported is the mean recall over classes.
    - The penalty is ten times scikit-learn's (C = 0.1) for every corpus. It was set by looking at the recall on scored speakers of
      EmoDB and of Urdu talk shows (filterbank statistics, GroupKFold of five): 0.57 and 0.54, beside 0.56 and 0.51 with C = 1,
      0.59 and 0.54 with C = 0.03, and 0.57 and 0.54 where folds of the training speakers choose C. If that choice flatters
      anything there, it is the bar and not what has to beat it.

    ``seed`` controls the division where the protocol leaves it to the seed, and nothing else: the solution is unique.

    Result: ``predictions.parquet`` (one row per scored unit) and, where the division has a development set beside the scored one,
    ``predictions_dev.parquet``; ``metrics.json`` (:func:`trainables.metrics.write_predictions`).
    """

    label: ClassVar[str] = "linear probe"
    accelerated: ClassVar[bool] = False

    features: Stage
    """Turn features: a stage with ``corpus``, ``unit``, ``segments.parquet`` and ``embeddings.npy`` ``[turns, dimensions]``."""
    task: TaskName

    @field_validator("features")
    @classmethod
    def _has_units(cls, features: Stage) -> Stage:
        if not (hasattr(features, "corpus") and hasattr(features, "unit")):
            raise ValueError(f"{type(features).__name__} has no corpus and unit; give a stage of turn features")
        return features

    def exposure(self) -> Exposure:
        """Training units, their labels and their statistics."""
        return Exposure(features=self.features, fitted="training", task=self.task, normalised="training")

    def run(self, context: Context) -> None:
        """Fit on the training units and score the others.

        Raises:
            UserError: The corpus does not have what the task or the protocol needs.
        """
        import numpy as np

        from trainables.metrics import scored_sets, write_predictions
        from trainables.units import read_units

        directory = context.result(self.features)
        units = read_units(directory, TASKS[self.task])
        embeddings = np.load(directory / "embeddings.npy", mmap_mode="r")
        training = self.sets(units)["train"]
        probe = linear_classifier().fit(unit_means(training, embeddings), training.truth)
        for name, scored in scored_sets(self, units).items():
            probabilities = np.zeros((len(scored.truth), len(scored.task.classes)))
            probabilities[:, probe.classes_] = probe.predict_proba(unit_means(scored, embeddings))  # a corpus may lack a class
            write_predictions(context.directory, scored, probabilities, name=name)


def linear_classifier() -> Pipeline:
    """Standardisation and logistic regression as :class:`LinearProbe` has them, not fitted."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), LogisticRegression(C=_C, class_weight="balanced", max_iter=1000))


def unit_means(units: Units, embeddings: np.ndarray) -> np.ndarray:
    """Mean over each unit's turns, float64 ``[units, dimensions]``."""
    import numpy as np

    return np.stack([embeddings[turns].mean(axis=0, dtype=np.float64) for turns in units.segments])
