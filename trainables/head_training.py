"""Stage: the last layer of an attention-residual network trained with the rest frozen (steps 2 to 4 of the paper's procedure)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from trainables.resnet_training import RangeTested
from trainables.stage import Context

if TYPE_CHECKING:
    from trainables.learning_rate_range import LearningRateRange


class HeadTraining(RangeTested):
    """The linear layer of a network whose other weights are random and frozen.

    The paper's steps 3 and 4 (section 3.5): 'Freeze the previous attention residual layer and leave the last layer. Train the last
    layer.' The procedure is that of fine-tuning, but the paper names no pretrained weights: 'the network weights are initialized
    as described in [17]' (He et al.). So what is frozen is random here; what batch norm does meanwhile is
    :meth:`AttentionResnet.freeze_body <trainables.models.attention_resnet.AttentionResnet.freeze_body>`'s. Decision: 20 epochs, as
    the whole network has, because Table 4 has one number for both.

    ``seed`` controls the division where the protocol leaves it to the seed, the first weights and the batch order.

    Result: the network as its ``save`` writes it; ``metrics.json``: ``loss`` of the last step (nat) and ``learning_rate``.
    """

    label: ClassVar[str] = "last layer"

    epochs: int = Field(default=20, gt=0)

    def rate_range(self) -> LearningRateRange:
        """That of the last layer (step 2)."""
        from trainables.learning_rate_range import LearningRateRange  # which has this very stage as a field

        return LearningRateRange(**self.shared(), **self.range_settings())

    def run(self, context: Context) -> None:
        """Train the last layer and write the whole network.

        Raises:
            UserError: The corpus does not have what the task or the protocol needs; the training diverged.
        """
        from trainables.metrics import add_metrics
        from trainables.training import train_watched

        training = self.sets(self.units(context))["train"]
        network = self.untrained(context, training).to(context.device)
        network.freeze_body()
        rate = self.rate(context)
        optimizer = self.optimizer(network, rate)
        step, steps_per_epoch = self.training_step(context, network, optimizer, training)
        _, last = train_watched(
            context,
            seed=self.seed,
            steps=self.epochs * steps_per_epoch,
            steps_per_epoch=steps_per_epoch,
            step=step,
            parts={"network": network},
            optimizer=optimizer,
            mend=f"the learning rate is {rate:.3g}: {self.mend()}",
        )
        network.save(context.directory)
        add_metrics(context.directory, {**last, "learning_rate": rate})
