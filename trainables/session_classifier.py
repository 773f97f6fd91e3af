"""Stage: depression detection from the sequence of a session's segment embeddings (ReCLR, section 3.2, Table 1 'fixed')."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from trainables.numerics import seeded
from trainables.segment_embeddings import SegmentEmbeddings
from trainables.stage import Context, Stage

if TYPE_CHECKING:
    import numpy as np
    import torch

    from trainables.units import Units


class SessionClassifier(Stage):
    """LSTM over segment embeddings, masked mean over time, linear layer; scored on unseen speakers.

    From the paper: 'we use the pretrained Cnn10 to extract segment-level features and input to LSTM', 70 % / 30 % random split,
    10 seeds (sections 3.2, 3.3). The paper is silent on the rest:

    - Hidden size 128, mean over time, Adam 1e-3, batch 16, 50 epochs: usual sizes for about 800 training sessions.
    - There is no validation set, so there is no choice of an epoch: the last one counts. Choosing on the test set would lie.
    - Embeddings are standardised with the mean and deviation of the training sessions' segments.

    Result: ``predictions.parquet`` (one row per test session), ``metrics.json`` (``f1_macro, f1_micro, uar``).
    """

    label: ClassVar[str] = "session classifier"

    embeddings: SegmentEmbeddings
    target: str = "depressed"
    hidden_size: int = Field(default=128, gt=0)
    bidirectional: bool = False
    epochs: int = Field(default=50, gt=0)
    batch_size: int = Field(default=16, gt=0)
    learning_rate: float = Field(default=1e-3, gt=0)
    test_fraction: float = Field(default=0.3, gt=0, lt=1)
    seed: int = 0
    """Controls the split, the initialisation and the batch order: all the variation that the paper's 10 runs have."""

    def run(self, context: Context) -> None:
        """Train on the training speakers' sessions and score the test speakers' sessions."""
        import numpy as np
        import torch
        from torch.nn import functional as F

        from trainables.metrics import write_predictions
        from trainables.models.session import SessionLstm, pad
        from trainables.protocols import split_by_speaker
        from trainables.training import EpochOrder, train
        from trainables.units import read_units

        units = read_units(context.result(self.embeddings.features), self.target)
        split = split_by_speaker(units.table, self.target, self.test_fraction, self.seed)
        training, test = units.where((split == "train").to_numpy()), units.where((split == "test").to_numpy())
        embeddings = np.load(context.result(self.embeddings) / "embeddings.npy", mmap_mode="r")
        known = np.asarray(embeddings[np.sort(np.concatenate(training.segments))])
        mean, scale = known.mean(axis=0), known.std(axis=0) + 1e-6
        sequences = _sequences(training, embeddings, mean, scale)
        labels = torch.from_numpy(training.table[self.target].to_numpy().astype("int64"))

        torch.manual_seed(seeded(self.seed, "initialisation"))
        model = SessionLstm(embeddings.shape[1], self.hidden_size, self.bidirectional, classes=2).to(context.device)
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
        probabilities = _probabilities(context, model, _sequences(test, embeddings, mean, scale), self.batch_size)
        write_predictions(context.directory, test.table, test.table[self.target].to_numpy().astype("int64"), probabilities)


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
