"""Stage: depression detection from the sequence of a session's segment embeddings (ReCLR, section 3.2, Table 1 'fixed')."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from trainables.divided import DividedStage
from trainables.leakage.exposure import Exposure
from trainables.numerics import seeded
from trainables.segment_embeddings import SegmentEmbeddings
from trainables.stage import Context
from trainables.tasks import TASKS, TaskName

if TYPE_CHECKING:
    import numpy as np
    import torch

    from trainables.units import Units


class SessionClassifier(DividedStage):
    """LSTM over segment embeddings, masked mean over time, linear layer; scored on unseen speakers.

    From the paper: 'we use the pretrained Cnn10 to extract segment-level features and input to LSTM', 70 % / 30 % random split,
    10 seeds (sections 3.2, 3.3). The paper is silent on the rest:

    - Hidden size 128, mean over time, Adam 1e-3, batch 16, 50 epochs: usual sizes for about 800 training sessions.
    - There is no validation set, so there is no choice of an epoch: the last one counts. Choosing on the test set would lie.
    - Embeddings are standardised with the mean and deviation of the training sessions' segments.

    ``seed`` controls the split where the protocol leaves it to the seed, the initialisation and the batch order: all the variation
    that the paper's 10 runs have.

    Result: ``predictions.parquet`` (one row per scored session), ``metrics.json`` (``f1_macro, f1_micro, uar``).
    """

    label: ClassVar[str] = "session classifier"

    embeddings: SegmentEmbeddings
    task: TaskName = "depression"
    hidden_size: int = Field(default=128, gt=0)
    bidirectional: bool = False
    epochs: int = Field(default=50, gt=0)
    batch_size: int = Field(default=16, gt=0)
    learning_rate: float = Field(default=1e-3, gt=0)

    def exposure(self) -> Exposure:
        """Training sessions, their labels and their statistics; the last epoch counts."""
        return Exposure(features=self.embeddings.features, fitted="training", task=self.task, normalised="training")

    def run(self, context: Context) -> None:
        """Train on the training speakers' sessions and score those of the speakers who are scored."""
        import numpy as np
        import torch
        from torch.nn import functional as F

        from trainables.metrics import write_predictions
        from trainables.models.session import SessionLstm, pad
        from trainables.training import EpochOrder, train
        from trainables.units import read_units

        sets = self.sets(read_units(context.result(self.embeddings.features), TASKS[self.task]))
        training, scored = sets["train"], sets[self.scored_on]
        embeddings = np.load(context.result(self.embeddings) / "embeddings.npy", mmap_mode="r")
        known = np.asarray(embeddings[np.sort(np.concatenate(training.segments))])
        mean, scale = known.mean(axis=0), known.std(axis=0) + 1e-6
        sequences = _sequences(training, embeddings, mean, scale)
        labels = torch.from_numpy(training.truth)

        torch.manual_seed(seeded(self.seed, "initialisation"))
        classes = len(training.task.classes)
        model = SessionLstm(embeddings.shape[1], self.hidden_size, self.bidirectional, classes).to(context.device)
        optimizer = torch.optim.Adam(model.parameters(), lr=self.learning_rate)
        order = EpochOrder(len(sequences), self.batch_size, self.seed)

        def step(index: int) -> dict[str, torch.Tensor]:
            batch = order[index]
            inputs, lengths = pad([sequences[i] for i in batch.tolist()])
            logits = model(inputs.to(context.device), lengths.to(context.device))
            loss = F.cross_entropy(logits, labels[batch].to(context.device))
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            return {"loss": loss.detach()}

        per_epoch = order.steps_per_epoch
        parts = {"model": model, "optimizer": optimizer}
        train(context, seed=self.seed, steps=self.epochs * per_epoch, steps_per_epoch=per_epoch, step=step, parts=parts)
        probabilities = _probabilities(context, model, _sequences(scored, embeddings, mean, scale), self.batch_size)
        write_predictions(context.directory, scored, probabilities)


def _sequences(units: Units, embeddings: np.ndarray, mean: np.ndarray, scale: np.ndarray) -> list[torch.Tensor]:
    """Standardised embeddings of each session, FloatTensors ``[segments, dimensions]``."""
    import torch

    return [torch.from_numpy((embeddings[segments] - mean) / scale) for segments in units.segments]


def _probabilities(context: Context, model: torch.nn.Module, sequences: list[torch.Tensor], batch: int) -> np.ndarray:
    """Class probabilities ``[sessions, classes]``."""
    import torch

    from trainables.models.session import pad

    model.eval()
    scores = []
    with torch.inference_mode():
        for start in range(0, len(sequences), batch):
            inputs, lengths = pad(sequences[start : start + batch])
            scores.append(model(inputs.to(context.device), lengths.to(context.device)).softmax(dim=1).cpu())
    return torch.cat(scores).numpy()
