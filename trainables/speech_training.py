"""What the stages share that train a classifier of utterances on a speech encoder: settings, training, scores."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field, model_validator

from trainables.convolutional_features import ConvolutionalFeatures, EncoderStage
from trainables.divided import DividedStage
from trainables.leakage.exposure import Exposure
from trainables.protocols import Protocol
from trainables.schedules import stepped
from trainables.stage import Context
from trainables.tasks import TASKS, TaskName
from trainables.utterances import Utterances

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    import numpy as np
    import torch

    from trainables.units import Units

    Arguments = Callable[[torch.Tensor], tuple[Any, ...]]
    """From rows of the utterances' table, LongTensor ``[B]``, to what the network is called with for them."""


class SpeechTraining(DividedStage):
    """Adam and cross entropy on the utterances of one corpus, with a learning rate that falls in steps.

    The paper (supervised contrastive learning across corpora, section 4.2) is silent on the rest:

    - Classes are not weighted in the loss, though IEMOCAP's are unequal: section 3.1 says 'cross entropy loss' alone.
    - Of a protocol with a development set the epoch with its best macro F1 counts; without one the last epoch counts, because
      choosing on the test set would lie.
    - Every epoch goes through the training utterances in another order; those that are left over after its last whole batch are
      passed over in it (:class:`~trainables.training.EpochOrder`).
    """

    shortcuts: ClassVar[frozenset[str]] = frozenset({"convolved"})

    utterances: Utterances
    task: TaskName
    protocol: Protocol
    convolved: ConvolutionalFeatures | None = None
    """Convolved features of these utterances; None to convolve them here, whenever they are needed."""
    epochs: int = Field(gt=0)
    batch_size: int = Field(default=32, gt=0)
    """Of all workers together."""
    learning_rate: float = Field(gt=0)
    decay_from: int = Field(ge=2)
    """The first epoch, counted from 1, with a lower rate."""
    decay_every: int = Field(gt=0)
    """Epochs from there to the next fall, and so on."""
    decay: float = Field(gt=0, le=1)
    """Factor of each fall."""
    precision: Literal["float32", "bfloat16"] = "bfloat16"
    """bfloat16 autocast of the networks; convolved features, weights, loss and scores stay in float32."""

    @abstractmethod
    def initial_encoder(self) -> EncoderStage:
        """The stage whose frozen convolution this stage hears through."""

    @model_validator(mode="after")
    def _convolved_are_these(self) -> SpeechTraining:
        if self.convolved is not None and self.convolved != self.convolution():
            raise ValueError("convolved is of another encoder or of other utterances; give those of this stage, or leave it out")
        return self

    def convolution(self) -> ConvolutionalFeatures:
        """The stage whose result spares this one its convolutions."""
        return ConvolutionalFeatures(encoder=self.initial_encoder(), utterances=self.utterances)

    def exposure(self) -> Exposure:
        """Training utterances and their labels; the best epoch on the development set, if there is one."""
        selected = "dev" if self.has_development_set() else "nothing"
        return Exposure(features=self.utterances, fitted="training", task=self.task, selected=selected)

    def units(self, context: Context) -> Units:
        """The utterances that have a class."""
        from trainables.units import read_units

        return read_units(context.result(self.utterances), TASKS[self.task])

    def fit(
        self,
        context: Context,
        sets: Mapping[str, Units],
        model: torch.nn.Module,
        groups: Sequence[Mapping[str, Any]],
        arguments: Arguments,
    ) -> None:
        """Train on ``sets['train']``; with a set 'dev' the epoch with its best macro F1 counts.

        Args:
            context: The stage's context.
            sets: Units by name of the set.
            model: Gives logits; on the context's device. It has the weights that count afterwards.
            groups: What is trained, as Adam takes it: parameters with their first learning rate.
            arguments: What the model is called with.

        Raises:
            UserError: Fewer training utterances than workers.
        """
        import torch

        from trainables.metrics import classification_scores
        from trainables.training import train_epochs

        optimizer = torch.optim.Adam(groups)
        step, steps_per_epoch = self._training_step(context, sets["train"], model, optimizer, arguments)

        def validate() -> dict[str, float]:
            predicted = self.probabilities(context, model, sets["dev"], arguments).argmax(axis=1)
            return classification_scores(sets["dev"].truth, predicted, len(sets["dev"].task.classes))

        train_epochs(
            context,
            seed=self.seed,
            epochs=self.epochs,
            steps_per_epoch=steps_per_epoch,
            step=step,
            model=model,
            optimizer=optimizer,
            validate=validate if "dev" in sets else None,
        )

    def _training_step(
        self,
        context: Context,
        training: Units,
        model: torch.nn.Module,
        optimizer: torch.optim.Optimizer,
        arguments: Arguments,
    ) -> tuple[Callable[[int], dict[str, torch.Tensor]], int]:
        """One optimizer step as a function of the step's number, and the number of steps per epoch."""
        import torch
        from torch.nn import functional as F
        from torch.nn.parallel import DistributedDataParallel

        from trainables.contrastive import mean_over_workers
        from trainables.errors import UserError
        from trainables.training import EpochOrder, autocast

        rows, labels = utterance_rows(training), torch.from_numpy(training.truth)
        order = EpochOrder(len(rows), self.batch_size, self.seed)
        if order.batch_size < context.world_size:
            raise UserError(f"{len(rows)} training utterances are too few for {context.world_size} workers; use fewer workers")
        parallel = DistributedDataParallel(model, broadcast_buffers=False) if context.world_size > 1 else model
        first_rates = [group["lr"] for group in optimizer.param_groups]

        def step(index: int) -> dict[str, torch.Tensor]:
            factor = stepped(1 + index // order.steps_per_epoch, self.decay_from, self.decay_every, self.decay)
            for group, rate in zip(optimizer.param_groups, first_rates, strict=True):
                group["lr"] = rate * factor
            model.train()
            mine = order[index][context.rank :: context.world_size]
            inputs, targets = arguments(rows[mine]), labels[mine].to(context.device)
            with autocast(context.device, self.precision):
                logits = parallel(*inputs)
            # Gradients are averaged over the workers: shares of a batch, also unequal ones, then give those of its mean loss.
            loss = F.cross_entropy(logits.float(), targets, reduction="sum") * (context.world_size / order.batch_size)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            return {"loss": mean_over_workers(loss.detach())}

        return step, order.steps_per_epoch

    def probabilities(self, context: Context, model: torch.nn.Module, units: Units, arguments: Arguments) -> np.ndarray:
        """Class probabilities ``[utterances, classes]``, float32."""
        import torch

        from trainables.training import autocast

        model.eval()
        scores = []
        with torch.inference_mode():
            for rows in utterance_rows(units).split(self.batch_size):
                inputs = arguments(rows)
                with autocast(context.device, self.precision):
                    logits = model(*inputs)
                scores.append(logits.float().softmax(dim=1).cpu())
        return torch.cat(scores).numpy()

    def write_scores(self, context: Context, units: Units, model: torch.nn.Module, arguments: Arguments) -> None:
        """Write what the model says of the scored set, and of a development set beside it.

        Raises:
            UserError: The training diverged.
        """
        from trainables.metrics import scored_sets, write_predictions

        for name, scored in scored_sets(self, units).items():
            write_predictions(context.directory, scored, self.probabilities(context, model, scored, arguments), name=name)


def utterance_rows(units: Units) -> torch.Tensor:
    """The row of each unit in the utterances' table, where each has one; LongTensor ``[units]``."""
    import numpy as np
    import torch

    return torch.from_numpy(np.concatenate(units.segments))
