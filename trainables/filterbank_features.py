"""Stage: the log-mel filterbank of every turn of a corpus, frame by frame, in one memory-mapped array.

Computed once per corpus and settings, part by part on whatever workers there are; every later stage and worker reads the same file.
"""

from __future__ import annotations

import json
import math
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from trainables.errors import Faults, UserError
from trainables.leakage.exposure import Exposure
from trainables.parts import Turn, in_parts
from trainables.stage import Context, CorpusRole, PartContext, Stage

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

    from trainables.corpora.corpus import CorpusSource
    from trainables.features.filterbank import Filterbank
    from trainables.features.frames import FrameWriter

_PIECE_SECONDS = 300.0  # of a turn that are read at once: bounds the memory, where a recording of an hour is one turn


class FilterbankFeatures(Stage):
    """40 log-mel filterbank coefficients every 10 ms, with their first derivatives, of each turn by itself.

    Climate and Weather, section 2.1: '40-dimensional (-d) FBKs with a 10 ms frame shift and 25 ms frame length along with first
    derivative coefficients'. What the paper leaves open is decided in :class:`~trainables.features.filterbank.Filterbank` and
    :func:`~trainables.features.filterbank.deltas`. Nothing is normalised here: a model that wants it takes its training set's mean.

    A turn of more than 5 minutes, as where a whole recording is one, is transformed in about equal pieces, whose ends are mirrored
    like a turn's: at each seam that tells in the three frames on either side whose window or derivative would reach across.

    Result: ``frames.npy`` ``[all frames, mels]`` in nat, or ``[all frames, 2 * mels]`` with the derivatives after them in nat per
    frame, the turns one after the other; ``segments.parquet``, one row per turn in the same order
    (:func:`~trainables.turns.turn_table`) and besides ``first_frame`` and ``frames``. Read both through
    :class:`~trainables.features.frames.FrameTable`.
    """

    label: ClassVar[str] = "filterbank features"
    accelerated: ClassVar[bool] = False

    corpus: CorpusRole
    unit: Literal["session", "utterance"]
    sample_rate: int = Field(default=16000, gt=0)
    window: int = Field(default=400, gt=1)
    """Samples of a frame."""
    hop: int = Field(default=160, gt=0)
    """Samples from frame to frame."""
    mels: int = Field(default=40, gt=3)
    deltas: bool = True
    storage: Literal["float16", "float32"] = "float16"
    """float16 halves the storage; its error is at most 1/256 nat (1/128 for sound above full scale)."""

    @property
    def dimensions(self) -> int:
        """Values of a frame."""
        return self.mels * (2 if self.deltas else 1)

    def exposure(self) -> Exposure:
        """Nothing is learnt: each turn's features are its own. The interviewer's turns are left out."""
        return Exposure(features=self)

    def run(self, context: Context) -> None:
        """Hand out the turns, then put together what the parts have made.

        Raises:
            UserError: Unreadable, empty or corrupt audio: every such turn is named. Or the corpus is no longer the planned one.
        """
        from trainables.features.frames import FrameWriter
        from trainables.turns import turn_table

        corpus = context.corpus(self.corpus)
        corpus.verify()  # it may have changed since the sweep was planned, and the result would bear a false name
        table = turn_table(corpus, self.unit)
        frames: list[int] = []
        with FrameWriter(context.directory, self.dimensions, self.storage) as writer:
            for part in context.parts(list(in_parts(_spans(table), lambda turn: (turn,), corpus))):
                writer.extend(part)
                frames += json.loads((part / "frames.json").read_text())
        table["frames"] = frames
        table["first_frame"] = table["frames"].cumsum() - table["frames"]
        table.to_parquet(context.directory / "segments.parquet", index=False)
        hours = float(table["seconds"].sum() / 3600)
        metrics = {"turns": len(table), "units": table["unit"].nunique(), "frames": sum(frames), "hours": hours}
        (context.directory / "metrics.json").write_text(json.dumps(metrics))

    def run_part(self, work: Any, context: PartContext) -> None:
        """Read each turn of a part and stream its frames to disk; ``frames.json`` has their numbers.

        Args:
            work: The turns, each with its end.
            context: Where to write.

        Raises:
            UserError: Unreadable audio: every such turn is named.
        """
        from trainables.features.filterbank import Filterbank
        from trainables.features.frames import FrameWriter

        corpus = context.corpus(self.corpus)
        corpus.prepare()  # a node without the twin makes it
        bank = Filterbank(self.sample_rate, self.window, self.hop, self.mels)
        faults = Faults(f"the audio of corpus {corpus.name!r}")
        frames: list[int] = []
        with FrameWriter(context.directory, self.dimensions, self.storage) as writer:
            for number, turn in enumerate(work):
                try:
                    frames.append(self._write(writer, bank, corpus, turn))
                except UserError as error:
                    faults.add(str(error))
                context.tick((number + 1) / len(work))
            faults.raise_if_any()
        (context.directory / "frames.json").write_text(json.dumps(frames))

    def _write(self, writer: FrameWriter, bank: Filterbank, corpus: CorpusSource, turn: Turn) -> int:
        """Write the frames of one turn; how many they are."""
        import torch

        from trainables.corpora.audio import read_audio
        from trainables.features.filterbank import deltas

        recording, start, end = turn
        path, count = corpus.audio_path(recording), 0
        for first, last in _pieces(start, end, self.hop / self.sample_rate):
            frames = bank(torch.from_numpy(read_audio(path, first, last, self.sample_rate)))
            writer.append(torch.cat([frames, deltas(frames)], dim=1) if self.deltas else frames)
            count += len(frames)
        return count


def _spans(table: pd.DataFrame) -> list[Turn]:
    """The turns with their ends, where the manifest has none the recording's."""
    starts = table["start"].clip(lower=0.0)
    ends = table["end"].fillna(starts + table["seconds"])
    return list(zip(table["recording"], starts.tolist(), ends.tolist(), strict=True))


def _pieces(start: float, end: float, hop: float) -> Iterator[tuple[float, float]]:
    """Pieces of a turn of at most :data:`_PIECE_SECONDS` and a hop; equal ones, so that none is too short to be read.

    They are whole hops long, so that frames go on across a seam as if there were none.

    Args:
        start: Its start, s.
        end: Its end, s.
        hop: Seconds from frame to frame.
    """
    count = max(1, math.ceil((end - start) / _PIECE_SECONDS))
    seams = (start + hop * int(number * (end - start) / count / hop) for number in range(1, count))
    return pairwise([start, *seams, end])
