"""Stage: what can be scored without listening, so that every table shows how far above nothing its rows are."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, model_validator

from trainables.log_mel_features import LogMelFeatures
from trainables.numerics import seeded
from trainables.protocols import Division, ScoredSet, SplitSource
from trainables.stage import Context, Stage
from trainables.tasks import TASKS, TaskName


class ChanceClassifier(Stage):
    """scikit-learn's DummyClassifier on the same sets: 'uniform' guesses, 'most_frequent' always says the majority class.

    The settings of the division mean what they mean for the classifiers that it stands beside, so that at one seed it trains on
    and is scored on the same speakers (:class:`~trainables.protocols.Division`).

    Result: ``predictions.parquet`` (one row per scored unit, probability 1 for the class said), ``metrics.json``
    (``f1_macro, f1_micro, uar``).
    """

    label: ClassVar[str] = "chance"
    accelerated: ClassVar[bool] = False

    features: LogMelFeatures
    strategy: Literal["uniform", "most_frequent"]
    task: TaskName = "depression"
    split: SplitSource = "random"
    test_fraction: float = Field(default=0.3, gt=0, lt=1)
    holdout_seed: int | None = None
    dev_fraction: float = Field(default=0.0, ge=0, lt=1)
    scored_on: ScoredSet = "test"
    seed: int = 0
    """Controls the division (the same as every other row's) and the guesses."""

    @property
    def division(self) -> Division:
        """Who trains and who is scored."""
        return Division(self.seed, self.test_fraction, self.split, self.holdout_seed, self.dev_fraction, self.scored_on)

    @model_validator(mode="after")
    def _can_be_divided(self) -> ChanceClassifier:
        _ = self.division
        return self

    def run(self, context: Context) -> None:
        """Score the guesses."""
        import numpy as np
        from sklearn.dummy import DummyClassifier

        from trainables.metrics import write_predictions
        from trainables.units import read_units

        sets = self.division.of(read_units(context.result(self.features), TASKS[self.task]))
        training, scored = sets["train"].truth, sets[self.scored_on]
        dummy = DummyClassifier(strategy=self.strategy, random_state=seeded(self.seed, "guesses") % 2**32)
        dummy.fit(np.zeros((len(training), 1)), training)
        # A guess is one draw, not a probability of one half: write the drawn class.
        guesses = dummy.predict(np.zeros((len(scored.truth), 1)))
        write_predictions(context.directory, scored, np.eye(len(scored.task.classes))[guesses])
