"""Stage: the embedding of every segment of a corpus under a trained encoder, computed once and shared by all seeds."""

from __future__ import annotations

import json
from typing import ClassVar

from pydantic import Field, field_validator

from trainables.leakage.exposure import Exposure
from trainables.log_mel_features import LogMelFeatures
from trainables.stage import Context, Stage

_BATCH = 64  # segments per forward pass; without gradients and with fixed batch norm it cannot change the result


class SegmentEmbeddings(Stage):
    """One vector per segment (ReCLR, sections 2.1 and 3.2).

    With an emotion reference as ``encoder`` these are the paper's reference features v_i of the depression corpus; with a
    pretrained encoder they are the segment-level features that the session classifier reads.

    The vector is the encoder's output before its ReLU, so that cosine scores cover [-1, 1] (see :mod:`trainables.models.cnn10`).

    Result: ``embeddings.npy``, float32 ``[segments, embedding_dim]``, rows in the order of the features' ``segments.parquet``.
    """

    label: ClassVar[str] = "segment embeddings"

    encoder: Stage = Field(description="a stage whose result is an encoder")
    features: LogMelFeatures

    @field_validator("encoder")
    @classmethod
    def _is_encoder(cls, stage: Stage) -> Stage:
        if not stage.provides_encoder:
            raise ValueError(f"{type(stage).__name__} does not train an encoder; give one that does, e.g. EmotionReference")
        return stage

    def exposure(self) -> Exposure:
        """Nothing is learnt: the encoder is fixed, and each segment is embedded by itself."""
        return Exposure(features=self.features)

    def run(self, context: Context) -> None:
        """Embed all segments with dropout off and batch norm fixed."""
        import numpy as np
        import torch

        from trainables.features.shards import FeatureShard
        from trainables.models.weights import load_encoder

        shard = FeatureShard(context.result(self.features))
        encoder = load_encoder(context.result(self.encoder)).to(context.device).eval()
        embeddings = np.empty((len(shard), encoder.embedding_dim), dtype=np.float32)
        with torch.inference_mode():
            for start in range(0, len(shard), _BATCH):
                rows = torch.arange(start, min(start + _BATCH, len(shard)))
                embeddings[start : start + len(rows)] = encoder(shard.gather(rows).to(context.device)).float().cpu().numpy()
                context.tick((start + len(rows)) / len(shard))
        np.save(context.directory / "embeddings.npy", embeddings)
        metrics = {"segments": len(shard), "dimensions": encoder.embedding_dim}
        (context.directory / "metrics.json").write_text(json.dumps(metrics))
