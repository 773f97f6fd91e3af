"""Stage: what the frozen convolutional encoder makes of every utterance of a corpus, kept so that no epoch computes it again."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, ClassVar

from trainables.cpc_pretraining import CpcPretraining
from trainables.errors import Faults, UserError
from trainables.initial_encoder import InitialEncoder
from trainables.leakage.exposure import Exposure
from trainables.masked_pretraining import MaskedPretraining
from trainables.parts import Turn, turns_of
from trainables.stage import Context, PartContext, Stage
from trainables.utterances import Utterances

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import pandas as pd

    from trainables.corpora.corpus import CorpusSource
    from trainables.models.cpc_speech_encoder import AnySpeechEncoder

EncoderStage = InitialEncoder | MaskedPretraining | CpcPretraining
"""A stage whose result is a speech encoder (:func:`~trainables.models.cpc_speech_encoder.load_speech_encoder`): one part of it is
frozen wherever it is fine-tuned, and its output for an utterance, the *convolved features*, can be kept."""

_PART_SECONDS = 300.0
"""Of sound in a part: half a minute of a base model's convolution on a CPU core (measured: 9 times real time), so that a sweep that
is being stopped does not wait long, and far more than reading the encoder takes."""


class ConvolutionalFeatures(Stage):
    """The convolved features of each utterance, convolved alone and whole.

    'In the first stage of fine tuning, the parameters of the speech encoder and the feature projection are fixed' (section 3.1), as
    they are in all trainings of the paper: its output for an utterance is the same in each epoch, and who reads it here trains as
    if it had convolved the utterance itself. An utterance is never cut, because the base models have a group norm over all of its
    time; :data:`~trainables.utterances.LONGEST_SECONDS` bounds the memory.

    Result: ``frames.npy``, float32 ``[all frames, C]``, 50 frames per second of HuBERT and WavLM and 100 of CPC, the utterances one
    after the other (an hour takes 370 MB of a base model's 512 values, and of CPC's 256); ``segments.parquet``, the utterances'
    rows in the same order and besides ``first_frame`` and ``frames``. Read both through
    :class:`~trainables.features.frames.FrameTable`. ``metrics.json``: ``utterances, frames, hours, dimensions``.

    On a CPU the utterances are handed out in parts, and a stage that was stopped goes on with those that are missing. On an
    accelerator they are convolved in this process (it takes minutes); stopped there, it begins again.
    """

    label: ClassVar[str] = "convolutional features"

    encoder: EncoderStage
    utterances: Utterances

    def exposure(self) -> Exposure:
        """Nothing is learnt: each utterance's features are its own, and the encoder is fixed."""
        return Exposure(features=self.utterances)

    def run(self, context: Context) -> None:
        """Convolve all utterances.

        Raises:
            UserError: Unreadable or corrupt audio: every such utterance is named. Or the corpus is no longer the planned one.
        """
        import pandas as pd

        from trainables.models.cpc_speech_encoder import load_speech_encoder

        corpus = context.corpus(self.utterances.corpus)
        corpus.verify()  # it may have changed since the utterances were listed, and the result would bear a false name
        table = pd.read_parquet(context.result(self.utterances) / "segments.parquet")
        encoder = load_speech_encoder(context.result(self.encoder))
        if context.device.type == "cpu":
            frames = _gather(context, _in_parts(table), encoder.convolution_size)
        else:
            frames = _convolve(encoder.to(context.device), corpus, turns_of(table), context.directory, context.tick)
        table["frames"] = frames
        table["first_frame"] = table["frames"].cumsum() - table["frames"]
        table.to_parquet(context.directory / "segments.parquet", index=False)
        hours = float(table["seconds"].sum() / 3600)
        sizes = {"utterances": len(table), "frames": sum(frames), "hours": hours, "dimensions": encoder.convolution_size}
        (context.directory / "metrics.json").write_text(json.dumps(sizes))

    def run_part(self, work: Any, context: PartContext) -> None:
        """Convolve the utterances of a part on the CPU; ``frames.json`` has their numbers of frames.

        Args:
            work: The utterances as turns.
            context: Where to write.

        Raises:
            UserError: Unreadable audio: every such utterance is named.
        """
        from trainables.models.cpc_speech_encoder import load_speech_encoder

        corpus = context.corpus(self.utterances.corpus)
        corpus.prepare()  # a node without the twin makes it
        encoder = load_speech_encoder(context.result(self.encoder))
        frames = _convolve(encoder, corpus, work, context.directory, context.tick)
        (context.directory / "frames.json").write_text(json.dumps(frames))


def _in_parts(table: pd.DataFrame) -> list[list[Turn]]:
    """The utterances in parts of some :data:`_PART_SECONDS`, by the corpus alone."""
    before = table["seconds"].cumsum() - table["seconds"]
    return [turns_of(part) for _, part in table.groupby(before // _PART_SECONDS)]


def _gather(context: Context, parts: list[list[Turn]], dimensions: int) -> list[int]:
    """Hand out the parts and put their frames together; the numbers of frames of all utterances."""
    from trainables.features.frames import FrameWriter

    frames: list[int] = []
    with FrameWriter(context.directory, dimensions, "float32") as writer:
        for part in context.parts(parts):
            writer.extend(part)
            frames += json.loads((part / "frames.json").read_text())
    return frames


def _convolve(
    encoder: AnySpeechEncoder, corpus: CorpusSource, turns: Sequence[Turn], directory: Path, tick: Callable[[float], None]
) -> list[int]:
    """Write ``frames.npy`` of some utterances, in this process; the numbers of frames of each."""
    import torch

    from trainables.corpora.audio import read_audio
    from trainables.features.frames import FrameWriter

    faults = Faults(f"the audio of corpus {corpus.name!r}")
    frames: list[int] = []
    with FrameWriter(directory, encoder.convolution_size, "float32") as writer:
        for number, (recording, start, end) in enumerate(turns):
            try:
                samples = read_audio(corpus.audio_path(recording), start, end, encoder.sample_rate)
                convolved = encoder.convolve(torch.from_numpy(samples))
                writer.append(convolved.cpu())
                frames.append(len(convolved))
            except UserError as error:
                faults.add(str(error))
            tick((number + 1) / len(turns))
        faults.raise_if_any()
    return frames
