"""Stage: Cnn10 and LSTM trained whole on sessions (ReCLR, section 3.3, Table 1 'tuning')."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field, model_validator

from trainables.contrastive_pretraining import ContrastivePretraining
from trainables.divided import DividedStage
from trainables.leakage.exposure import Exposure
from trainables.log_mel_features import LogMelFeatures
from trainables.numerics import seeded
from trainables.stage import Context
from trainables.tasks import TASKS, TaskName

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    import torch

    from trainables.features.shards import FeatureShard
    from trainables.models.session import Crnn
    from trainables.training import EpochOrder
    from trainables.units import Units


class CrnnClassifier(DividedStage):
    """The CRNN trained from random or from pretrained weights; scored on unseen speakers.

    From the paper: 'We further train the whole CRNN on MDD from scratch ... We also load the Cnn10 with CoCLR-pretrained
    parameters before training' (section 3.3). The paper is silent on the rest:

    - Adam 1e-4, batch of 8 sessions, 50 epochs, last epoch (no validation set, as in the session classifier).
    - In training a session gives a random run of at most ``segments_per_session`` consecutive segments, because a whole interview
      of 100 to 300 segments does not fit into memory with its activations; a test session is read whole.

    ``seed`` controls the split, the initialisation, the batch order, the runs of segments and dropout.

    Result: ``predictions.parquet`` (one row per test session), ``metrics.json`` (``f1_macro, f1_micro, uar``).
    """

    label: ClassVar[str] = "CRNN"

    features: LogMelFeatures
    initial: ContrastivePretraining | None = None
    """Where Cnn10's first weights come from; None for random ones."""
    task: TaskName = "depression"
    width: int = Field(default=64, gt=0)
    hidden_size: int = Field(default=128, gt=0)
    bidirectional: bool = False
    segments_per_session: int = Field(default=32, gt=0)
    epochs: int = Field(default=50, gt=0)
    batch_size: int = Field(default=8, gt=1)
    learning_rate: float = Field(default=1e-4, gt=0)
    precision: Literal["float32", "bfloat16"] = "bfloat16"

    @model_validator(mode="after")
    def _same_architecture(self) -> CrnnClassifier:
        if self.initial is not None and self.initial.width != self.width:
            raise ValueError(f"width is {self.width}, but the initial weights have width {self.initial.width}; make them equal")
        return self

    def exposure(self) -> Exposure:
        """Training sessions and their labels; the last epoch counts."""
        return Exposure(features=self.features, fitted="training", task=self.task)

    def run(self, context: Context) -> None:
        """Train on the training speakers' sessions and score the test speakers' sessions."""
        import torch

        from trainables.features.shards import FeatureShard
        from trainables.metrics import write_predictions
        from trainables.models.cnn10 import Cnn10
        from trainables.models.session import Crnn
        from trainables.models.weights import load_encoder
        from trainables.training import EpochOrder, train
        from trainables.units import read_units

        shard = FeatureShard(context.result(self.features))
        sets = self.sets(read_units(context.result(self.features), TASKS[self.task]))
        training, test = sets["train"], sets["test"]
        torch.manual_seed(seeded(self.seed, "initialisation"))
        encoder = load_encoder(context.result(self.initial)) if self.initial else Cnn10(self.features.mels, self.width)
        model = Crnn(encoder, self.hidden_size, self.bidirectional, len(training.task.classes)).to(context.device)
        optimizer = torch.optim.Adam(model.parameters(), lr=self.learning_rate)
        order = EpochOrder(len(training.segments), self.batch_size, self.seed)
        train(
            context,
            seed=self.seed,
            steps=self.epochs * order.steps_per_epoch,
            steps_per_epoch=order.steps_per_epoch,
            step=self._training_step(context, model, optimizer, shard, training, order),
            parts={"model": model, "optimizer": optimizer},
        )
        write_predictions(context.directory, test, self._probabilities(context, model, shard, test))

    def _training_step(
        self,
        context: Context,
        model: Crnn,
        optimizer: torch.optim.Optimizer,
        shard: FeatureShard,
        units: Units,
        order: EpochOrder,
    ) -> Callable[[int], dict[str, torch.Tensor]]:
        """One optimizer step as a function of the step's number."""
        import torch
        from torch.nn import functional as F

        from trainables.training import autocast

        labels = torch.from_numpy(units.truth)

        def step(index: int) -> dict[str, torch.Tensor]:
            model.train()
            batch = order[index]
            runs = self._runs(units, batch, index)
            inputs = shard.gather(torch.cat(runs)).to(context.device)
            with autocast(context.device, self.precision):
                logits = model(inputs, torch.tensor([len(run) for run in runs]))
            loss = F.cross_entropy(logits.float(), labels[batch].to(context.device))
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            return {"loss": loss.detach()}

        return step

    def _runs(self, units: Units, batch: torch.Tensor, index: int) -> list[torch.Tensor]:
        """For each session of the batch a random run of consecutive segments, as row numbers."""
        import torch

        generator = torch.Generator().manual_seed(seeded(self.seed, "runs", index))
        runs = []
        for session in batch.tolist():
            segments = torch.from_numpy(units.segments[session])
            spare = max(len(segments) - self.segments_per_session, 0)
            begin = int(torch.randint(spare + 1, (), generator=generator))
            runs.append(segments[begin : begin + self.segments_per_session])
        return runs

    def _probabilities(self, context: Context, model: Crnn, shard: FeatureShard, units: Units) -> np.ndarray:
        """Class probabilities ``[sessions, classes]``; a long session is embedded in pieces to bound the memory."""
        import torch

        from trainables.training import autocast

        model.eval()
        scores = []
        with torch.inference_mode(), autocast(context.device, self.precision):
            for segments in units.segments:
                rows = torch.from_numpy(segments).split(self.segments_per_session)
                vectors = torch.cat([model.embed(shard.gather(piece).to(context.device)) for piece in rows])
                logits = model.session(vectors[None], torch.tensor([len(vectors)], device=vectors.device))
                scores.append(logits.float().softmax(dim=1).cpu())
        return torch.cat(scores).numpy()
