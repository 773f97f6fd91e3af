"""Stage: log-mel features of a corpus, cut into equal segments, in one memory-mapped array.

Computed once per corpus and settings, part by part on whatever workers there are; every later stage and worker reads the same file.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from trainables.cut_segments import SegmentShape, Unit, gather_segments, write_segments
from trainables.leakage.exposure import Exposure
from trainables.parts import Turn, turns_of
from trainables.stage import Context, CorpusRole, PartContext, Stage
from trainables.units import subject_turns

if TYPE_CHECKING:
    import pandas as pd

_TURN_COLUMNS = ("segment", "recording", "start", "end", "talker", "text")
"""What describes one turn and not the unit it belongs to."""


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

        corpus = context.corpus(self.corpus)
        corpus.verify()  # it may have changed since the sweep was planned, and the result would bear a false name
        units = self._units(corpus.manifest())
        cut = gather_segments(context, corpus, units, self._shape)
        segments = pd.DataFrame(
            {**unit.facts, "position": position, "seconds": samples / self.sample_rate}
            for unit, found in zip(units, cut, strict=True)
            for position, samples in enumerate(found.segments)
        )
        segments.to_parquet(context.directory / "segments.parquet", index=False)
        metrics = {"segments": len(segments), "units": len(units), "hours": float(segments["seconds"].sum() / 3600)}
        (context.directory / "metrics.json").write_text(json.dumps(metrics))

    def run_part(self, work: Any, context: PartContext) -> None:
        """Read each unit of a part, cut it, and stream its features to disk.

        Args:
            work: The turns of each unit.
            context: Where to write.

        Raises:
            UserError: Unreadable audio: every such unit is named.
        """
        from trainables.features.log_mel import LogMel

        corpus = context.corpus(self.corpus)
        corpus.prepare()  # a node without the twin makes it
        log_mel = LogMel(self.sample_rate, self.window, self.hop, self.mels, self.f_min, self.f_max)
        write_segments(work, context, corpus, self._shape, log_mel)

    @property
    def _shape(self) -> SegmentShape:
        return SegmentShape(self.sample_rate, self.segment_samples, self.min_seconds, self.frames, self.mels, self.storage)

    def _units(self, manifest: pd.DataFrame) -> list[Unit]:
        """What is cut together, in the order of the result; the interviewer's turns are left out."""
        turns = subject_turns(manifest, self.unit)
        by_unit: dict[str, list[Turn]] = {}
        for name, turn in zip(turns["unit"], turns_of(turns), strict=True):
            by_unit.setdefault(name, []).append(turn)
        first = turns.drop_duplicates("unit").drop(columns=[name for name in _TURN_COLUMNS if name in turns])
        return [Unit({"unit": facts["unit"], **facts}, by_unit[facts["unit"]]) for facts in first.to_dict("records")]
