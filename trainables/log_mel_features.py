"""Stage: log-mel features of a corpus, cut into equal segments, in one memory-mapped array.

Computed once per corpus and settings; every later stage and worker reads the same file.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from trainables.errors import Faults, UserError
from trainables.stage import Context, CorpusRole, Stage

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    import pandas as pd
    import torch

    from trainables.corpora.corpus import CorpusSource
    from trainables.features.log_mel import LogMel

_TURN_COLUMNS = ("segment", "recording", "start", "end", "talker", "text")
"""What describes one turn and not the unit it belongs to."""

_BATCH = 32  # segments transformed at a time: bounds the memory of a long session; each gets the same bits as alone


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

    def run(self, context: Context) -> None:
        """Read every unit once, cut it, and stream its features to disk.

        Raises:
            UserError: Unreadable, empty or corrupt audio: every such unit is named. Or the corpus is no longer the planned one.
        """
        import pandas as pd

        from trainables.features.log_mel import LogMel
        from trainables.features.shards import FeatureWriter

        corpus = context.corpus(self.corpus)
        corpus.verify()  # it may have changed since the sweep was planned, and the result would bear a false name
        units = self._units(corpus.manifest())
        log_mel = LogMel(self.sample_rate, self.window, self.hop, self.mels, self.f_min, self.f_max)
        faults = Faults(f"the audio of corpus {corpus.name!r}")
        rows: list[dict] = []
        with FeatureWriter(context.directory, self.frames, self.mels, self.storage) as writer:
            for number, unit in enumerate(units):
                try:
                    pieces = self._cut(_concatenate(corpus, unit, self.sample_rate))
                except UserError as error:
                    faults.add(str(error))
                    continue
                for row in self._features(log_mel, pieces):
                    writer.append(row)
                unit_facts = self._describe(unit)
                lengths = [len(piece) / self.sample_rate for piece in pieces]
                rows += [{**unit_facts, "position": position, "seconds": seconds} for position, seconds in enumerate(lengths)]
                context.tick((number + 1) / len(units))
            faults.raise_if_any()
        segments = pd.DataFrame(rows)
        segments.to_parquet(context.directory / "segments.parquet", index=False)
        metrics = {"segments": len(segments), "units": len(units), "hours": float(segments["seconds"].sum() / 3600)}
        (context.directory / "metrics.json").write_text(json.dumps(metrics))

    def _features(self, log_mel: LogMel, pieces: list[np.ndarray]) -> Iterator[torch.Tensor]:
        """Log-mel ``[frames, mels]`` of each piece, padded with digital silence to a whole segment."""
        import torch

        for start in range(0, len(pieces), _BATCH):
            batch = torch.zeros(min(_BATCH, len(pieces) - start), self.segment_samples)
            for row, piece in zip(batch, pieces[start : start + _BATCH], strict=True):
                row[: len(piece)] = torch.from_numpy(piece)
            yield from log_mel(batch)[:, : self.frames]

    def _units(self, manifest: pd.DataFrame) -> list[pd.DataFrame]:
        """Groups of manifest rows that are cut together; the interviewer's turns are left out."""
        subject = manifest[manifest["talker"] == "subject"]
        if self.unit == "utterance":
            return [subject.iloc[[row]] for row in range(len(subject))]
        turns = subject.sort_values(["session", "recording", "start"], kind="stable")
        return [group for _, group in turns.groupby("session", sort=True)]

    def _describe(self, unit: pd.DataFrame) -> dict:
        """What later stages need to know of the unit: its name, speaker, session, split and labels."""
        first = unit.iloc[0]
        name = first["session"] if self.unit == "session" else first["segment"]
        return {"unit": name, **{column: first[column] for column in unit.columns if column not in _TURN_COLUMNS}}

    def _cut(self, samples: np.ndarray) -> list[np.ndarray]:
        """Sequential pieces of ``segment_samples``; a last one shorter than ``min_seconds`` is dropped unless it is alone."""
        size = self.segment_samples
        pieces = [samples[start : start + size] for start in range(0, len(samples), size)]
        if len(pieces) > 1 and len(pieces[-1]) < self.min_seconds * self.sample_rate:
            pieces.pop()
        return pieces


def _concatenate(corpus: CorpusSource, unit: pd.DataFrame, sample_rate: int) -> np.ndarray:
    """The unit's turns one after the other, float32 ``[samples]``."""
    import numpy as np

    from trainables.corpora.audio import read_audio

    return np.concatenate(
        [
            read_audio(corpus.audio_path(row.recording), row.start, None if row.end != row.end else row.end, sample_rate)
            for row in unit.itertuples()
        ]
    )
