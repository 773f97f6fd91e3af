"""Stage: a speech encoder fine-tuned directly for emotions, the baseline FT (supervised contrastive learning, section 4.2)."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from trainables.convolutional_features import EncoderStage
from trainables.numerics import seeded
from trainables.speech_training import SpeechTraining
from trainables.stage import Context, Stage


class DirectFineTuning(SpeechTraining):
    """Transformer, self-attention pooling and classifier trained together with cross entropy; scored on unseen utterances.

    From the paper: 'an experiment was also conducted to directly fine-tune the speech representation model (FT)', Adam, 1e-3, 50
    epochs, 'the learning rate became 0.2 times of the original every 20 epochs', batch 32, convolutional encoder and feature
    projection fixed, 'the parameters of the feature encoder are optimized with only 0.4 times the learning rate' (section 4.2).
    Decision: pooling and classifier are those of the second stage, because the paper names no others; neither is pretrained. The
    other decisions are those of :class:`~trainables.speech_training.SpeechTraining`.

    Several workers train on the gradients of the whole batch. Dropout is drawn by each worker for its own share.

    ``seed`` controls the division where the protocol leaves it to the seed, the classifier's first weights, the batch order and
    dropout.

    Result: ``predictions.parquet`` (one row per scored utterance), where the division has a development set beside them
    ``predictions_dev.parquet``; ``metrics.json`` (``f1_macro, f1_micro, uar``, those of the development set as ``dev_...``).
    """

    label: ClassVar[str] = "direct fine-tuning"
    data_parallel: ClassVar[bool] = True

    encoder: EncoderStage
    epochs: int = Field(default=50, gt=0)
    learning_rate: float = Field(default=1e-3, gt=0)
    """Of pooling and classifier."""
    encoder_rate: float = Field(default=0.4, gt=0)
    """The Transformer's learning rate, as a share of ``learning_rate``."""
    decay_from: int = Field(default=21, ge=2)
    decay_every: int = Field(default=20, gt=0)
    decay: float = Field(default=0.2, gt=0, le=1)

    def initial_encoder(self) -> EncoderStage:
        """The encoder that is fine-tuned."""
        return self.encoder

    def repeated(self) -> dict[str, tuple[Stage, float]]:
        """The frozen convolution of every utterance: in each epoch, and for the scores."""
        return {} if self.convolved else {"convolved": (self.convolution(), self.epochs + 1.0)}

    def validate_workers(self, num_workers: int) -> str | None:
        """Every worker must have an utterance of each batch."""
        if num_workers <= self.batch_size:
            return None
        return f"batch_size {self.batch_size} leaves some of {num_workers} workers without an utterance; use at most as many"

    def run(self, context: Context) -> None:
        """Train on the training utterances and score the others.

        Raises:
            UserError: The corpus does not have what task or protocol needs; the training diverged.
        """
        import torch

        from trainables.models.cpc_speech_encoder import load_speech_encoder
        from trainables.models.emotion_encoder import EmotionEncoder
        from trainables.models.speech_classifier import SpeechClassifier
        from trainables.speech_inputs import open_inputs

        units = self.units(context)
        encoder = load_speech_encoder(context.result(self.encoder))
        torch.manual_seed(seeded(self.seed, "initialisation"))
        model = SpeechClassifier(EmotionEncoder(encoder), len(units.task.classes)).to(context.device)
        inputs = open_inputs(context, encoder, (self.utterances,), (self.convolved,) if self.convolved else ())
        groups = [
            {"params": encoder.transformer_parameters(), "lr": self.encoder_rate * self.learning_rate},
            {"params": [*model.encoder.pooling.parameters(), *model.layers.parameters()], "lr": self.learning_rate},
        ]
        self.fit(context, self.sets(units), model, groups, lambda rows: (inputs.chunks(rows),))
        if context.rank == 0:
            self.write_scores(context, units, model, lambda rows: (inputs.chunks(rows),))
