"""Stage: log-mel features of a corpus, cut into equal segments, in one memory-mapped array.

Computed once per corpus and settings, part by part on whatever workers there are; every later stage and worker reads the same file.
"""

from __future__ import annotations

import json
from itertools import groupby
from operator import attrgetter, itemgetter
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

from pydantic import Field

from trainables.errors import Faults, UserError
from trainables.leakage.exposure import Exposure
from trainables.parts import Turn, in_parts, turns_of
from trainables.stage import Context, CorpusRole, PartContext, Stage
from trainables.units import subject_turns

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy as np
    import pandas as pd
    import torch

    from trainables.features.log_mel import LogMel
    from trainables.features.shards import FeatureWriter

_TURN_COLUMNS = ("segment", "recording", "start", "end", "talker", "text")
"""What describes one turn and not the unit it belongs to."""

_BATCH = 32  # segments transformed at a time: bounds the memory of a long session; each gets the same bits as alone


class _Unit(NamedTuple):
    """A session or an utterance: what later stages need to know of it, and its turns."""

    facts: dict[str, Any]
    turns: list[Turn]


class LogMelFeatures(Stage):
    """Log-mel spectrograms of 5 s segments (ReCLR, section 3.1; the front end is that of PANNs' 16 kHz models).

    ``unit='session'``: the subject's turns of a session are concatenated, then cut into sequential segments (section 3.1, MDD).
    ``unit='utterance'``: each utterance is cut by itself (MOSEI); its segments carry its labels.

    The last piece of a unit is kept if it lasts at least ``min_seconds`` and is padded with digital silence; a shorter one is
    dropped unless it is all there is (the paper is silent; padding keeps short answers, the minimum keeps near-empty segments out).

    Result: ``features.npy`` ``[segments, frames, mels]`` in dB; ``segments.parquet``, one row per segment in the same order with
    ``unit, position, seconds, speaker, session, split`` and the corpus' labels.
    """

    label: ClassVar[str] = "log-mel features"
    accelerated: ClassVar[bool] = False

    corpus: CorpusRole
    unit: Literal["session", "utterance"]
    segment_seconds: float = Field(default=5.0, gt=0)
    """Section 3.1: 'cut into several sequential 5-second segments'."""
    min_seconds: float = Field(default=1.0, ge=0)
    sample_rate: int = 16000
    window: int = 512
    hop: int = 160
    mels: int = 64
    f_min: float = 50.0
    f_max: float = 8000.0
    storage: Literal["float16", "float32"] = "float16"
    """float16 halves the storage; its error is at most 0.031 dB."""

    @property
    def segment_samples(self) -> int:
        """Samples per segment."""
        return round(self.segment_seconds * self.sample_rate)

    @property
    def frames(self) -> int:
        """Frames per segment. librosa's centred framing yields one more, which only repeats the edge; it is dropped."""
        return self.segment_samples // self.hop

    def exposure(self) -> Exposure:
        """Nothing is learnt: each unit's features are its own. The interviewer's turns are left out."""
        return Exposure(features=self)

    def run(self, context: Context) -> None:
        """Hand out the units, then put together what the parts have made.

        Raises:
            UserError: Unreadable, empty or corrupt audio: every such unit is named. Or the corpus is no longer the planned one.
        """
        import pandas as pd

        from trainables.features.shards import FeatureWriter

        corpus = context.corpus(self.corpus)
        corpus.verify()  # it may have changed since the sweep was planned, and the result would bear a false name
        units = self._units(corpus.manifest())
        seconds: list[list[float]] = []
        with FeatureWriter(context.directory, self.frames, self.mels, self.storage) as writer:
            for part in context.parts([[unit.turns for unit in group] for group in in_parts(units, attrgetter("turns"), corpus)]):
                writer.extend(part)
                seconds += json.loads((part / "seconds.json").read_text())
        segments = pd.DataFrame(
            {**unit.facts, "position": position, "seconds": length}
            for unit, lengths in zip(units, seconds, strict=True)
            for position, length in enumerate(lengths)
        )
        segments.to_parquet(context.directory / "segments.parquet", index=False)
        metrics = {"segments": len(segments), "units": len(units), "hours": float(segments["seconds"].sum() / 3600)}
        (context.directory / "metrics.json").write_text(json.dumps(metrics))

    def run_part(self, work: Any, context: PartContext) -> None:
        """Read each unit of a part, cut it, and stream its features to disk; ``seconds.json`` has its segments' lengths.

        Args:
            work: The turns of each unit.
            context: Where to write.

        Raises:
            UserError: Unreadable audio: every such unit is named.
        """
        from trainables.features.log_mel import LogMel
        from trainables.features.shards import FeatureWriter

        corpus = context.corpus(self.corpus)
        corpus.prepare()  # a node without the twin makes it
        log_mel = LogMel(self.sample_rate, self.window, self.hop, self.mels, self.f_min, self.f_max)
        faults = Faults(f"the audio of corpus {corpus.name!r}")
        seconds: list[list[float]] = []
        with FeatureWriter(context.directory, self.frames, self.mels, self.storage) as writer:
            for turns in work:
                try:
                    pieces = self._cut(_concatenate([(corpus.audio_path(name), *span) for name, *span in turns], self.sample_rate))
                    self._write(writer, self._features(log_mel, pieces), turns)
                except UserError as error:
                    faults.add(str(error))
                    continue
                seconds.append([len(piece) / self.sample_rate for piece in pieces])
                context.tick(len(seconds) / len(work))
            faults.raise_if_any()
        (context.directory / "seconds.json").write_text(json.dumps(seconds))

    @staticmethod
    def _write(writer: FeatureWriter, features: Iterator[torch.Tensor], turns: list[Turn]) -> None:
        try:
            for row in features:
                writer.append(row)
        except UserError as error:
            raise UserError(f"{', '.join(dict.fromkeys(name for name, *_ in turns))}: {error}") from error

    def _features(self, log_mel: LogMel, pieces: list[np.ndarray]) -> Iterator[torch.Tensor]:
        """Log-mel ``[frames, mels]`` of each piece, padded with digital silence to a whole segment."""
        import torch

        for start in range(0, len(pieces), _BATCH):
            batch = torch.empty(min(_BATCH, len(pieces) - start), self.segment_samples)
            for row, piece in zip(batch, pieces[start : start + _BATCH], strict=True):
                row[: len(piece)] = torch.from_numpy(piece)
                row[len(piece) :] = 0.0
            yield from log_mel(batch)[:, : self.frames]

    def _units(self, manifest: pd.DataFrame) -> list[_Unit]:
        """What is cut together, in the order of the result; the interviewer's turns are left out."""
        turns = subject_turns(manifest, self.unit)
        by_unit: dict[str, list[Turn]] = {}
        for name, turn in zip(turns["unit"], turns_of(turns), strict=True):
            by_unit.setdefault(name, []).append(turn)
        first = turns.drop_duplicates("unit").drop(columns=[name for name in _TURN_COLUMNS if name in turns])
        return [_Unit({"unit": facts["unit"], **facts}, by_unit[facts["unit"]]) for facts in first.to_dict("records")]

    def _cut(self, samples: np.ndarray) -> list[np.ndarray]:
        """Sequential pieces of ``segment_samples``; a last one shorter than ``min_seconds`` is dropped unless it is alone."""
        size = self.segment_samples
        pieces = [samples[start : start + size] for start in range(0, len(samples), size)]
        if len(pieces) > 1 and len(pieces[-1]) < self.min_seconds * self.sample_rate:
            pieces.pop()
        return pieces


def _concatenate(spans: list[tuple[Path, float, float | None]], sample_rate: int) -> np.ndarray:
    """The turns of a unit one after the other, float32 ``[samples]``."""
    import numpy as np

    from trainables.corpora.audio import read_spans

    turns: list[np.ndarray] = []
    for path, group in groupby(spans, key=itemgetter(0)):
        turns += read_spans(path, [(start, end) for _, start, end in group], sample_rate)
    return np.concatenate(turns)
