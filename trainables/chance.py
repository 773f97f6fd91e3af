"""Stage: what can be scored without listening, so that every table shows how far above nothing its rows are."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import field_validator

from trainables.divided import DividedStage
from trainables.leakage.exposure import Exposure
from trainables.numerics import seeded
from trainables.stage import Context, Stage
from trainables.tasks import TASKS, TaskName


class ChanceClassifier(DividedStage):
    """scikit-learn's DummyClassifier on the same sets: 'uniform' guesses, 'most_frequent' always says the majority class.

    At one seed it trains on and is scored on the same speakers as the classifiers that it stands beside. ``seed`` controls the
    division (the same as every other row's) and the guesses.

    Result: ``predictions.parquet`` (one row per scored unit, probability 1 for the class said) and, where there is a development
    set beside the scored one, ``predictions_dev.parquet``; ``metrics.json`` (:func:`trainables.metrics.write_predictions`).
    """

    version: ClassVar[int] = 2  # 2: predictions of the development set too
    label: ClassVar[str] = "chance"
    accelerated: ClassVar[bool] = False

    features: Stage
    """The features of the rows beside it: a stage with ``corpus``, ``unit`` and ``segments.parquet``. Only its units are read."""
    strategy: Literal["uniform", "most_frequent"]
    task: TaskName = "depression"

    @field_validator("features")
    @classmethod
    def _has_units(cls, features: Stage) -> Stage:
        if not (hasattr(features, "corpus") and hasattr(features, "unit")):
            raise ValueError(f"{type(features).__name__} has no corpus and unit; give a stage of features")
        return features

    def exposure(self) -> Exposure:
        """The classes of the training units."""
        return Exposure(features=self.features, fitted="training", task=self.task)

    def run(self, context: Context) -> None:
        """Score the guesses."""
        import numpy as np
        from sklearn.dummy import DummyClassifier

        from trainables.metrics import scored_sets, write_predictions
        from trainables.units import read_units

        units = read_units(context.result(self.features), TASKS[self.task])
        training = self.sets(units)["train"].truth
        dummy = DummyClassifier(strategy=self.strategy, random_state=seeded(self.seed, "guesses") % 2**32)
        dummy.fit(np.zeros((len(training), 1)), training)
        for name, scored in scored_sets(self, units).items():
            # A guess is one draw, not a probability of one half: write the drawn class.
            guesses = dummy.predict(np.zeros((len(scored.truth), 1)))
            write_predictions(context.directory, scored, np.eye(len(scored.task.classes))[guesses], name=name)
