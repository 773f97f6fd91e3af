"""Stage: the emotion recognition model whose embeddings serve as references (ReCLR, section 2.1)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from trainables.errors import UserError
from trainables.log_mel_features import LogMelFeatures
from trainables.numerics import seeded
from trainables.stage import Context, Stage

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy as np
    import torch

    from trainables.features.shards import FeatureShard
    from trainables.training import BestEpoch
    from trainables.units import Units


_SHARES = (0.7, 0.15, 0.15)  # of the speakers, for training, validation and test


class EmotionReference(Stage):
    """Cnn10 and a fully connected layer trained on binary sentiment; the best epoch on the validation set is kept.

    From the paper: the architecture and the choice of the epoch (section 2.1); utterances with score 0 are neglected, a score
    below 0 is class 0 and any other class 1 (section 3.1). The paper is silent on the rest:

    - Optimiser Adam, 1e-3, 30 epochs, batch 64: usual for Cnn10 from random weights.
    - 'Best performance' is macro F1 over validation utterances, the first metric of Table 4.
    - An utterance longer than one segment is scored by the mean of its segments' log-probabilities.
    - A corpus that names no splits is divided by speaker: 70 % training, 15 % validation, 15 % test.

    Result: ``encoder.safetensors``, ``head.safetensors``, ``predictions.parquet`` (test utterances), ``metrics.json``.
    """

    label: ClassVar[str] = "emotion reference"
    provides_encoder: ClassVar[bool] = True

    features: LogMelFeatures
    width: int = Field(default=64, gt=0)
    """Channels of Cnn10's first block; 64 is PANNs'."""
    epochs: int = Field(default=30, gt=0)
    batch_size: int = Field(default=64, gt=1)
    learning_rate: float = Field(default=1e-3, gt=0)
    precision: Literal["float32", "bfloat16"] = "bfloat16"
    """bfloat16 autocast; weights, loss and scores stay in float32."""
    seed: int = 0
    """Controls initialisation, batch order and dropout; and the split, where the corpus names none."""

    def run(self, context: Context) -> None:
        """Train, choose the epoch on the validation utterances, score it on the test utterances."""
        import torch
        from safetensors.torch import save_file

        from trainables.features.shards import FeatureShard
        from trainables.models.cnn10 import ClassificationHead, Cnn10
        from trainables.models.weights import save_encoder
        from trainables.training import BestEpoch, train

        directory = context.result(self.features)
        shard, parts = FeatureShard(directory), self._divide(directory)
        torch.manual_seed(seeded(self.seed, "initialisation"))
        encoder = Cnn10(self.features.mels, self.width)
        model = torch.nn.Sequential(encoder, ClassificationHead(encoder.embedding_dim, 2)).to(context.device)
        optimizer = torch.optim.Adam(model.parameters(), lr=self.learning_rate)
        best = BestEpoch(model)
        step, steps_per_epoch = self._training_step(context, model, optimizer, shard, parts["train"])

        def validate(epoch: int) -> dict[str, float]:
            scores = _scores(parts["dev"], self._probabilities(context, model, shard, parts["dev"]))
            best.offer(scores["f1_macro"], epoch)
            return {f"dev_{name}": value for name, value in scores.items()}

        train(
            context,
            seed=self.seed,
            steps=self.epochs * steps_per_epoch,
            steps_per_epoch=steps_per_epoch,
            step=step,
            parts={"model": model, "optimizer": optimizer, "best": best},
            after_epoch=validate,
        )
        best.restore()
        save_encoder(context.directory, encoder)
        save_file(model[1].state_dict(), context.directory / "head.safetensors")
        self._write_scores(context, parts["test"], self._probabilities(context, model, shard, parts["test"]), best)

    def _divide(self, features: Path) -> dict[str, Units]:
        """Training, validation and test utterances with a sentiment other than 0, by the corpus' splits or by speaker."""
        from trainables.protocols import divide_by_speaker
        from trainables.units import read_units

        units = read_units(features, "sentiment")
        units = units.where((units.table["sentiment"] != 0).to_numpy())
        split = units.table["split"]
        if (split == "").all():
            split = divide_by_speaker(units.table, units.table["sentiment"] > 0, _SHARES, self.seed)
        divided = {name: units.where((split == name).to_numpy()) for name in ("train", "dev", "test")}
        for name, part in divided.items():
            found = sorted({"positive" if score > 0 else "negative" for score in part.table["sentiment"]})
            if found != ["negative", "positive"]:
                raise UserError(f"the {name} split has {found or 'no'} utterances; it needs negative and positive ones")
        return divided

    def _training_step(
        self, context: Context, model: torch.nn.Module, optimizer: torch.optim.Optimizer, shard: FeatureShard, units: Units
    ) -> tuple[Callable[[int], dict[str, torch.Tensor]], int]:
        """One optimizer step as a function of the step's number, and the number of steps per epoch."""
        import numpy as np
        import torch
        from torch.nn import functional as F

        from trainables.training import EpochOrder, autocast

        rows = torch.from_numpy(np.concatenate(units.segments))
        per_unit = [len(segments) for segments in units.segments]
        labels = torch.from_numpy(np.repeat(_truth(units), per_unit))
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

    def _probabilities(self, context: Context, model: torch.nn.Module, shard: FeatureShard, units: Units) -> np.ndarray:
        """Class probabilities ``[utterances, 2]``: softmax of the mean of the segments' log-probabilities."""
        import numpy as np
        import torch

        from trainables.training import autocast

        model.eval()
        rows = torch.from_numpy(np.concatenate(units.segments))
        scores = []
        with torch.inference_mode(), autocast(context.device, self.precision):
            for start in range(0, len(rows), self.batch_size):
                inputs = shard.gather(rows[start : start + self.batch_size]).to(context.device)
                scores.append(model(inputs).float().log_softmax(dim=1).cpu())
        pieces = torch.cat(scores).split([len(segments) for segments in units.segments])
        return torch.stack([piece.mean(dim=0) for piece in pieces]).softmax(dim=1).numpy()

    def _write_scores(self, context: Context, test: Units, probabilities: np.ndarray, best: BestEpoch) -> None:
        from trainables.metrics import write_predictions

        scores = write_predictions(context.directory, test.table, _truth(test), probabilities)
        metrics = {f"test_{name}": value for name, value in scores.items()}
        metrics |= {"dev_f1_macro": best.score, "best_epoch": best.epoch}
        (context.directory / "metrics.json").write_text(json.dumps(metrics))


def _truth(units: Units) -> np.ndarray:
    return (units.table["sentiment"].to_numpy() > 0).astype("int64")


def _scores(units: Units, probabilities: np.ndarray) -> dict[str, float]:
    from trainables.metrics import classification_scores

    return classification_scores(_truth(units), probabilities.argmax(axis=1))
