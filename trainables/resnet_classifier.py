"""Stage: an attention-residual network trained by the paper's procedure, and scored."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from trainables.head_training import HeadTraining
from trainables.leakage.exposure import Exposure
from trainables.learning_rate_range import LearningRateRange
from trainables.resnet_training import RangeTested
from trainables.stage import Context, Stage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainables.models.attention_resnet import AttentionResnet
    from trainables.units import Units


class ResnetClassifier(RangeTested):
    """The paper's procedure as it is listed (Lu et al. 2021, section 3.5), each step resumable:

    1. Speech is cut into segments: :class:`~trainables.mfcc_segments.MfccSegments`.
    2. 'Find the best learning rate value': :class:`~trainables.learning_rate_range.LearningRateRange` of the last layer.
    3. 'Freeze the previous attention residual layer and leave the last layer', and 4. 'train the last layer':
       :class:`~trainables.head_training.HeadTraining`.
    5. 'Unfreeze the previous attention residual layer', and 6. 'looks for the best learning rate again': ``LearningRateRange`` of
       that whole network.
    7. 'Train the entire network until the network is overfitted': this stage, from the network of step 4.

    Steps 2 to 6 are stages that are derived from this one's settings, so that they have its division in every fold and under every
    protocol. Each gets those settings alone that can change its result: classifiers that differ in ``epochs`` share all of them.

    Decisions: Table 4's 20 epochs for each training, because it has one number; it is silent on how overfitting is seen. Of a
    protocol with a development set the epoch with its best macro F1 counts; without one the last epoch counts, because choosing on
    the test set would lie.

    ``seed`` controls the division where the protocol leaves it to the seed, the first weights and the batch order.

    Result: ``predictions.parquet`` (one row per scored segment) and, where the division has a development set beside the scored
    one, ``predictions_dev.parquet``; ``metrics.json`` (:func:`trainables.metrics.write_predictions`) with the ``learning_rate``.
    """

    label: ClassVar[str] = "attention-residual network"

    head_epochs: int = Field(default=20, gt=0)
    """Of step 4."""
    epochs: int = Field(default=20, gt=0)
    """Of step 7."""

    def trained_head(self) -> HeadTraining:
        """The network with its last layer trained (steps 2 to 4)."""
        if self.range_test:
            rates = {name: getattr(self, name) for name in ("range_steps", "lowest_rate", "highest_rate")}
        else:
            rates = {"range_test": False, "learning_rate": self.learning_rate}
        return HeadTraining(**self.shared(), **rates, epochs=self.head_epochs)

    def rate_range(self) -> LearningRateRange:
        """That of the whole network (step 6)."""
        return LearningRateRange(head=self.trained_head(), **self.range_settings())

    def upstream(self) -> dict[str, Stage]:
        """The features, 'head', and where there is a range test 'range'."""
        return super().upstream() | {"head": self.trained_head()}

    def exposure(self) -> Exposure:
        """Training segments, their labels and their statistics; the best epoch on the development set, if there is one."""
        return super().exposure()._replace(selected="dev" if self.has_development_set() else "nothing")

    def run(self, context: Context) -> None:
        """Train the whole network and score it.

        Raises:
            UserError: The corpus does not have what the task or the protocol needs; the training diverged.
        """
        from trainables.metrics import add_metrics, scored_sets, write_predictions
        from trainables.models.attention_resnet import AttentionResnet

        units = self.units(context)
        network = AttentionResnet.load(context.result(self.trained_head())).to(context.device)
        network.unfreeze()
        rate = self.rate(context)
        self._fit(context, network, rate, self.sets(units))
        for name, scored in scored_sets(self, units).items():
            write_predictions(context.directory, scored, self.probabilities(context, network, scored), name=name)
        add_metrics(context.directory, {"learning_rate": rate})

    def _fit(self, context: Context, network: AttentionResnet, rate: float, sets: Mapping[str, Units]) -> None:
        """Train on ``sets['train']``; with a set 'dev' the epoch with its best macro F1 counts."""
        from trainables.metrics import classification_scores
        from trainables.training import train_epochs

        optimizer = self.optimizer(network, rate)
        step, steps_per_epoch = self.training_step(context, network, optimizer, sets["train"])

        def validate() -> dict[str, float]:
            predicted = self.probabilities(context, network, sets["dev"]).argmax(axis=1)
            return classification_scores(sets["dev"].truth, predicted, len(sets["dev"].task.classes))

        train_epochs(
            context,
            seed=self.seed,
            epochs=self.epochs,
            steps_per_epoch=steps_per_epoch,
            step=step,
            model=network,
            optimizer=optimizer,
            validate=validate if "dev" in sets else None,
        )
