"""Random crops of a corpus' utterances, read from the files when they are needed: memory does not grow with the corpus."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from trainables.corpora.audio import read_audio
from trainables.errors import UserError
from trainables.masked_units import HOP, RATE, samples_of
from trainables.random_stretches import RandomStretches, stretches_of

if TYPE_CHECKING:
    import pandas as pd

    from trainables.corpora.corpus import CorpusSource


class Crop(NamedTuple):
    """A stretch of an utterance.

    Attributes:
        path: Its recording.
        start: Where it begins there, s.
        frames: How many frames the encoder makes of it.
    """

    path: Path
    start: float
    frames: int

    def read(self) -> torch.Tensor:
        """Its samples at 16 kHz, float32 ``[samples_of(frames)]``.

        Raises:
            UserError: The recording cannot be read.
        """
        wanted = samples_of(self.frames)
        # What is read is longer by 15 ms: a recording at another rate comes out some samples shorter or longer.
        end = self.start + (self.frames + 1) * HOP / RATE
        samples = torch.from_numpy(read_audio(self.path, self.start, end, RATE))[:wanted]
        # A manifest may end an utterance up to 50 ms after its file does (corpora.audio.END_TOLERANCE): silence there.
        return torch.nn.functional.pad(samples, (0, wanted - len(samples)))


class SpeechCrops:
    """Batches of crops, a function of (seed, step) alone.

    How often an utterance is cropped in an epoch, :func:`~trainables.random_stretches.stretches_of` says; each time anywhere in it.
    One shorter than a crop is never padded, because the first convolution's group norm over time would then hear the padding; it is
    cropped to a multiple of ``grain``, so that few lengths occur and crops of one length can be computed together.

    Args:
        table: Utterances as :func:`~trainables.turns.turn_table` has them.
        corpus: Where their recordings are.
        frames: Frames of a crop.
        grain: Frames below which an utterance is left out, at most ``frames``.
        batch_size: Crops of a step.
        seed: Seeds which crops a step has and where they begin.

    Attributes:
        steps_per_epoch: Batches in which every utterance that is not too short is cropped as often as said above.
        utterances: Number of utterances that are heard.
        too_short: Number of those that are left out.

    Raises:
        UserError: There are fewer crops in an epoch than a batch has.
    """

    def __init__(self, table: pd.DataFrame, corpus: CorpusSource, frames: int, grain: int, batch_size: int, seed: int) -> None:
        hops = (table["seconds"].to_numpy() * RATE / HOP).astype(np.int64)
        longest = hops - 1  # a crop is read with one hop more than it has frames
        heard = longest >= grain
        self.utterances, self.too_short = int(heard.sum()), int((~heard).sum())
        self._frames = np.where(longest < frames, longest - longest % grain, frames)[heard]
        self._recordings = table["recording"].to_numpy()[heard]
        self._starts = table["start"].clip(lower=0.0).to_numpy()[heard]
        crops = stretches_of(longest[heard], frames)
        if batch_size > len(crops):
            raise UserError(
                f"corpus {corpus.name!r}: batch_size {batch_size} is more than the {len(crops)} crops of "
                f"{frames * HOP / RATE:g} s in it ({self.too_short} of {len(table)} utterances are below "
                f"{grain * HOP / RATE:g} s); lower batch_size or crop_seconds, or give more speech"
            )
        self._corpus = corpus
        self._drawn = RandomStretches(crops, (longest[heard] - self._frames) * HOP + 1, batch_size, seed)
        self.steps_per_epoch = self._drawn.steps_per_epoch

    def __getitem__(self, step: int) -> list[Crop]:
        """The crops of this step."""
        chosen, offsets = self._drawn[step]
        starts = self._starts[chosen] + offsets / RATE
        paths = [self._corpus.audio_path(recording) for recording in self._recordings[chosen]]
        return [Crop(*crop) for crop in zip(paths, starts.tolist(), self._frames[chosen].tolist(), strict=True)]
