"""A small CPC network and its contexts on disk, as their stages write them, for tests of what is trained on them."""

from __future__ import annotations

import shutil
from pathlib import Path

import torch

from tests.trainables.emotion_corpora import FRAMES
from trainables.cpc_contexts import CpcContexts
from trainables.cpc_pretraining import CpcPretraining
from trainables.features.frames import FrameTable, FrameWriter
from trainables.models.cpc import CpcNetwork, FrameSettings
from trainables.stage import Stage

SIZES = {"size": 6, "encoder_layers": 1, "prediction_steps": 3}
OTHERS = FRAMES.model_copy(update={"corpus": "librispeech"})
PRETRAINED = CpcPretraining(frames=OTHERS, **SIZES)
CONTEXTS = CpcContexts(encoder=PRETRAINED, frames=FRAMES)


def pretrained(folder: Path, frames: Path) -> dict[Stage, Path]:
    """Results of :data:`PRETRAINED`, with random weights and statistics of no corpus, and of :data:`CONTEXTS`.

    Args:
        folder: Where to write.
        frames: Result of :data:`~tests.trainables.emotion_corpora.FRAMES`.
    """
    homes = {stage: folder / type(stage).__name__ for stage in (PRETRAINED, CONTEXTS)}
    for home in homes.values():
        home.mkdir(parents=True)
    torch.manual_seed(9)
    network = CpcNetwork(FrameSettings.of(FRAMES), **SIZES)
    network.set_statistics(torch.linspace(-42, -38, FRAMES.dimensions), torch.linspace(1, 2, FRAMES.dimensions))
    network.save(homes[PRETRAINED])
    table = FrameTable(frames)
    with torch.inference_mode(), FrameWriter(homes[CONTEXTS], network.size) as writer:
        for turn in range(len(table)):
            writer.append(network.contexts(network.encode(torch.cat(list(table.blocks(turn)))[None]))[0][0])
    shutil.copyfile(frames / "segments.parquet", homes[CONTEXTS] / "segments.parquet")
    return homes
