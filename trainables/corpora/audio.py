"""Reading sound: any container and rate that libsndfile knows comes out as mono float32 at one rate, or as a clear fault.

Stereo and other rates are converted, because that is harmless; empty, damaged and not-a-number audio is refused, because a
silent repair would change results without anyone knowing.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from trainables.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    import soundfile

END_TOLERANCE = 0.05
"""Seconds by which a segment may end after its file does: transcripts are timed to about a frame, files are not."""

_STREAMED = 0x7FFF0000  # Recorders that write to a pipe leave 0x7FFFFFFF or 0xFFFFFFFF as the length: not a damaged file.


class Header(NamedTuple):
    """What a sound file says of itself."""

    frames: int
    rate: int

    @property
    def seconds(self) -> float:
        """Duration, s."""
        return self.frames / self.rate


def read_header(path: str | os.PathLike[str]) -> Header:
    """Length and rate, after checks that cost no decoding: readable, not empty, and its last frame is there.

    Raises:
        UserError: The file is missing, is no audio, is empty or is cut short.
    """
    with _open(path) as file:
        try:
            file.seek(file.frames - 1)
            last = len(file.read(1))
        except RuntimeError as error:
            raise _damaged(path, error) from error
        if last != 1:
            raise UserError(
                f"{path}: cut short: its header promises {file.frames} frames, but its end cannot be read; copy it again"
            )
        return Header(file.frames, file.samplerate)


def read_audio(path: str | os.PathLike[str], start: float = 0.0, end: float | None = None, sample_rate: int = 16000) -> np.ndarray:
    """Read a span of a recording.

    Args:
        path: The file.
        start: Start of the span, s. A negative one (CMU-MOSEI has 239) means the start of the file.
        end: End of the span, s; None or NaN for the end of the file. It may be after the file's end by :data:`END_TOLERANCE`.
        sample_rate: Wanted rate, Hz. The span is cut at the file's own rate and then resampled (soxr, high quality).

    Returns:
        float32 [samples], mono: the mean of the channels.

    Raises:
        UserError: Missing, unreadable, empty, cut short or not-a-number audio, or a span outside the file; names the file.
    """
    import numpy as np

    with _open(path) as file:
        first, last = _span(path, start, end, file)
        try:
            file.seek(first)
            samples = file.read(last - first, dtype="float32", always_2d=True)
        except RuntimeError as error:
            raise _damaged(path, error) from error
        rate = file.samplerate
    if len(samples) < last - first - END_TOLERANCE * rate:
        raise UserError(f"{path}: cut short: {last - first} frames expected from {first}, {len(samples)} found; copy it again")
    mono = samples.mean(axis=1) if samples.shape[1] > 1 else samples[:, 0]
    if not np.isfinite(mono).all():
        raise UserError(f"{path}: holds samples that are not finite numbers (NaN or infinity); export it again")
    if rate == sample_rate:
        return np.ascontiguousarray(mono)
    import soxr

    return soxr.resample(mono, rate, sample_rate, quality="HQ")


def _open(path: str | os.PathLike[str]) -> soundfile.SoundFile:
    import soundfile

    if not Path(path).is_file():
        raise UserError(f"{path}: no such audio file")
    try:
        file = soundfile.SoundFile(os.fspath(path))
    except RuntimeError as error:
        raise _damaged(path, error) from error
    promised = re.search(r"^data : (\d+) \(should be (\d+)\)", file.extra_info, re.MULTILINE)
    if promised and int(promised[2]) < int(promised[1]) < _STREAMED:
        file.close()
        raise UserError(f"{path}: cut short: its header promises {promised[1]} bytes, {promised[2]} are there; copy it again")
    if file.frames <= 0:
        file.close()
        raise UserError(f"{path}: holds no audio (0 frames); delete it from the manifest or copy it again")
    return file


def _span(path: str | os.PathLike[str], start: float, end: float | None, file: soundfile.SoundFile) -> tuple[int, int]:
    frames, rate = file.frames, file.samplerate
    first = max(0, round(start * rate))
    last = frames if end is None or end != end else round(end * rate)  # NaN is not equal to itself
    if first >= frames or last > frames + END_TOLERANCE * rate:
        asked = f"{start:g} s to {'its end' if end is None else f'{end:g} s'}"
        raise UserError(f"{path}: a span of {asked} was asked for, but the file is {frames / rate:.3f} s long; mend the times")
    if last <= first:
        raise UserError(f"{path}: a span ends at {end:g} s, which is not after its start at {start:g} s; mend the times")
    return first, min(last, frames)


def _damaged(path: str | os.PathLike[str], error: Exception) -> UserError:
    return UserError(f"{path}: cannot be read as audio ({str(error).removeprefix(f'Error opening {os.fspath(path)!r}: ')})")
