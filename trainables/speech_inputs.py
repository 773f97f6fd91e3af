"""What a speech encoder reads of one or several corpora: batches of convolved features, divided by length.

The convolutional encoder hears every utterance alone: the group norm of HuBERT-base's first layer is over time, so that padding of
the sound would change what it gives. Padded is what it gives, for the Transformer.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pandas as pd
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from trainables.corpora.audio import read_audio
from trainables.errors import Faults, UserError
from trainables.features.buckets import buckets
from trainables.features.frames import FrameTable
from trainables.parts import turns_of

if TYPE_CHECKING:
    from trainables.convolutional_features import ConvolutionalFeatures
    from trainables.corpora.corpus import CorpusSource
    from trainables.models.cpc_speech_encoder import AnySpeechEncoder
    from trainables.stage import Context
    from trainables.utterances import Utterances


class SpeechSource(NamedTuple):
    """The utterances of one corpus.

    Attributes:
        table: One row per utterance, of :class:`~trainables.utterances.Utterances`.
        corpus: Where its recordings are.
        convolved: Result of :class:`~trainables.convolutional_features.ConvolutionalFeatures` of the same utterances; None: the
            recordings are read and convolved whenever they are asked for.
    """

    table: pd.DataFrame
    corpus: CorpusSource
    convolved: Path | None


class SpeechChunk(NamedTuple):
    """Utterances of about one length.

    Attributes:
        places: Their places in the batch, int64 ``[b]``.
        convolved: Their convolved features, float32 ``[b, T, C]``, zero beyond each one's length.
        lengths: Their numbers of frames, int64 ``[b]``.
    """

    places: Tensor
    convolved: Tensor
    lengths: Tensor


class SpeechInputs:
    """Utterances of all sources, numbered one source after the other.

    Whether a source's features are read from disk or made anew, the numbers are the same.

    Args:
        encoder: Convolves what is not convolved yet; on ``device``.
        sources: The corpora.
        device: Where the chunks are wanted.

    Attributes:
        first: Number of each source's first utterance, int64 ``[sources]``.

    Raises UserError if a source's convolved features are not of its utterances or of another encoder.
    """

    def __init__(self, encoder: AnySpeechEncoder, sources: Sequence[SpeechSource], device: torch.device) -> None:
        self._encoder, self._sources, self._device = encoder, list(sources), device
        sizes = torch.tensor([len(source.table) for source in sources])
        self.first = sizes.cumsum(0) - sizes
        self._spans = [turns_of(source.table) for source in sources]
        self._frames = [_frames(source, encoder) if source.convolved else None for source in sources]

    def chunks(self, numbers: Tensor) -> list[SpeechChunk]:
        """A batch in as many chunks as keep the padding of each below a tenth; the longest utterances first.

        Args:
            numbers: Of utterances, int64 ``[N]``.

        Raises:
            UserError: Recordings that cannot be read: each of the batch is named.
            IndexError: A number that no utterance has.
        """
        total = sum(map(len, self._spans))
        if strange := [number for number in numbers.tolist() if not 0 <= number < total]:
            raise IndexError(f"expected numbers of utterances from 0 to {total - 1}, found {strange}")
        faults = Faults("the audio of a batch")
        found = []
        for number in numbers.tolist():
            try:
                found.append(self._convolved(number))
            except UserError as error:
                faults.add(str(error))
        faults.raise_if_any()
        lengths = torch.tensor([len(frames) for frames in found])
        return [self._chunk(places, found, lengths) for places in buckets(lengths)]

    def _chunk(self, places: Tensor, found: Sequence[Tensor], lengths: Tensor) -> SpeechChunk:
        padded = pad_sequence([found[place] for place in places], batch_first=True)
        return SpeechChunk(places.to(self._device), padded, lengths[places].to(self._device))

    def _convolved(self, number: int) -> Tensor:
        """Convolved features of an utterance, ``[T, C]``."""
        source = int(torch.searchsorted(self.first, number, right=True)) - 1
        row = number - int(self.first[source])
        if (table := self._frames[source]) is not None:
            return torch.cat(list(table.blocks(row))).to(self._device)
        recording, start, end = self._spans[source][row]
        path = self._sources[source].corpus.audio_path(recording)
        samples = read_audio(path, start, end, self._encoder.sample_rate)
        return self._encoder.convolve(torch.from_numpy(samples))


def open_inputs(
    context: Context, encoder: AnySpeechEncoder, utterances: Sequence[Utterances], convolved: Sequence[ConvolutionalFeatures]
) -> SpeechInputs:
    """The inputs of a stage.

    Args:
        context: The stage's.
        encoder: On the context's device.
        utterances: Of each corpus, in the order in which they are to be numbered.
        convolved: Of some of them, of none, or of all.

    Raises:
        UserError: A corpus whose recordings are to be read is no longer the planned one.
        ValueError: Convolved features are given of utterances that are not.
    """
    made = {features.utterances: context.result(features) for features in convolved}
    if strange := made.keys() - set(utterances):
        raise ValueError(f"expected convolved features of {list(utterances)}, found some of {sorted(map(repr, strange))}")
    sources = []
    for stage in utterances:
        corpus = context.corpus(stage.corpus)
        if stage not in made:
            corpus.verify()  # it may have changed since its utterances were listed, and the result would bear a false name
        table = pd.read_parquet(context.result(stage) / "segments.parquet", columns=["recording", "start", "end"])
        sources.append(SpeechSource(table, corpus, made.get(stage)))
    return SpeechInputs(encoder, sources, context.device)


def _frames(source: SpeechSource, encoder: AnySpeechEncoder) -> FrameTable:
    table = FrameTable(source.convolved)
    found, expected = (len(table), table.dimensions), (len(source.table), encoder.convolution_size)
    if found != expected:
        raise UserError(
            f"{source.convolved}: found {found[0]} utterances of {found[1]} values a frame, expected {expected[0]} of "
            f"{expected[1]}; give the convolved features of these utterances by this encoder, or none"
        )
    return table
