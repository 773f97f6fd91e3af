"""Stage: what can be scored without listening, so that every table shows how far above nothing its rows are."""

from __future__ import annotations

from typing import ClassVar, Literal

from trainables.divided import DividedStage
from trainables.leakage.exposure import Exposure
from trainables.log_mel_features import LogMelFeatures
from trainables.numerics import seeded
from trainables.stage import Context
from trainables.tasks import TASKS, TaskName


class ChanceClassifier(DividedStage):
    """scikit-learn's DummyClassifier on the same sets: 'uniform' guesses, 'most_frequent' always says the majority class.

    At one seed it trains on and is scored on the same speakers as the classifiers that it stands beside. ``seed`` controls the
    division (the same as every other row's) and the guesses.

    Result: ``predictions.parquet`` (one row per scored unit, probability 1 for the class said), ``metrics.json``
    (``f1_macro, f1_micro, uar``).
    """

    label: ClassVar[str] = "chance"
    accelerated: ClassVar[bool] = False

    features: LogMelFeatures
    strategy: Literal["uniform", "most_frequent"]
    task: TaskName = "depression"

    def exposure(self) -> Exposure:
        """The classes of the training units."""
        return Exposure(features=self.features, fitted="training", task=self.task)

    def run(self, context: Context) -> None:
        """Score the guesses."""
        import numpy as np
        from sklearn.dummy import DummyClassifier

        from trainables.metrics import write_predictions
        from trainables.units import read_units

        sets = self.sets(read_units(context.result(self.features), TASKS[self.task]))
        training, scored = sets["train"].truth, sets[self.scored_on]
        dummy = DummyClassifier(strategy=self.strategy, random_state=seeded(self.seed, "guesses") % 2**32)
        dummy.fit(np.zeros((len(training), 1)), training)
        # A guess is one draw, not a probability of one half: write the drawn class.
        guesses = dummy.predict(np.zeros((len(scored.truth), 1)))
        write_predictions(context.directory, scored, np.eye(len(scored.task.classes))[guesses])
