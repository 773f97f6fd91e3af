"""What the stages share that train an attention-residual network on MFCC segments: settings, network, steps, probabilities."""

from __future__ import annotations

import json
from abc import abstractmethod
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, model_validator

from trainables.divided import DividedStage
from trainables.errors import UserError
from trainables.leakage.exposure import Exposure
from trainables.mfcc_segments import MfccSegments
from trainables.numerics import seeded
from trainables.stage import Context, Stage
from trainables.tasks import TASKS, TaskName

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    import torch

    from trainables.learning_rate_range import LearningRateRange
    from trainables.models.attention_resnet import AttentionResnet
    from trainables.units import Units

    Step = Callable[[int], dict[str, torch.Tensor]]

_BLOCK = 256  # segments whose statistics are summed up at a time


class ResnetTraining(DividedStage):
    """:class:`~trainables.models.attention_resnet.AttentionResnet` trained on 4 s segments with SGD and cross entropy.

    From the paper on attention-residual networks (Lu et al., 'Speech depression recognition based on attentional residual
    network', Frontiers in Bioscience 2021): 'momentum optimization 0.9', batches of 16, weight decay 0.003 (Table 4); SGD, which is
    among its abbreviations and nowhere else; 'the classification cross-entropy is used as the loss function' and no dropout
    (section 3.5). Decisions where it is silent:

    - Weight decay is PyTorch's, of all weights that are trained, those of batch norm and the offsets among them: Table 4 has one
      number and no exception.
    - Each MFCC is standardised by its mean and deviation over all frames of the training segments, silence that pads a segment
      included: c0 is a hundred times as large as c19, and 7x7 kernels with one weight decay would hear little else.
    - Every segment bears its recording's class, and classes are not weighted in the loss. The paper's two are about equal (Table
      3); its levels of severity are not, and there too nothing is said of weights.
    - Every epoch goes through the training segments in another order; those that are left over after its last whole batch are
      passed over in it (:class:`~trainables.training.EpochOrder`), so that batch norm never sees a batch of one.

    ``seed`` controls the division where the protocol leaves it to the seed, the first weights and the batch order.
    """

    features: MfccSegments
    task: TaskName = "depression"
    depth: Literal[18, 34, 50, 101] = 18
    width: int = Field(default=64, gt=0)
    """Channels of the first stage; 64 is He et al.'s."""
    attention: Literal["none", "stages", "blocks"] = "stages"
    shortcut: Literal["zeros", "projection"] = "zeros"
    batch_size: int = Field(default=16, ge=2)
    momentum: float = Field(default=0.9, ge=0, lt=1)
    weight_decay: float = Field(default=3e-3, ge=0)
    precision: Literal["float32", "bfloat16"] = "float32"
    """Ours; the paper names none. bfloat16 is autocast (weights, loss and scores stay in float32); it takes a CPU 2 (width 4) to 36
    times (width 64) as long."""

    def exposure(self) -> Exposure:
        """Training segments, their labels and their statistics; the last step counts."""
        return Exposure(features=self.features, fitted="training", task=self.task, normalised="training")

    def shared(self) -> dict[str, Any]:
        """What decides which network is trained on which segments and how, by field: a stage derived from this one has it too.

        The set that is scored is not part of it, unless it decides who trains: a search and the table after it then share.
        """
        found = {name: getattr(self, name) for name in ResnetTraining.model_fields}
        if self.protocol.scheme != "drawn":
            found["scored_on"] = "test"
        return found

    def mend(self) -> str:
        """What to do about a training that diverged."""
        return "lower the learning rate"

    def units(self, context: Context) -> Units:
        """The segments that have a class.

        Raises:
            UserError: The corpus does not have the task's label, or not everywhere.
        """
        from trainables.units import read_units

        return read_units(context.result(self.features), TASKS[self.task])

    def untrained(self, context: Context, training: Units) -> AttentionResnet:
        """First weights by the seed, and the statistics of the training segments; on the CPU."""
        import torch

        from trainables.features.shards import FeatureShard
        from trainables.features.statistics import statistics_of
        from trainables.models.attention_resnet import AttentionResnet

        torch.manual_seed(seeded(self.seed, "initialisation"))
        network = AttentionResnet(
            self.depth,
            len(training.task.classes),
            self.features.coefficients,
            width=self.width,
            attention=self.attention,
            shortcut=self.shortcut,
        )
        shard = FeatureShard(context.result(self.features))
        blocks = segment_rows(training).sort().values.split(_BLOCK)
        network.set_statistics(*statistics_of(shard.gather(rows).flatten(0, 1) for rows in blocks))
        return network

    def optimizer(self, network: AttentionResnet, rate: float) -> torch.optim.SGD:
        """Of the weights that are not frozen."""
        import torch

        trained = [weights for weights in network.parameters() if weights.requires_grad]
        return torch.optim.SGD(trained, lr=rate, momentum=self.momentum, weight_decay=self.weight_decay)

    def training_step(
        self, context: Context, network: AttentionResnet, optimizer: torch.optim.Optimizer, training: Units
    ) -> tuple[Step, int]:
        """One optimizer step as a function of the step's number, and the number of steps per epoch."""
        import torch
        from torch.nn import functional as F

        from trainables.features.shards import FeatureShard
        from trainables.training import EpochOrder, autocast

        shard, rows = FeatureShard(context.result(self.features)), segment_rows(training)
        labels = torch.from_numpy(training.truth)
        order = EpochOrder(len(rows), self.batch_size, self.seed)

        def step(index: int) -> dict[str, torch.Tensor]:
            network.train()
            batch = order[index]
            inputs, targets = shard.gather(rows[batch]).to(context.device), labels[batch].to(context.device)
            with autocast(context.device, self.precision):
                logits = network(inputs)
            loss = F.cross_entropy(logits.float(), targets)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            return {"loss": loss.detach()}

        return step, order.steps_per_epoch

    def probabilities(self, context: Context, network: AttentionResnet, units: Units) -> np.ndarray:
        """Class probabilities ``[segments, classes]``, float32.

        Raises:
            UserError: They are not finite, because the training diverged.
        """
        import torch

        from trainables.features.shards import FeatureShard
        from trainables.training import autocast

        network.eval()
        shard, scores = FeatureShard(context.result(self.features)), []
        with torch.inference_mode(), autocast(context.device, self.precision):
            for rows in segment_rows(units).split(self.batch_size):
                scores.append(network(shard.gather(rows).to(context.device)).float().softmax(dim=1).cpu())
        probabilities = torch.cat(scores)
        if not probabilities.isfinite().all():
            raise UserError(f"the trained network's outputs are not finite; {self.mend()}")
        return probabilities.numpy()


class RangeTested(ResnetTraining):
    """A training whose learning rate a range test has found, or which has Table 4's.

    The paper contradicts itself. Steps 2 and 6 of its procedure (section 3.5) 'find the best learning rate value' and look for it
    again; Table 4 has one rate, 0.001; Algorithm 1 'given learning rate eta = 0.0001, gamma = 0.001' has two, without saying of
    what. Decision: the procedure is followed as it is listed, so each training has the rate of the range test before it. With
    ``range_test=False`` both have ``learning_rate``, which is Table 4's.

    The range test is a stage of its own, derived from this one's settings (:meth:`rate_range`): whatever division or scale this
    stage gets, the range test gets it too.
    """

    range_test: bool = True
    learning_rate: float = Field(default=1e-3, gt=0)
    """Without a range test."""
    range_steps: int = Field(default=100, ge=20)
    lowest_rate: float = Field(default=1e-5, gt=0)
    highest_rate: float = Field(default=1.0, gt=0)

    @model_validator(mode="after")
    def _rates_grow(self) -> RangeTested:
        if self.lowest_rate >= self.highest_rate:
            raise ValueError(f"lowest_rate={self.lowest_rate} is not below highest_rate={self.highest_rate}; give a lower one")
        return self

    @abstractmethod
    def rate_range(self) -> LearningRateRange:
        """The range test that finds this stage's learning rate."""

    def upstream(self) -> dict[str, Stage]:
        """The features, and where there is one, the range test as 'range'."""
        return super().upstream() | ({"range": self.rate_range()} if self.range_test else {})

    def range_settings(self) -> dict[str, Any]:
        """Those of :meth:`rate_range`."""
        return {"steps": self.range_steps, "lowest": self.lowest_rate, "highest": self.highest_rate}

    def mend(self) -> str:
        """The setting that decides the learning rate."""
        return f"lower {'highest_rate, below which range tests look' if self.range_test else 'learning_rate'}"

    def rate(self, context: Context) -> float:
        """The learning rate: what the range test suggests, or the one that is given."""
        if not self.range_test:
            return self.learning_rate
        return json.loads((context.result(self.rate_range()) / "metrics.json").read_text())["learning_rate"]


def segment_rows(units: Units) -> torch.Tensor:
    """The row of each unit in the features, where each is one segment; LongTensor ``[units]``."""
    import numpy as np
    import torch

    return torch.from_numpy(np.concatenate(units.segments))
