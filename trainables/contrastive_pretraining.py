"""Stage: contrastive pretraining of Cnn10 with SimCLR, CoCLR or ReCLR (ReCLR, section 2.2)."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, model_validator

from trainables.errors import UserError
from trainables.leakage.exposure import Exposure
from trainables.log_mel_features import LogMelFeatures
from trainables.segment_embeddings import SegmentEmbeddings
from trainables.stage import Context, Stage

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import torch

    from trainables.contrastive import ContrastiveBatch, MomentumContrast

_REFERENCE_SETTINGS = {"top_k": 5, "centred_reference": True}
_STATE = "training_state.pt"


class ContrastivePretraining(Stage):
    """Pretrain Cnn10 on the segments of a corpus, without labels.

    Protocol: it hears the audio of *all* speakers, those who are later tested included, as in the paper, which pretrains once
    on MDD and splits the speakers ten times afterwards. No diagnosis is read; speaker identities are.

    From the paper: Cnn10, SGD with learning rate 0.1 and cosine annealing, 200 epochs of 2000 iterations, batch 64, K = 5,
    tau = 0.1 (section 3.2), masking by zero as the only augmentation (section 2.2.1). Decisions where it is silent:

    - Momentum of the key encoder 0.999, SGD momentum 0.9 and weight decay 1e-4: MoCo's, whose trick the paper follows.
    - Masks: PANNs' SpecAugment stripes, a frame being 10 ms there too.
    - No dropout: it would be a second augmentation.
    - The learning rate is annealed at every step, down to 0.
    - An epoch is a number of iterations, so batches come from an endless sequence of permutations of the corpus; what is left
      of one after its last whole batch is dropped, as a batch across two could hold a segment twice, as its own negative.

    A search looks at a pretraining before its end (``stop_epoch``) and may give it up there. One that goes on begins at the state
    where it was stopped (``resume``) and ends in the bytes of one that never stopped.

    Result: ``encoder.safetensors`` and ``encoder.json`` (phi_q, section 2.2.3), ``metrics.json`` (the last step's numbers); with
    ``stop_epoch`` also ``training_state.pt``, from which the same pretraining goes on.
    """

    label: ClassVar[str] = "contrastive pretraining"
    data_parallel: ClassVar[bool] = True
    provides_encoder: ClassVar[bool] = True
    shortcuts: ClassVar[frozenset[str]] = frozenset({"resume"})

    features: LogMelFeatures
    reference: SegmentEmbeddings | None = None
    """Reference features v of the same segments; for coclr and reclr."""
    objective: Literal["simclr", "coclr", "reclr"]
    lambda_: float | None = Field(default=None, gt=0, le=1)
    """Weight of L_R in equation (6); reclr alone. Left out: 0.4, the best of Table 1. Weight 0 is objective 'coclr'."""
    top_k: int | None = Field(default=None, ge=0)
    """Positives by reference cosine; coclr and reclr. Left out: 5 (section 3.2)."""
    centred_reference: bool | None = None
    """Whether the corpus' mean reference is subtracted before the cosine; coclr and reclr. Left out: True. Decision: section
    2.2.3 relies on negative r, and embeddings of one network share a large offset that would leave few cosines below 0."""
    temperature: float = Field(default=0.1, gt=0)
    same_speaker_positives: bool = True
    """Section 3.3: 'for all methods we treat all utterances from the same speaker as positives'; Table 2 does not."""
    momentum: float = Field(default=0.999, ge=0, lt=1)
    width: int = Field(default=64, gt=0)
    """Channels of Cnn10's first block; 64 is PANNs'."""
    batch_size: int = Field(default=64, ge=2)
    """Of all workers together."""
    epochs: int = Field(default=200, gt=0)
    iterations_per_epoch: int = Field(default=2000, gt=0)
    learning_rate: float = Field(default=0.1, gt=0)
    sgd_momentum: float = Field(default=0.9, ge=0, lt=1)
    weight_decay: float = Field(default=1e-4, ge=0)
    mask_time_stripes: int = Field(default=2, ge=0)
    mask_time_width: int = Field(default=64, ge=1)
    """Frames that a stripe stays below."""
    mask_mel_stripes: int = Field(default=2, ge=0)
    mask_mel_width: int = Field(default=8, ge=1)
    """Mel bins that a stripe stays below."""
    precision: Literal["float32", "bfloat16"] = "bfloat16"
    """bfloat16 autocast of the encoders; weights, scores and loss stay in float32."""
    seed: int = 0
    """Controls initialisation, batch order and masks."""
    stop_epoch: int | None = Field(default=None, gt=0)
    """Train only so many of ``epochs``; the learning rate's schedule stays that of all of them."""
    resume: ContrastivePretraining | None = None
    """The same pretraining stopped earlier, whose final state this one begins with."""

    @model_validator(mode="before")
    @classmethod
    def _fill_defaults(cls, given: Any) -> Any:
        """Defaults that depend on the objective; filled in here so that a setting left out and its default are one stage."""
        if not isinstance(given, dict):
            return given
        depending = {"lambda_": 0.4} if given.get("objective") == "reclr" else {}
        if given.get("objective") in ("coclr", "reclr"):
            depending |= _REFERENCE_SETTINGS
        return given | {name: default for name, default in depending.items() if given.get(name) is None}

    @model_validator(mode="after")
    def _fits_objective(self) -> ContrastivePretraining:
        unused = [] if self.objective == "reclr" else ["lambda_"]
        if self.objective == "simclr":
            unused += ["reference", *_REFERENCE_SETTINGS]
        elif self.reference is None:
            raise ValueError(f"objective '{self.objective}' needs reference embeddings; give reference=SegmentEmbeddings(...)")
        elif self.objective == "coclr" and self.top_k == 0:
            raise ValueError("objective 'coclr' with top_k=0 is SimCLR; say objective='simclr', or give a top_k of at least 1")
        superfluous = [name for name in unused if getattr(self, name) is not None]
        if superfluous:
            raise ValueError(f"objective '{self.objective}' does not use {', '.join(superfluous)}; leave it out")
        return self

    @model_validator(mode="after")
    def _fits_features(self) -> ContrastivePretraining:
        for axis, width, length in (
            ("time", self.mask_time_width, self.features.frames),
            ("mel", self.mask_mel_width, self.features.mels),
        ):
            if width > length:
                raise ValueError(f"mask_{axis}_width is {width}, a segment has {length}; at most {length} is possible")
        if self.reference is not None:
            cut = ("corpus", "unit", "segment_seconds", "min_seconds")
            other = [name for name in cut if getattr(self.reference.features, name) != getattr(self.features, name)]
            if other:
                raise ValueError(f"reference is of other segments than features: {', '.join(other)} differ; use the same")
        return self

    @model_validator(mode="after")
    def _fits_what_it_resumes(self) -> ContrastivePretraining:
        if self.stop_epoch is not None and self.stop_epoch >= self.epochs:
            raise ValueError(f"stop_epoch is {self.stop_epoch} of {self.epochs} epochs; give an earlier one, or leave it out")
        if self.resume is not None:
            route = ("stop_epoch", "resume")
            other = [name for name, value in self if name not in route and value != getattr(self.resume, name)]
            if other:
                raise ValueError(f"resume is another pretraining: {', '.join(other)} differ; give the same one, stopped earlier")
            if self.resume.stop_epoch is None or self.resume.stop_epoch >= self.last_epoch:
                raise ValueError(f"resume stops at epoch {self.resume.last_epoch}, this stage at {self.last_epoch}: not earlier")
        return self

    @property
    def last_epoch(self) -> int:
        """The epoch after which this stage ends, counted from 1."""
        return self.stop_epoch or self.epochs

    def stopped(self, epoch: int, resume: ContrastivePretraining | None = None) -> ContrastivePretraining:
        """The same pretraining, ended after so many epochs (all of them: not stopped at all)."""
        chosen = {name: value for name, value in self if name in self.model_fields_set}
        return ContrastivePretraining(**chosen | {"stop_epoch": epoch if epoch < self.epochs else None, "resume": resume})

    def validate_workers(self, num_workers: int) -> str | None:
        """Every worker must have the same number of segments, at least two."""
        each, rest = divmod(self.batch_size, num_workers)
        if each >= 2 and rest == 0:
            return None
        sizes = [size for size in (each * num_workers, (each + 1) * num_workers) if size >= 2 * num_workers]
        choice = " or ".join(str(size) for size in sizes or [2 * num_workers])
        return (
            f"batch_size {self.batch_size} cannot be divided among {num_workers} workers with at least 2 segments each; "
            f"nearest is {choice}"
        )

    def exposure(self) -> Exposure:
        """The sound of all units, whoever is tested later; their mean reference is subtracted too. No labels."""
        return Exposure(features=self.features, fitted="all", normalised="all" if self.centred_reference else "nothing")

    def run(self, context: Context) -> None:
        """Train and write the query encoder.

        Raises:
            UserError: Fewer segments than a batch, references of another number of segments, or a loss that is not finite.
        """
        import torch

        from trainables.models.weights import save_encoder
        from trainables.training import train_watched

        batch_of = self._batches(context)
        learner = self._learner(context)
        optimizer = torch.optim.SGD(
            learner.query.parameters(), lr=self.learning_rate, momentum=self.sgd_momentum, weight_decay=self.weight_decay
        )
        step = self._training_step(context, learner, optimizer, batch_of)
        begun = context.begun(self.resume) if self.resume else None
        begin = torch.load(begun / _STATE, map_location="cpu", weights_only=True) if begun else None
        state, metrics = train_watched(
            context,
            seed=self.seed,
            steps=self.last_epoch * self.iterations_per_epoch,
            steps_per_epoch=self.iterations_per_epoch,
            step=step,
            parts={"learner": learner},
            optimizer=optimizer,
            mend=f"lower learning_rate ({self.learning_rate}), or set precision='float32'",
            begin=begin,
        )
        if context.rank == 0:
            if self.stop_epoch is not None:
                torch.save(state, context.directory / _STATE)
            save_encoder(context.directory, learner.query)
            (context.directory / "metrics.json").write_text(json.dumps(metrics))

    def _learner(self, context: Context) -> MomentumContrast:
        """Both encoders on the context's device, with batch norm over all workers."""
        import torch

        from trainables.contrastive import MomentumContrast
        from trainables.models.batch_norm import synchronise_batch_norm
        from trainables.models.cnn10 import Cnn10
        from trainables.numerics import seeded

        torch.manual_seed(seeded(self.seed, "initialisation"))
        learner = MomentumContrast(
            Cnn10(self.features.mels, self.width, dropout=0.0, head_dropout=0.0),
            momentum=self.momentum,
            lambda_=self.lambda_ or 0.0,
            top_k=self.top_k or 0,
            temperature=self.temperature,
            same_speaker_positives=self.same_speaker_positives,
        ).to(context.device)
        return synchronise_batch_norm(learner, context.device) if context.world_size > 1 else learner

    def _batches(self, context: Context) -> Callable[[int], ContrastiveBatch]:
        """This worker's part of the batch of a step, as a function of the step's number.

        Masks are drawn for the whole batch on every worker, and the worker's rows are taken: so they do not depend on the
        number of workers.
        """
        import torch

        from trainables.contrastive import ContrastiveBatch
        from trainables.features.masking import random_mask
        from trainables.features.shards import FeatureShard
        from trainables.numerics import seeded
        from trainables.training import EpochOrder

        directory = context.result(self.features)
        shard = FeatureShard(directory)
        if self.batch_size > len(shard):
            raise UserError(f"batch_size {self.batch_size} is more than the {len(shard)} segments there are; lower it")
        speaker = _speaker_codes(directory)
        reference_of = self._references(context, len(shard))
        order = EpochOrder(len(shard), self.batch_size, self.seed)
        each = self.batch_size // context.world_size
        mine = slice(context.rank * each, (context.rank + 1) * each)

        def mask(view: str, step: int) -> torch.Tensor:
            generator = torch.Generator().manual_seed(seeded(self.seed, "mask", view, step))
            stripes = (self.mask_time_stripes, self.mask_time_width, self.mask_mel_stripes, self.mask_mel_width)
            return random_mask(self.batch_size, self.features.frames, self.features.mels, generator, *stripes)[mine]

        def batch_of(step: int) -> ContrastiveBatch:
            rows = order[step][mine]
            parts = (shard.gather(rows), mask("query", step), mask("key", step), reference_of(rows), speaker[rows])
            return ContrastiveBatch(*(None if part is None else part.to(context.device) for part in parts))

        return batch_of

    def _references(self, context: Context, segments: int) -> Callable[[torch.Tensor], torch.Tensor | None]:
        """The reference features ``[B, R]`` of segments, as a function of their rows; None for SimCLR."""
        import numpy as np
        import torch

        if self.reference is None:
            return lambda rows: None
        embeddings = np.load(context.result(self.reference) / "embeddings.npy", mmap_mode="r")
        if len(embeddings) != segments:
            raise UserError(f"reference has {len(embeddings)} embeddings for {segments} segments; embed these features")
        centre = embeddings.mean(axis=0, dtype=np.float64).astype(np.float32) if self.centred_reference else np.float32(0)
        return lambda rows: torch.from_numpy(embeddings[rows.numpy()] - centre)

    def _training_step(
        self,
        context: Context,
        learner: MomentumContrast,
        optimizer: torch.optim.Optimizer,
        batch_of: Callable[[int], ContrastiveBatch],
    ) -> Callable[[int], dict[str, torch.Tensor]]:
        """One optimizer step as a function of the step's number; returns means over all workers."""
        import torch
        from torch.nn.parallel import DistributedDataParallel

        from trainables.contrastive import mean_over_workers
        from trainables.training import autocast

        # Batch norm's statistics are equal on all workers already; broadcasting them would cost and change nothing.
        parallel = DistributedDataParallel(learner, broadcast_buffers=False) if context.world_size > 1 else learner
        steps = self.epochs * self.iterations_per_epoch

        def step(index: int) -> dict[str, torch.Tensor]:
            for group in optimizer.param_groups:
                group["lr"] = self.learning_rate * 0.5 * (1 + math.cos(math.pi * index / steps))
            batch = batch_of(index)
            with autocast(context.device, self.precision):
                outcome = parallel(batch)
            optimizer.zero_grad(set_to_none=True)
            outcome.loss.backward()
            optimizer.step()
            learner.update_key()
            means = mean_over_workers(torch.stack([value.detach() for value in outcome]))
            return dict(zip(outcome._fields, means, strict=True))

        return step


def _speaker_codes(directory: Path) -> torch.Tensor:
    """One integer per speaker, int64 ``[segments]``."""
    import pandas as pd
    import torch

    speakers = pd.read_parquet(directory / "segments.parquet", columns=["speaker"])["speaker"]
    return torch.from_numpy(pd.factorize(speakers)[0].astype("int64"))
