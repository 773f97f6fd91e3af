"""Stage: what can be scored without listening, so that every table shows how far above nothing its rows are."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from trainables.log_mel_features import LogMelFeatures
from trainables.numerics import seeded
from trainables.stage import Context, Stage


class ChanceClassifier(Stage):
    """scikit-learn's DummyClassifier on the same splits: 'uniform' guesses, 'most_frequent' always says the majority class.

    Result: as of :class:`~trainables.session_classifier.SessionClassifier`.
    """

    label: ClassVar[str] = "chance"
    accelerated: ClassVar[bool] = False

    features: LogMelFeatures
    strategy: Literal["uniform", "most_frequent"]
    target: str = "depressed"
    test_fraction: float = Field(default=0.3, gt=0, lt=1)
    seed: int = 0
    """Controls the split (the same as every other row's) and the guesses."""

    def run(self, context: Context) -> None:
        """Score the guesses on the test speakers' sessions."""
        import numpy as np
        from sklearn.dummy import DummyClassifier

        from trainables.metrics import write_predictions
        from trainables.protocols import split_by_speaker
        from trainables.units import read_units

        units = read_units(context.result(self.features), self.target)
        split = split_by_speaker(units.table, self.target, self.test_fraction, self.seed).to_numpy()
        truth = units.table[self.target].to_numpy().astype("int64")
        dummy = DummyClassifier(strategy=self.strategy, random_state=seeded(self.seed, "guesses") % 2**32)
        dummy.fit(np.zeros((np.sum(split == "train"), 1)), truth[split == "train"])
        # A guess is one draw, not a probability of one half: write the drawn class.
        guesses = dummy.predict(np.zeros((np.sum(split == "test"), 1)))
        test = units.where(split == "test")
        write_predictions(context.directory, test.table, truth[split == "test"], np.eye(2)[guesses])
