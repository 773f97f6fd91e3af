"""Stage: mean and deviation of each turn's frames: filterbanks, the direct audio modality of a session, or CPC contexts."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, ClassVar, Literal

from trainables.cpc_contexts import CpcContexts
from trainables.filterbank_features import FilterbankFeatures
from trainables.leakage.exposure import Exposure
from trainables.stage import Context, Stage

if TYPE_CHECKING:
    import torch

    from trainables.features.frames import FrameTable


class TurnStatistics(Stage):
    """One vector per turn: the mean over its frames, then the deviation, of each filterbank value and derivative.

    Climate and Weather trains the direct audio modality on 'the same features as in pretraining the emotion model (FBKs and BERTs)'
    with a bi-GRU over a whole interview (section 2.3). That would be tens of thousands of frames, and the paper does not say how
    they are brought to a length that a recurrent network can follow. Decided: one step per turn, as the direct text and the emotion
    features have it. So all three modalities tell of the same moments, early fusion can put them side by side, and a difference
    between them is none of the sequences' lengths. Mean and deviation are what is left of a turn whatever its length; the mean of
    the derivatives is its drift.

    The deviation is that of the frames themselves (divided by their number), so a turn of one frame has 0.

    Contexts of a CPC network are described alike, so that a probe reads what was learnt and what it was learnt from in one form.

    Result (turn features): ``embeddings.npy``, float32 ``[turns, 2 * dimensions]`` (160 of 40 bands with derivatives), and the
    frames' ``segments.parquet`` without what it says of frames.
    """

    label: ClassVar[str] = "turn statistics"
    accelerated: ClassVar[bool] = False

    filterbanks: FilterbankFeatures | CpcContexts
    """What is described: filterbanks, or in their place the contexts that a CPC network makes of them."""

    @property
    def corpus(self) -> str:
        """The role of the corpus that is described."""
        return self.filterbanks.corpus

    @property
    def unit(self) -> Literal["session", "utterance"]:
        """What has a label."""
        return self.filterbanks.unit

    def exposure(self) -> Exposure:
        """Nothing is learnt: each turn's statistics are its own."""
        return Exposure(features=self.filterbanks)

    def run(self, context: Context) -> None:
        """Describe the turns one after the other."""
        import numpy as np
        import pandas as pd

        from trainables.features.frames import FrameTable

        source = context.result(self.filterbanks)
        table = FrameTable(source)
        embeddings = np.empty((len(table), 2 * table.dimensions), dtype=np.float32)
        for turn, row in enumerate(embeddings):
            row[:] = _statistics(table, turn).numpy()
            context.tick((turn + 1) / len(table))
        np.save(context.directory / "embeddings.npy", embeddings)
        segments = pd.read_parquet(source / "segments.parquet").drop(columns=["first_frame", "frames"])
        segments.to_parquet(context.directory / "segments.parquet", index=False)
        metrics = {"turns": len(table), "dimensions": embeddings.shape[1]}
        (context.directory / "metrics.json").write_text(json.dumps(metrics))


def _statistics(table: FrameTable, turn: int) -> torch.Tensor:
    """Mean and deviation over the frames of a turn, float64 ``[2 * D]``; read twice, because sums of squares lose digits."""
    import torch

    count = int(table.lengths[turn])
    mean = sum(block.double().sum(dim=0) for block in table.blocks(turn)) / count
    variance = sum((block.double() - mean).square().sum(dim=0) for block in table.blocks(turn)) / count
    return torch.cat([mean, variance.sqrt()])
