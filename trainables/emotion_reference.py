"""Stage: the emotion recognition model whose embeddings serve as references (ReCLR, section 2.1)."""

from __future__ import annotations

import json
from typing import ClassVar

from trainables.leakage.exposure import Exposure
from trainables.protocols import Protocol
from trainables.protocols.catalogue import OWN_SPLITS
from trainables.stage import Context
from trainables.tasks import TASKS
from trainables.utterance_training import UtteranceTraining


class EmotionReference(UtteranceTraining):
    """Cnn10 and a fully connected layer trained on binary sentiment; the best epoch on the validation set is kept.

    From the paper: the architecture and the choice of the epoch (section 2.1); utterances with score 0 are neglected, a score
    below 0 is class 0 and any other class 1 (section 3.1). The paper is silent on the rest:

    - Optimiser Adam, 1e-3, 30 epochs, batch 64: usual for Cnn10 from random weights.
    - 'Best performance' is macro F1 over validation utterances, the first metric of Table 4.
    - An utterance longer than one segment is scored by the mean of its segments' log-probabilities.
    - A corpus that names no splits is divided by speaker, the same way for every seed: 70 % training, 15 % validation, 15 % test.

    ``seed`` controls initialisation, batch order and dropout.

    Result: ``encoder.safetensors``, ``head.safetensors``, ``predictions.parquet`` (test utterances), ``metrics.json``.
    """

    label: ClassVar[str] = "emotion reference"
    provides_encoder: ClassVar[bool] = True

    protocol: Protocol = OWN_SPLITS
    """Section 3.1; of a protocol without development set the last epoch would have to be kept, so it needs one that has."""

    def exposure(self) -> Exposure:
        """Training utterances and their sentiment; the best epoch on the development set."""
        return self.learning("sentiment")

    def run(self, context: Context) -> None:
        """Train, choose the epoch on the validation utterances, score it on the test utterances."""
        from safetensors.torch import save_file

        from trainables.metrics import write_predictions
        from trainables.models.weights import save_encoder
        from trainables.units import read_units

        units = read_units(context.result(self.features), TASKS["sentiment"])
        sets = self.sets(units)
        model, best = self.fit(context, sets)
        save_encoder(context.directory, model[0])
        save_file(model[1].state_dict(), context.directory / "head.safetensors")
        scores = write_predictions(context.directory, sets["test"], self.probabilities(context, model, sets["test"]))
        metrics = {f"test_{name}": value for name, value in scores.items()}
        metrics |= {"dev_f1_macro": best.score, "best_epoch": best.epoch}
        (context.directory / "metrics.json").write_text(json.dumps(metrics))
