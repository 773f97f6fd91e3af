"""Stage: ratings from each unit's mean feature vector by ridge regression, or their training mean; the bar for a recogniser."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import field_validator, model_validator

from trainables.divided import DividedStage
from trainables.leakage.exposure import Exposure
from trainables.stage import Context, Stage

if TYPE_CHECKING:
    from sklearn.base import RegressorMixin

_PENALTIES = tuple(10.0 ** (number / 2) for number in range(-2, 11))
"""0.1 to 100,000, beside a sum of squared errors over the training units and dimensions of deviation 1."""


class AttributeProbe(DividedStage):
    """Activation, valence and dominance of a unit from its mean turn vector, without any depth.

    Ours, not the slides': what their recogniser has to beat on the same sets. 'mean' is scikit-learn's DummyRegressor, the mean
    rating of the training units; its concordance is 0, as that of any constant (pooled over folds, whose means differ a little, it
    is a little below 0). 'ridge' is standardised dimensions and scikit-learn's RidgeCV. Decisions:

    - Ridge minimises squared error, not the coefficient that is reported: the solution is then unique and has no settings to tune.
      Squared error shrinks predictions towards the mean, so it does not reach the coefficient that a linear model could.
    - Each attribute has the penalty with the least squared error where each training unit in turn is left out. Other units of its
      speaker are not left out with it, which favours weak penalties; neither the scored nor the development units have part in it.

    ``seed`` controls the division where the protocol leaves it to the seed, and nothing else.

    Result: ``predictions.parquet`` (one row per scored unit) and, where the division has a development set beside the scored one,
    ``predictions_dev.parquet``; ``metrics.json`` (:func:`trainables.metrics.write_attributes`).
    """

    label: ClassVar[str] = "attribute probe"
    accelerated: ClassVar[bool] = False

    features: Stage
    """Turn features: a stage with ``corpus``, ``unit``, ``segments.parquet`` and ``embeddings.npy`` ``[turns, dimensions]``."""
    model: Literal["mean", "ridge"] = "ridge"

    @field_validator("features")
    @classmethod
    def _has_units(cls, features: Stage) -> Stage:
        if not (hasattr(features, "corpus") and hasattr(features, "unit")):
            raise ValueError(f"{type(features).__name__} has no corpus and unit; give a stage of turn features")
        return features

    @model_validator(mode="after")
    def _ratings_are_not_shuffled(self) -> AttributeProbe:
        if self.shuffled_labels:
            raise ValueError("shuffled_labels permutes classes, and ratings are none; compare with model='mean'")
        return self

    def exposure(self) -> Exposure:
        """The ratings of the training units; by ridge regression their sound and its statistics too."""
        normalised = "training" if self.model == "ridge" else "nothing"
        return Exposure(features=self.features, fitted="training", task="attributes", normalised=normalised)

    def run(self, context: Context) -> None:
        """Fit on the training units and score the others.

        Raises:
            UserError: A unit lacks an attribute; the corpus does not have what the protocol needs.
        """
        import numpy as np

        from trainables.attributes import attribute_values, rated_units
        from trainables.linear_probe import unit_means
        from trainables.metrics import scored_sets, write_attributes

        directory = context.result(self.features)
        units = rated_units(directory)
        embeddings = np.load(directory / "embeddings.npy", mmap_mode="r")
        training = self.sets(units)["train"]
        probe = self._probe().fit(unit_means(training, embeddings), attribute_values(training).double().numpy())
        for name, scored in scored_sets(self, units).items():
            write_attributes(context.directory, scored, probe.predict(unit_means(scored, embeddings)), name)

    def _probe(self) -> RegressorMixin:
        from sklearn.dummy import DummyRegressor
        from sklearn.linear_model import RidgeCV
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        if self.model == "mean":
            return DummyRegressor()
        return make_pipeline(StandardScaler(), RidgeCV(_PENALTIES, alpha_per_target=True))
