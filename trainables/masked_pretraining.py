"""Stage: pretraining of a HuBERT or WavLM by masked prediction of k-means units (Hsu et al. 2021, "HuBERT", IEEE/ACM TASLP)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field, model_validator

from trainables.errors import UserError
from trainables.initial_encoder import InitialEncoder
from trainables.leakage.exposure import Exposure
from trainables.stage import Context, Stage
from trainables.utterances import Utterances

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

    from trainables.models.masked_prediction import MaskedCrops, MaskedPrediction
    from trainables.models.speech_encoder import SpeechEncoder
    from trainables.speech_crops import SpeechCrops

_FITTED_FRAMES = 500_000
"""Frames that k-means is fitted on, at most: 2.8 hours in 80 MB, 5,000 for each of 100 clusters."""


class MaskedPretraining(Stage):
    """Pretrain an encoder on the utterances of a corpus, without labels: the first iteration of HuBERT.

    Every frame of 20 ms has a unit, its cluster among MFCC frames (:mod:`trainables.masked_units`). Spans of frames are masked, and
    the encoder is to tell their units from what is around them (:class:`~trainables.models.masked_prediction.MaskedPrediction`).
    All of it is trained, convolution included: this is where a small encoder comes from whose convolution is frozen afterwards.

    From HuBERT: 100 clusters (section IV-B), spans of 10 frames, 8 % of frames begin one, Adam with betas 0.9 and 0.98, a learning
    rate that rises linearly during the first 8 % of the steps and then falls linearly to 0 (section IV-C).
    Decisions for a small encoder on hours instead of hundreds of hours of speech:

    - One iteration. HuBERT's second one predicts clusters of a layer that the first one has learnt from 900 hours more.
    - Weight decay 0.01 (decoupled) and Adam's epsilon 1e-6, as in HuBERT's code. The code's penalty on the convolved features and
      its smaller gradient of the convolution are left out: the paper has neither.
    - Crops of 4 s, 8 a batch (HuBERT: 87 s of sound on each of 32 GPUs), and twice its learning rate, 1e-3 at the peak: an hour of
      speech then has hundreds of steps in minutes of a CPU. Crops are drawn anew in every epoch
      (:class:`~trainables.speech_crops.SpeechCrops`). No crop is padded. Utterances below two spans of masks (0.4 s) are left out
      and counted. Where the weights want normalised input, each crop is normalised by itself.
    - k-means is fitted on the first epoch's crops, at most 500,000 frames. A crop's units are computed with the crop, so that its
      first and last two frames, whose derivatives lack neighbours, may have another unit than in the whole utterance.

    Protocol: it hears the sound of *all* utterances of its corpus. No label is read.

    ``seed`` controls k-means, the initialisation of what is compared with the units, which crops and masks a step has, and
    dropout; the encoder's initial weights are :class:`~trainables.initial_encoder.InitialEncoder`'s.

    Result: what :class:`~trainables.models.speech_encoder.SpeechEncoder` saves. ``metrics.json``: ``loss`` (nat) and
    ``masked_accuracy`` of the last step, ``commonest_unit`` (share of frames that the commonest unit has: the accuracy of always
    telling that one), ``utterances`` heard and ``too_short``.
    """

    label: ClassVar[str] = "masked pretraining"
    data_parallel: ClassVar[bool] = True

    initial: InitialEncoder
    utterances: Utterances
    clusters: int = Field(default=100, ge=2)
    epochs: int = Field(default=15, gt=0)
    crop_seconds: float = Field(default=4.0, gt=0)
    batch_size: int = Field(default=8, gt=0)
    """Crops of all workers together."""
    learning_rate: float = Field(default=1e-3, gt=0)
    """At its peak."""
    warm_up: float = Field(default=0.08, ge=0, lt=1)
    """Share of the steps in which the learning rate rises."""
    mask_probability: float = Field(default=0.08, gt=0, lt=1)
    """Share of frames at which a span begins."""
    mask_span: int = Field(default=10, gt=0)
    """Frames of a span."""
    masked_weight: float = Field(default=1.0, gt=0, le=1)
    """alpha, the weight of masked frames in the loss; frames that are heard have the rest (section II-B)."""
    precision: Literal["float32", "bfloat16"] = "bfloat16"
    """bfloat16 autocast of the encoder; weights, logits and loss stay in float32."""
    seed: int = 0

    @model_validator(mode="after")
    def _crops_hold_masks(self) -> MaskedPretraining:
        if self.crop_frames < 2 * self.mask_span:
            raise ValueError(
                f"a crop of {self.crop_seconds:g} s has {self.crop_frames} frames, less than two masked spans of {self.mask_span}; "
                "raise crop_seconds or lower mask_span"
            )
        return self

    @property
    def crop_frames(self) -> int:
        """Frames of a crop; the convolution's last one hears 5 ms more than its share of 20 ms."""
        return round(self.crop_seconds * 50) - 1

    def validate_workers(self, num_workers: int) -> str | None:
        """Every worker must have the same number of crops."""
        if self.batch_size % num_workers == 0:
            return None
        return f"batch_size {self.batch_size} cannot be divided among {num_workers} workers; give a multiple of {num_workers}"

    def exposure(self) -> Exposure:
        """The sound of all utterances, whoever is tested later; no labels."""
        return Exposure(features=self.utterances, fitted="all")

    def run(self, context: Context) -> None:
        """Fit the units, train, and write the encoder.

        Raises:
            UserError: Too little speech for a batch or for the clusters; audio that cannot be read or a corpus that is no longer
                the planned one; an encoder whose frames are not those of the units; a loss that is not finite.
        """
        import torch

        from trainables.models.speech_encoder import SpeechEncoder
        from trainables.training import train_watched

        crops = self._crops(context)
        encoder = SpeechEncoder.load(context.result(self.initial))
        _require_frames(encoder)
        network, fitted = self._network(context, encoder, crops)
        optimizer = torch.optim.AdamW(network.parameters(), lr=0.0, betas=(0.9, 0.98), eps=1e-6, weight_decay=0.01)
        step = self._training_step(context, network, optimizer, crops)
        _, last = train_watched(
            context,
            seed=self.seed,
            steps=self.epochs * crops.steps_per_epoch,
            steps_per_epoch=crops.steps_per_epoch,
            step=step,
            parts={"network": network},
            optimizer=optimizer,
            mend=f"lower learning_rate ({self.learning_rate})",
        )
        if context.rank == 0:
            encoder.save(context.directory)
            (context.directory / "metrics.json").write_text(json.dumps(fitted | last))

    def _crops(self, context: Context) -> SpeechCrops:
        import pandas as pd

        from trainables.speech_crops import SpeechCrops

        corpus = context.corpus(self.utterances.corpus)
        corpus.verify()  # it may have changed since the sweep was planned, and the result would bear a false name
        table = pd.read_parquet(context.result(self.utterances) / "segments.parquet")
        return SpeechCrops(table, corpus, self.crop_frames, 2 * self.mask_span, self.batch_size, self.seed)

    def _network(self, context: Context, encoder: SpeechEncoder, crops: SpeechCrops) -> tuple[MaskedPrediction, dict[str, float]]:
        """The network with its units, on the context's device, and what there is to say of the units."""
        import numpy as np
        import torch

        from trainables.masked_units import cepstra, fit_units, nearest_unit
        from trainables.models.masked_prediction import MaskedPrediction
        from trainables.numerics import seeded

        found: list[torch.Tensor] = []
        for step in range(crops.steps_per_epoch):
            found += [cepstra(crop.read()) for crop in crops[step]]
            heard = sum(len(part) for part in found)
            if heard >= _FITTED_FRAMES:
                break
        frames = torch.cat(found)
        if heard < self.clusters:
            raise UserError(
                f"{heard} frames of speech are too few for {self.clusters} clusters; lower clusters, or give more speech"
            )
        centres = fit_units(frames.numpy(), self.clusters, seeded(self.seed, "units") % 2**32)
        counts = np.bincount(nearest_unit(frames, centres).numpy())
        torch.manual_seed(seeded(self.seed, "initialisation"))
        network = MaskedPrediction(encoder.model, centres, self.masked_weight).to(context.device).train()
        said = {"commonest_unit": float(counts.max() / heard), "utterances": crops.utterances, "too_short": crops.too_short}
        return network, said

    def _training_step(
        self, context: Context, network: MaskedPrediction, optimizer: torch.optim.Optimizer, crops: SpeechCrops
    ) -> Callable[[int], dict[str, torch.Tensor]]:
        """One optimizer step as a function of the step's number; returns means over all workers' frames."""
        import torch
        from torch.nn.parallel import DistributedDataParallel

        from trainables.contrastive import mean_over_workers
        from trainables.training import autocast

        parallel = DistributedDataParallel(network, broadcast_buffers=False) if context.world_size > 1 else network
        batch_of = self._batches(context, network, crops)
        steps = self.epochs * crops.steps_per_epoch

        def step(index: int) -> dict[str, torch.Tensor]:
            for group in optimizer.param_groups:
                group["lr"] = self.learning_rate * self._rate(index, steps)
            batch, masks = batch_of(index)
            with autocast(context.device, self.precision):
                loss, right = parallel(batch)
            # Of all workers' frames; times their number, because gradients are averaged over the workers.
            loss = loss * context.world_size / network.weights(masks).sum()
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            means = mean_over_workers(torch.stack([loss.detach(), right * context.world_size / masks.sum()]))
            return dict(zip(("loss", "masked_accuracy"), means, strict=True))

        return step

    def _rate(self, step: int, steps: int) -> float:
        """The learning rate of a step as a factor of its peak."""
        rising = self.warm_up * steps
        return (step + 1) / rising if step + 1 < rising else (steps - step) / (steps - rising + 1)

    def _batches(
        self, context: Context, network: MaskedPrediction, crops: SpeechCrops
    ) -> Callable[[int], tuple[list[MaskedCrops], torch.Tensor]]:
        """This worker's crops of a step, and which frames of all workers' are masked ``[frames]``; a function of the step's number.

        Crops and masks are drawn for the whole batch on every worker: so they do not depend on the number of workers.
        """
        import torch
        from transformers import Wav2Vec2FeatureExtractor

        from trainables.masked_units import RATE, masked_spans
        from trainables.models.masked_prediction import MaskedCrops
        from trainables.models.speech_encoder import FOLDER
        from trainables.numerics import seeded

        extractor = Wav2Vec2FeatureExtractor.from_pretrained(context.result(self.initial) / FOLDER, local_files_only=True)
        each = self.batch_size // context.world_size
        mine = slice(context.rank * each, (context.rank + 1) * each)

        def batch_of(step: int) -> tuple[list[MaskedCrops], torch.Tensor]:
            generator = torch.Generator().manual_seed(seeded(self.seed, "masks", step))
            drawn = [(crop, masked_spans(crop.frames, self.mask_probability, self.mask_span, generator)) for crop in crops[step]]
            by_length: dict[int, list[tuple[torch.Tensor, ...]]] = {}
            for crop, mask in drawn[mine]:
                samples = crop.read()
                heard = extractor(samples.numpy(), sampling_rate=RATE, return_tensors="pt").input_values[0]
                parts = (part.to(context.device) for part in (heard, network.units(samples), mask))
                by_length.setdefault(crop.frames, []).append(tuple(parts))
            batch = [MaskedCrops(*map(torch.stack, zip(*alike, strict=True))) for alike in by_length.values()]
            return batch, torch.cat([mask for _, mask in drawn])

        return batch_of


def _require_frames(encoder: SpeechEncoder) -> None:
    """Raise UserError unless the encoder's frames hear what the units are of, and there is a vector for masked ones."""
    from trainables.masked_units import HOP, RATE, WINDOW, samples_of

    for frames in (2, 100):  # where two numbers of samples fix both window and hop
        if encoder.frames(samples_of(frames)) != frames or encoder.frames(samples_of(frames) - 1) != frames - 1:
            raise UserError(
                f"the encoder's convolutions (conv_kernel, conv_stride) do not make frames of {WINDOW} samples every {HOP} at "
                f"{RATE} Hz, which the units are of; give an encoder with HuBERT's"
            )
    if not hasattr(encoder.model, "masked_spec_embed"):
        raise UserError(
            "the encoder has no vector for masked frames: its config.json has mask_time_prob 0; set 0.05 and make it anew"
        )
