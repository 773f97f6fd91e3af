"""Stage: MFCC of the segments of a corpus, silence cut out before, in one memory-mapped array.

Computed once per corpus and settings, part by part on whatever workers there are; every later stage and worker reads the same file.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field, model_validator

from trainables.cut_segments import SegmentShape, Unit, gather_segments, write_segments
from trainables.errors import UserError
from trainables.leakage.exposure import Exposure
from trainables.parts import turns_of
from trainables.stage import Context, CorpusRole, PartContext, Stage
from trainables.units import subject_turns

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

_TURN_COLUMNS = ("segment", "start", "end", "talker", "text", "prompt", "conversation_start")
"""What describes one turn and not the stretch it belongs to."""

_FIRST = ["unit", "position", "seconds", "cut_from"]


class MfccSegments(Stage):
    """MFCC of 4 s segments (Lu et al., "Speech depression recognition based on attentional residual network").

    Section 4.2: recordings are resampled from 44.1 to 16 kHz, 'the subject's long silent period of speech' is cut out, and the rest
    is 'cut into a 4-second segment'; section 3.5: 'librosa library functions are used to generate MFCC features'. No setting of
    these functions is named, so they are librosa's defaults (:class:`~trainables.features.mfcc.Mfcc`).

    A segment is a unit of its own, as in the paper: it is what is classified. What is cut together is a *stretch*
    (:func:`stretches`): the subject's turns of one recording with the same speaker, session and labels, in order of time, put
    together and freed of silence (:func:`~trainables.features.silence.spoken_spans`), so that no segment has two labels, and none
    joins two recordings.

    Of the last piece of a stretch the paper says nothing. Here one of at least ``min_seconds`` is padded with digital silence and a
    shorter one is dropped, unless it is alone: each recording must be heard. With half a segment as the limit, as many pieces are
    kept as are dropped, so that there are a quarter as many segments as seconds. That is what the paper has: 96 recordings of 3.25
    minutes and 100 of 2.67 (Tables 2 and 3) make 8,685 segments, and Table 3 counts 4,755 + 3,910 = 8,665. So Table 2's minutes
    seem to be those without silence.

    A stretch of digital silence is a fault: it says nothing of its label, and who is to be judged by it alone would be lost.

    Result: ``features.npy``, float32 ``[segments, frames, coefficients]``; ``segments.parquet``, one row per segment in the same
    order with ``unit`` (``<cut_from>#000``, counted within its stretch), ``position`` (0), ``seconds`` (without what pads it),
    ``cut_from`` (the stretch: the name of its first turn), ``recording, speaker, session, split`` and the corpus' labels but the
    prompts, of which a stretch may have several. ``metrics.json``: ``segments, stretches, hours`` and what is in no segment,
    ``silent_hours`` and ``dropped_hours``.
    """

    label: ClassVar[str] = "MFCC of segments"
    accelerated: ClassVar[bool] = False

    unit: ClassVar[str] = "segment"

    corpus: CorpusRole
    segment_seconds: float = Field(default=4.0, gt=0)
    """Section 4.2: 'the results obtained from the 4 s speech segment are relatively objective'."""
    min_seconds: float = Field(default=2.0, ge=0)
    sample_rate: int = Field(default=16000, gt=0)
    window: int = Field(default=2048, gt=1)
    """Samples of a frame."""
    hop: int = Field(default=512, gt=0)
    """Samples from frame to frame."""
    mels: int = Field(default=128, gt=0)
    coefficients: int = Field(default=20, gt=0)
    silent_db: float = Field(default=40.0, gt=0)
    """Silent is what is so far below the loudest frame of a stretch. Ours: at librosa's default of 60 dB a room's noise counts as
    speech (of 8 minutes read for LibriSpeech, train-clean-100, 0.2 % were cut out, and 3 % at 40 dB), at 30 dB soft speech as
    silence (8 %)."""
    pause_seconds: float = Field(default=0.5, ge=0)
    """A silence is long beyond this. Ours: pauses within a phrase are shorter, and how somebody pauses may tell of depression."""

    @model_validator(mode="after")
    def _has_such_coefficients(self) -> MfccSegments:
        if self.coefficients > self.mels:
            raise ValueError(f"{self.mels} mels have {self.mels} coefficients; found coefficients={self.coefficients}")
        return self

    @property
    def segment_samples(self) -> int:
        """Samples per segment."""
        return round(self.segment_seconds * self.sample_rate)

    @property
    def frames(self) -> int:
        """Frames per segment, as librosa has them."""
        return 1 + self.segment_samples // self.hop

    def exposure(self) -> Exposure:
        """Nothing is learnt: each segment's features are its own. The interviewer's turns are left out."""
        return Exposure(features=self)

    def run(self, context: Context) -> None:
        """Hand out the stretches, then put together what the parts have made.

        Raises:
            UserError: Unreadable, empty, silent or corrupt audio: every such stretch is named. Or the corpus is no longer the
                planned one.
        """
        corpus = context.corpus(self.corpus)
        corpus.verify()  # it may have changed since the sweep was planned, and the result would bear a false name
        turns = stretches(corpus.manifest())
        units = [Unit({"cut_from": name}, turns_of(rows)) for name, rows in turns.groupby("cut_from", sort=False)]
        cut = gather_segments(context, corpus, units, self._shape)
        table = _segment_table(turns, [[samples / self.sample_rate for samples in found.segments] for found in cut])
        table.to_parquet(context.directory / "segments.parquet", index=False)
        kept, silent, dropped = (
            sum(samples) / self.sample_rate / 3600
            for samples in zip(*((sum(s), sound - heard, heard - sum(s)) for sound, heard, s in cut), strict=True)
        )
        metrics = {"hours": kept, "silent_hours": silent, "dropped_hours": dropped}
        (context.directory / "metrics.json").write_text(json.dumps({"segments": len(table), "stretches": len(units), **metrics}))

    def run_part(self, work: Any, context: PartContext) -> None:
        """Read each stretch of a part, cut its silence out and the rest into segments, and stream their features to disk.

        Args:
            work: The turns of each stretch.
            context: Where to write.

        Raises:
            UserError: Unreadable or silent audio: every such stretch is named.
        """
        from trainables.features.mfcc import Mfcc

        corpus = context.corpus(self.corpus)
        corpus.prepare()  # a node without the twin makes it
        mfcc = Mfcc(self.sample_rate, self.window, self.hop, self.mels, self.coefficients)
        write_segments(work, context, corpus, self._shape, mfcc, self._heard)

    @property
    def _shape(self) -> SegmentShape:
        return SegmentShape(self.sample_rate, self.segment_samples, self.min_seconds, self.frames, self.coefficients, "float32")

    def _heard(self, samples: np.ndarray) -> np.ndarray:
        """The sound without its long silences."""
        import numpy as np

        from trainables.features.silence import spoken_spans

        spans = spoken_spans(samples, self.sample_rate, self.silent_db, self.pause_seconds)
        if not spans:
            seconds = len(samples) / self.sample_rate
            raise UserError(f"{seconds:.2f} s of digital silence, expected speech; copy it again or delete it from the manifest")
        return np.concatenate([samples[first:last] for first, last in spans])


def stretches(manifest: pd.DataFrame) -> pd.DataFrame:
    """The subject's turns with what each is cut together with as ``cut_from``: the name of that stretch's first turn.

    A stretch has one recording, speaker, session and split, and one value of every label but the prompt.

    Returns:
        Turns in order of session, recording and start; stretches by their first turn.
    """
    turns = subject_turns(manifest, "session").drop(columns="unit")
    alike = [name for name in turns if name not in _TURN_COLUMNS]
    first = turns.groupby(alike, dropna=False, sort=False)["segment"].transform("first")
    return turns.assign(cut_from=first)


def _segment_table(turns: pd.DataFrame, seconds: list[list[float]]) -> pd.DataFrame:
    """One row per segment, with the facts of its stretch.

    Args:
        turns: From :func:`stretches`.
        seconds: Of the segments of each stretch.
    """
    import numpy as np

    facts = turns.drop_duplicates("cut_from").drop(columns=[name for name in _TURN_COLUMNS if name in turns])
    counts = [len(lengths) for lengths in seconds]
    table = facts.loc[facts.index.repeat(counts)].reset_index(drop=True)
    numbers = table.groupby("cut_from", sort=False).cumcount().astype(str).str.zfill(3)
    table = table.assign(unit=table["cut_from"] + "#" + numbers, position=0, seconds=np.concatenate(seconds))
    return table[[*_FIRST, *(name for name in table if name not in _FIRST)]]
