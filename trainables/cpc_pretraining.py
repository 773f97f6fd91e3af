"""Stage: contrastive predictive coding of log-mel frames, without labels (van den Oord et al. 2018, arXiv:1807.03748)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field, model_validator

from trainables.errors import UserError
from trainables.filterbank_features import FilterbankFeatures
from trainables.leakage.exposure import Exposure
from trainables.stage import Context, Stage
from trainables.training_set import TrainingSet

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

    from trainables.features.frames import FrameTable
    from trainables.frame_chunks import FrameChunks
    from trainables.models.cpc import CpcNetwork

NegativeSource = Literal["batch", "others", "utterance"]
"""Where negatives are drawn from: all chunks of the batch, the chunks other than the query's, or the query's own chunk
(:func:`trainables.losses.info_nce.draw_negatives`)."""


class CpcPretraining(Stage):
    """Pretrain a frame encoder and an autoregressive network on what a corpus sounds like.

    The slides of Li et al. (ICASSP 2021, 'Contrastive Unsupervised Learning for Speech Emotion Recognition') have encoder, context,
    predictors and loss (:class:`~trainables.models.cpc.CpcNetwork`, :mod:`trainables.losses.info_nce`) and no setting. Settings are
    those of the field:

    - van den Oord et al. 2018, section 3.1 (audio): 12 steps of 10 ms are predicted, by a linear map each; chunks of 20480 samples
      at 16 kHz, 1.28 s or 128 frames; Adam, 2e-4; 8 GPUs with 8 chunks each, so 64 a batch; negatives are frames of the batch. Adam
      is as it comes, with neither schedule nor weight decay nor clipping: the paper names none.
    - The code of Rivière et al. 2020 ('Unsupervised pretraining transfers well across languages', ICASSP;
      facebookresearch/CPC_audio, cpc_default_config.py): 256 values for both embedding and context, 128 negatives.

    Decisions where these are silent or do not fit:

    - Negatives are drawn from the chunks of all workers, where the paper's GPUs draw from their own 8: the number of workers then
      changes no number.
    - 60 epochs, each of about as many chunks as the speech would hold (:class:`~trainables.frame_chunks.FrameChunks`). The paper
      trains 300,000 updates on 100 hours, about 70 epochs of its batches.
    - A turn with fewer frames than ``prediction_steps`` + 1 has nothing to predict at the last step; it is left out and counted.
    - Frames are standardised by mean and deviation of each value over all frames that are heard, in chunks or not. These statistics
      are the network's, and go with it to any other corpus.
    - ``share`` of the utterances are heard: the first ones of one permutation by the seed, so that a smaller share is part of every
      larger one. An epoch has as many steps as with all of them: shares are compared after equally many updates. A share with
      fewer chunks than a batch has several of an utterance in each batch.

    Protocol: it hears the sound of all utterances of its corpus, or of those alone that ``within`` lets train. No label is read.
    ``seed`` controls the first weights, which utterances a share has, chunks and negatives.

    N workers share each batch and see the embeddings of all of it: losses and gradients are those of one worker but for rounding.

    Result: what :class:`~trainables.models.cpc.CpcNetwork` saves. ``metrics.json``: of the last step ``loss`` (nat, the mean over
    the predicted steps), ``accuracy`` (share of queries whose true frame has the highest score) and that of the first and the last
    predicted step, ``accuracy_first_step`` and ``accuracy_last_step`` (none of these after 0 epochs); ``utterances`` heard,
    ``too_short`` and ``hours`` heard.
    """

    label: ClassVar[str] = "contrastive predictive coding"
    data_parallel: ClassVar[bool] = True

    frames: FilterbankFeatures
    within: TrainingSet | None = None
    """The utterances that a protocol lets train; None: all of the corpus."""
    share: float = Field(default=1.0, gt=0, le=1)
    """Of these utterances, that is heard."""
    size: int = Field(default=256, gt=0)
    """Values of an embedding and of a context."""
    encoder_layers: int = Field(default=3, gt=0)
    prediction_steps: int = Field(default=12, gt=0)
    """Frames ahead, K."""
    negatives: int = Field(default=128, gt=0)
    """Of each prediction."""
    negatives_from: NegativeSource = "batch"
    """All frames of the batch, those of the other chunks, or those of the chunk itself. A long utterance can have several chunks in
    a batch, which may overlap; they are other chunks nevertheless."""
    chunk_frames: int = Field(default=128, gt=1)
    batch_size: int = Field(default=64, gt=0)
    """Chunks of all workers together."""
    epochs: int = Field(default=60, ge=0)
    """0: the random encoder, with the statistics of what it would have heard."""
    learning_rate: float = Field(default=2e-4, gt=0)
    precision: Literal["float32", "bfloat16"] = "bfloat16"
    """bfloat16 autocast of the network; weights, scores and loss stay in float32."""
    seed: int = 0

    @model_validator(mode="after")
    def _can_predict(self) -> CpcPretraining:
        if self.chunk_frames <= self.prediction_steps:
            raise ValueError(
                f"a chunk of {self.chunk_frames} frames has none to predict {self.prediction_steps} steps ahead; raise "
                "chunk_frames or lower prediction_steps"
            )
        if self.negatives_from == "others" and self.batch_size < 2:
            raise ValueError("negatives_from 'others' needs another chunk in the batch; give a batch_size of at least 2")
        return self

    @model_validator(mode="after")
    def _within_the_corpus(self) -> CpcPretraining:
        if self.within is None:
            return self
        found, expected = self.within.utterances.corpus, self.frames.corpus
        if found != expected:
            raise ValueError(f"within divides {found}, frames are of {expected}; give a training set of {expected}")
        if self.frames.unit != self.within.utterances.unit:
            raise ValueError(f"within is a set of utterances, frames are of unit {self.frames.unit!r}; give frames of utterances")
        return self

    @property
    def least_frames(self) -> int:
        """Of an utterance that is heard: a frame, and the last one to be predicted from it."""
        return self.prediction_steps + 1

    def validate_workers(self, num_workers: int) -> str | None:
        """Every worker must have the same number of chunks."""
        if self.batch_size % num_workers == 0:
            return None
        return f"batch_size {self.batch_size} cannot be divided among {num_workers} workers; give a multiple of {num_workers}"

    def exposure(self) -> Exposure:
        """The sound of all utterances and its statistics, whoever is tested later; no labels.

        With ``within`` nothing beyond that set, which declares itself whose sound passes through it to here.
        """
        if self.within is not None:
            return Exposure()
        return Exposure(features=self.frames, fitted="all", normalised="all")

    def run(self, context: Context) -> None:
        """Train and write the network.

        Raises:
            UserError: Too little speech for a batch, or a loss that is not finite.
        """
        import torch

        from trainables.features.frames import FrameTable
        from trainables.training import train_watched

        table = FrameTable(context.result(self.frames))
        chunks, steps_per_epoch = self._chunks(context, table)
        network = self._network(table, chunks.rows).to(context.device).train()
        optimizer = torch.optim.Adam(network.parameters(), lr=self.learning_rate)
        _, last = train_watched(
            context,
            seed=self.seed,
            steps=self.epochs * steps_per_epoch,
            steps_per_epoch=steps_per_epoch,
            step=self._training_step(context, network, optimizer, chunks),
            parts={"network": network},
            optimizer=optimizer,
            mend=f"lower learning_rate ({self.learning_rate})",
        )
        if context.rank == 0:
            network.save(context.directory)
            hours = int(table.lengths[chunks.rows].sum()) * self.frames.hop / self.frames.sample_rate / 3600
            heard = {"utterances": chunks.utterances, "too_short": chunks.too_short, "hours": hours}
            (context.directory / "metrics.json").write_text(json.dumps(last | heard))

    def _chunks(self, context: Context, table: FrameTable) -> tuple[FrameChunks, int]:
        """Chunks of the utterances that are heard, and the steps of an epoch, which are those of all that may be heard."""
        import pandas as pd
        import torch

        from trainables.numerics import seeded

        rows = torch.arange(len(table))
        if self.within is not None:
            training = pd.read_parquet(context.result(self.within) / "training.parquet", columns=["row"])
            rows = torch.tensor(training["row"].to_numpy())
        settings = (self.chunk_frames, self.least_frames, self.batch_size, self.seed)
        whole = self._cut(table, rows, *settings)
        generator = torch.Generator().manual_seed(seeded(self.seed, "share"))
        order = torch.randperm(len(rows), generator=generator)
        heard = rows[order[: max(1, round(self.share * len(rows)))].sort().values]
        return self._cut(table, heard, *settings, self.share < 1), whole.steps_per_epoch

    def _cut(self, table: FrameTable, rows: torch.Tensor, *settings: int) -> FrameChunks:
        from trainables.frame_chunks import FrameChunks

        try:
            return FrameChunks(table, rows, *settings)
        except UserError as error:
            whose = f"the training set of {self.frames.corpus}" if self.within else self.frames.corpus
            raise UserError(f"{whose}: {error}") from error

    def _network(self, table: FrameTable, rows: torch.Tensor) -> CpcNetwork:
        """First weights, and the statistics of the utterances that are heard."""
        import torch

        from trainables.features.statistics import statistics_of
        from trainables.models.cpc import CpcNetwork, FrameSettings
        from trainables.numerics import seeded

        torch.manual_seed(seeded(self.seed, "initialisation"))
        network = CpcNetwork(FrameSettings.of(self.frames), self.size, self.encoder_layers, self.prediction_steps)
        network.set_statistics(*statistics_of(block.numpy() for row in rows.tolist() for block in table.blocks(row)))
        return network

    def _training_step(
        self, context: Context, network: CpcNetwork, optimizer: torch.optim.Optimizer, chunks: FrameChunks
    ) -> Callable[[int], dict[str, torch.Tensor]]:
        """One optimizer step as a function of the step's number; returns the whole batch's numbers on every worker."""
        import torch
        from torch.nn.parallel import DistributedDataParallel

        from trainables.contrastive import mean_over_workers
        from trainables.losses.info_nce import draw_negatives
        from trainables.numerics import seeded
        from trainables.training import autocast

        parallel = DistributedDataParallel(network, broadcast_buffers=False) if context.world_size > 1 else network
        each = self.batch_size // context.world_size
        mine = slice(context.rank * each, (context.rank + 1) * each)
        names = ("loss", "accuracy", "accuracy_first_step", "accuracy_last_step")

        def step(index: int) -> dict[str, torch.Tensor]:
            # Drawn for the whole batch on every worker: so they do not depend on the number of workers.
            lengths = chunks.lengths(index)
            generator = torch.Generator().manual_seed(seeded(self.seed, "negatives", index))
            negatives = draw_negatives(lengths, self.negatives, self.negatives_from, generator)
            batch = chunks.gather(index, mine).to(context.device)
            with autocast(context.device, self.precision):
                found = parallel(batch, lengths, negatives, mine.start)
            optimizer.zero_grad(set_to_none=True)
            # Workers' parts are to be summed (CpcNetwork.forward), and DDP takes the mean.
            (context.world_size * found.loss).backward()
            optimizer.step()
            own = [found.loss.detach(), found.accuracy, found.per_step_accuracy[0], found.per_step_accuracy[-1]]
            return dict(zip(names, mean_over_workers(context.world_size * torch.stack(own)), strict=True))

        return step
