"""What the stages share that train Cnn10 and a fully connected layer on utterances: settings, training, probabilities."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from trainables.divided import DividedStage
from trainables.leakage.exposure import Exposure
from trainables.log_mel_features import LogMelFeatures
from trainables.numerics import seeded
from trainables.stage import Context
from trainables.tasks import TaskName

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import numpy as np
    import torch

    from trainables.training import BestEpoch
    from trainables.units import Units


class UtteranceTraining(DividedStage):
    """Cnn10 and a fully connected layer, trained on the segments of utterances with Adam and cross-entropy.

    Each segment bears its utterance's class. An utterance longer than one segment is scored by the mean of its segments'
    log-probabilities (decision; the papers are silent).
    """

    features: LogMelFeatures
    width: int = Field(default=64, gt=0)
    """Channels of Cnn10's first block; 64 is PANNs'."""
    epochs: int = Field(default=30, gt=0)
    batch_size: int = Field(default=64, gt=1)
    learning_rate: float = Field(default=1e-3, gt=0)
    precision: Literal["float32", "bfloat16"] = "bfloat16"
    """bfloat16 autocast; weights, loss and scores stay in float32."""

    def learning(self, task: TaskName) -> Exposure:
        """What :meth:`fit` learns from, whatever the weights that it begins with."""
        selected = "dev" if self.has_development_set() else "nothing"
        return Exposure(features=self.features, fitted="training", task=task, selected=selected)

    def fit(
        self, context: Context, sets: Mapping[str, Units], initial: Path | None = None
    ) -> tuple[torch.nn.Sequential, BestEpoch | None]:
        """Train on ``sets['train']``.

        Args:
            context: The stage's context.
            sets: Units by name of the set. With a set 'dev' the epoch with its best macro F1 counts, without one the last epoch.
            initial: The result with Cnn10's first weights; None for random ones.

        Returns:
            Encoder and head, and the best epoch if there was a choice.
        """
        import torch

        from trainables.metrics import classification_scores
        from trainables.models.cnn10 import ClassificationHead, Cnn10
        from trainables.models.weights import load_encoder
        from trainables.training import train_epochs

        torch.manual_seed(seeded(self.seed, "initialisation"))
        encoder = load_encoder(initial) if initial else Cnn10(self.features.mels, self.width)
        classes = len(sets["train"].task.classes)
        model = torch.nn.Sequential(encoder, ClassificationHead(encoder.embedding_dim, classes)).to(context.device)
        optimizer = torch.optim.Adam(model.parameters(), lr=self.learning_rate)
        step, steps_per_epoch = self._training_step(context, model, optimizer, sets["train"])

        def validate() -> dict[str, float]:
            predicted = self.probabilities(context, model, sets["dev"]).argmax(axis=1)
            return classification_scores(sets["dev"].truth, predicted, classes)

        best = train_epochs(
            context,
            seed=self.seed,
            epochs=self.epochs,
            steps_per_epoch=steps_per_epoch,
            step=step,
            model=model,
            optimizer=optimizer,
            validate=validate if "dev" in sets else None,
        )
        return model, best

    def _training_step(
        self, context: Context, model: torch.nn.Module, optimizer: torch.optim.Optimizer, units: Units
    ) -> tuple[Callable[[int], dict[str, torch.Tensor]], int]:
        """One optimizer step as a function of the step's number, and the number of steps per epoch."""
        import numpy as np
        import torch
        from torch.nn import functional as F

        from trainables.features.shards import FeatureShard
        from trainables.training import EpochOrder, autocast

        shard = FeatureShard(context.result(self.features))
        rows = torch.from_numpy(np.concatenate(units.segments))
        labels = torch.from_numpy(np.repeat(units.truth, [len(segments) for segments in units.segments]))
        order = EpochOrder(len(rows), self.batch_size, self.seed)

        def step(index: int) -> dict[str, torch.Tensor]:
            model.train()
            batch = order[index]
            inputs, targets = shard.gather(rows[batch]).to(context.device), labels[batch].to(context.device)
            with autocast(context.device, self.precision):
                logits = model(inputs)
            loss = F.cross_entropy(logits.float(), targets)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            return {"loss": loss.detach()}

        return step, order.steps_per_epoch

    def probabilities(self, context: Context, model: torch.nn.Module, units: Units) -> np.ndarray:
        """Class probabilities ``[utterances, classes]``: softmax of the mean of the segments' log-probabilities."""
        import numpy as np
        import torch

        from trainables.features.shards import FeatureShard
        from trainables.training import autocast

        model.eval()
        shard = FeatureShard(context.result(self.features))
        rows = torch.from_numpy(np.concatenate(units.segments))
        scores = []
        with torch.inference_mode(), autocast(context.device, self.precision):
            for start in range(0, len(rows), self.batch_size):
                inputs = shard.gather(rows[start : start + self.batch_size]).to(context.device)
                scores.append(model(inputs).float().log_softmax(dim=1).cpu())
        pieces = torch.cat(scores).split([len(segments) for segments in units.segments])
        return torch.stack([piece.mean(dim=0) for piece in pieces]).softmax(dim=1).numpy()
