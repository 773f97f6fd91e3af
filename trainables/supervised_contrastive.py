"""Stage: supervised contrastive fine-tuning of a speech encoder on several emotion corpora (stage one of two)."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, model_validator

from trainables.convolutional_features import ConvolutionalFeatures, EncoderStage
from trainables.leakage.exposure import Exposure
from trainables.schedules import stepped
from trainables.stage import Context, Stage
from trainables.tasks import TASKS
from trainables.training_set import TrainingSet

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    import numpy as np
    import torch

    from trainables.emotion_batches import EmotionBatches
    from trainables.models.contrastive_learner import ContrastiveLearner
    from trainables.models.cpc_speech_encoder import AnySpeechEncoder
    from trainables.speech_inputs import SpeechChunk


class SupervisedContrastive(Stage):
    """Stage one of the two-stage fine-tuning (supervised contrastive learning across corpora, sections 3.1, 2.2 and 2.3).

    From the paper: convolutional encoder and feature projection fixed, self-attention pooling (equation 1), a batch of one
    emotion's utterances and of others (:class:`~trainables.emotion_batches.EmotionBatches`), the sum of contrast and cosine margin
    loss (:mod:`trainables.losses.supcon`), tau 0.07, alpha 0.5, m 0.4, batch 32, 50 epochs of Adam, 1e-4 and 0.4 of it for the
    Transformer ('the learning rate of the feature encoder is 0.4 times the learning rate'). 'Only the data used for training was
    sampled': it reads the training utterances of each source's protocol and no other. Decisions where the paper is silent:

    - An epoch is as many steps as the training utterances of all sources would fill batches, at least one. Who is drawn is left to
      chance: the paper draws each batch anew, so that no epoch visits everybody.
    - 'Starting from the 25th epoch, the learning rate is reduced by half every 5 epochs': the 25th, counted from 1, is the first at
      half the rate, the 30th the first at a quarter (:func:`~trainables.schedules.stepped`); both rates fall together.
    - Adam without weight decay, gradients not clipped, the last epoch counts: the paper names nothing of the kind, and nobody
      who is tested may choose an epoch.
    - Emotions are joined over the sources by their word, so 'angry' of two tasks is one emotion. One with fewer than half a batch
      of training utterances is never drawn as the positive one and serves as a negative only.

    N workers share each batch and see the pooled features of all of it, so losses and gradients are those of one worker but for
    rounding, and but for dropout, which every worker draws by itself, seeded by its rank.

    Result: an :class:`~trainables.models.emotion_encoder.EmotionEncoder`; ``emotions.json`` (``{emotion: {"utterances": n,
    "drawn": whether it can be the positive one}}``); ``metrics.json``: of the last step ``loss, contrast, margin,
    positive_cosine`` and ``negative_cosine``, besides ``training_utterances, emotions`` and ``emotions_too_rare``.
    """

    label: ClassVar[str] = "supervised contrastive fine-tuning"
    data_parallel: ClassVar[bool] = True
    shortcuts: ClassVar[frozenset[str]] = frozenset({"convolved"})

    encoder: EncoderStage
    sources: tuple[TrainingSet, ...] = Field(min_length=1)
    """Each of another corpus; their tasks may differ."""
    convolved: tuple[ConvolutionalFeatures, ...] = ()
    """What the frozen convolutional encoder makes of each source's utterances, in the sources' order; empty: it is computed in
    every step again."""
    temperature: float = Field(default=0.07, gt=0)
    """tau of equation (2)."""
    alpha: float = Field(default=0.5, ge=0)
    """Weight of the positive pairs in equation (4)."""
    margin: float = Field(default=0.4, ge=-1, le=1)
    """m of equation (4)."""
    epochs: int = Field(default=50, gt=0)
    batch_size: int = Field(default=32, ge=4, multiple_of=4)
    """N, of all workers together: half are positives, which equation (4) halves again."""
    learning_rate: float = Field(default=1e-4, gt=0)
    """Of the pooling layer."""
    encoder_rate: float = Field(default=0.4, gt=0)
    """Of the Transformer, as a share of ``learning_rate``."""
    halve_from: int = Field(default=25, gt=0)
    """The first epoch at half the rate, counted from 1."""
    halve_every: int = Field(default=5, gt=0)
    precision: Literal["float32", "bfloat16"] = "bfloat16"
    """bfloat16 autocast of the encoder; weights, pooled features, cosines and loss stay in float32."""
    seed: int = 0
    """Controls batches and dropout; the weights that it begins with and who trains are the business of the stages above."""

    @model_validator(mode="after")
    def _sources_fit(self) -> SupervisedContrastive:
        corpora = [source.utterances.corpus for source in self.sources]
        if twice := sorted({corpus for corpus in corpora if corpora.count(corpus) > 1}):
            raise ValueError(f"sources: {', '.join(twice)} is given more than once; an utterance would be its own positive")
        if rated := [source.utterances.corpus for source in self.sources if len(TASKS[source.task].classes) < 2]:
            raise ValueError(f"sources: the sets of {', '.join(rated)} are of ratings, which are no classes; give emotions")
        if self.convolved and [stage.utterances for stage in self.convolved] != [source.utterances for source in self.sources]:
            found = ", ".join(stage.utterances.corpus for stage in self.convolved)
            raise ValueError(f"convolved is of {found}, sources are of {', '.join(corpora)}; give one for each source, in order")
        if any(stage.encoder != self.encoder for stage in self.convolved):
            raise ValueError("convolved was computed by another encoder; use the same")
        return self

    def validate_workers(self, num_workers: int) -> str | None:
        """Every worker must have as many positives as every other, and as many negatives."""
        if self.batch_size // 2 % num_workers == 0:
            return None
        unit = math.lcm(4, 2 * num_workers)
        below = self.batch_size // unit * unit
        choice = " or ".join(str(size) for size in (below, below + unit) if size)
        return f"batch_size {self.batch_size} cannot be divided among {num_workers} workers, half by half; nearest is {choice}"

    def exposure(self) -> Exposure:
        """Nothing beyond what its sources have read: they declare whose sound and labels pass through them to here."""
        return Exposure()

    def repeated(self) -> dict[str, tuple[Stage, float]]:
        """The frozen convolutional encoder hears about as many utterances as there are to train on, in every epoch."""
        if self.convolved:
            return {}
        stages = [ConvolutionalFeatures(encoder=self.encoder, utterances=source.utterances) for source in self.sources]
        return {f"convolved.{number}": (stage, float(self.epochs)) for number, stage in enumerate(stages)}

    def run(self, context: Context) -> None:
        """Train and write the encoder.

        Raises:
            UserError: No emotion has enough training utterances for a batch, or the loss is not finite.
        """
        import torch

        from trainables.emotion_batches import EmotionBatches
        from trainables.training import train_watched

        learner = self._learner(context)
        optimizer = torch.optim.Adam(self._rates(learner))
        emotions, chunks_of = self._training_utterances(context, learner.encoder.encoder)
        batches = EmotionBatches(emotions, self.batch_size, self.seed)
        step = self._training_step(context, learner, optimizer, batches, chunks_of)
        _, last = train_watched(
            context,
            seed=self.seed,
            steps=self.epochs * batches.steps_per_epoch,
            steps_per_epoch=batches.steps_per_epoch,
            step=step,
            parts={"learner": learner},
            optimizer=optimizer,
            mend=f"lower learning_rate ({self.learning_rate}), or set precision='float32'",
        )
        if context.rank == 0:
            learner.encoder.save(context.directory)
            _write_numbers(context.directory, emotions, batches.too_rare, last)

    def _learner(self, context: Context) -> ContrastiveLearner:
        """The encoder to go on from, with pooling and loss, on the context's device."""
        from trainables.models.contrastive_learner import ContrastiveLearner
        from trainables.models.cpc_speech_encoder import load_speech_encoder
        from trainables.models.emotion_encoder import EmotionEncoder

        model = EmotionEncoder(load_speech_encoder(context.result(self.encoder)))
        return ContrastiveLearner(model, temperature=self.temperature, alpha=self.alpha, margin=self.margin).to(context.device)

    def _rates(self, learner: ContrastiveLearner) -> list[dict[str, Any]]:
        """What is trained, and how fast at first: two of Adam's parameter groups."""
        model = learner.encoder
        return [
            {"params": list(model.pooling.parameters()), "lr": self.learning_rate},
            {"params": model.encoder.transformer_parameters(), "lr": self.encoder_rate * self.learning_rate},
        ]

    def _training_utterances(
        self, context: Context, encoder: AnySpeechEncoder
    ) -> tuple[list[np.ndarray], Callable[[torch.Tensor], list[SpeechChunk]]]:
        """The emotions of each source's training utterances; and those of all sources, as a function of their places in a row."""
        import numpy as np
        import pandas as pd
        import torch

        from trainables.speech_inputs import open_inputs

        inputs = open_inputs(context, encoder, [source.utterances for source in self.sources], self.convolved)
        training = [pd.read_parquet(context.result(source) / "training.parquet") for source in self.sources]
        rows = [table["row"].to_numpy() + first for table, first in zip(training, inputs.first.tolist(), strict=True)]
        numbers = torch.from_numpy(np.concatenate(rows))
        return [table["emotion"].to_numpy() for table in training], lambda places: inputs.chunks(numbers[places])

    def _training_step(
        self,
        context: Context,
        learner: ContrastiveLearner,
        optimizer: torch.optim.Optimizer,
        batches: EmotionBatches,
        chunks_of: Callable[[torch.Tensor], list[SpeechChunk]],
    ) -> Callable[[int], dict[str, torch.Tensor]]:
        """One optimizer step as a function of the step's number; returns the whole batch's numbers on every worker."""
        import torch
        from torch.nn.parallel import DistributedDataParallel

        from trainables.emotion_batches import DrawnBatch
        from trainables.training import autocast

        parallel = DistributedDataParallel(learner, broadcast_buffers=False) if context.world_size > 1 else learner
        rates = [group["lr"] for group in optimizer.param_groups]
        places = DrawnBatch(*torch.arange(self.batch_size).chunk(2), emotion="")
        own = torch.cat(places.share(context.rank, context.world_size)[:2])

        def step(index: int) -> dict[str, torch.Tensor]:
            factor = stepped(index // batches.steps_per_epoch + 1, self.halve_from, self.halve_every, 0.5)
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = rate * factor
            learner.train()
            chunks = chunks_of(torch.cat(batches[index][:2])[own])
            with autocast(context.device, self.precision):
                outcome = parallel(chunks, own.to(context.device), self.batch_size)
            optimizer.zero_grad(set_to_none=True)
            # DDP takes the mean over the workers, the gradient is the sum (ContrastiveLearner).
            (context.world_size * outcome.loss).backward()
            optimizer.step()
            return {name: value.detach() for name, value in outcome._asdict().items()}

        return step


def _write_numbers(directory: Path, emotions: Sequence[np.ndarray], too_rare: Sequence[str], last: Mapping[str, float]) -> None:
    """Write ``emotions.json`` and ``metrics.json``."""
    import numpy as np

    counts = dict(zip(*(values.tolist() for values in np.unique(np.concatenate(emotions), return_counts=True)), strict=True))
    told = {emotion: {"utterances": count, "drawn": emotion not in too_rare} for emotion, count in counts.items()}
    (directory / "emotions.json").write_text(json.dumps(told))
    metrics = {**last, "training_utterances": sum(counts.values()), "emotions": len(counts), "emotions_too_rare": len(too_rare)}
    (directory / "metrics.json").write_text(json.dumps(metrics))
