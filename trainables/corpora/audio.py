"""Reading sound: any container and rate that libsndfile knows comes out as mono float32 at one rate, or as a clear fault.

Stereo and other rates are converted, because that is harmless; audio that is empty, damaged, not a number or far above full scale
is refused, because a silent repair would change results without anyone knowing. Clipped sound is read as it is: nothing can bring
back what is lost.

What a file is, its content says and not its name: corpora hold FLAC named ``.wav``, and libsndfile would take any bytes named
``.au`` or ``.vox`` for headerless sound. So files are handed to it opened, which also serves names that are no UTF-8.
"""

from __future__ import annotations

import math
import os
import re
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from trainables.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    import soundfile

END_TOLERANCE = 0.05
"""Seconds by which a segment may end after its file does: transcripts are timed to about a frame, files are not."""

SHORTEST = 0.001
"""Seconds below which a span holds no sound: some samples at every known rate, and a thousandth of any phone."""

LOUDEST = 8.0
"""Magnitude above which samples are no sound at full scale 1: mastering goes some decibels over it, this is 18 dB. Beyond are
16-bit values stored as floating point (up to 32,768), and bytes that are not what was written."""

PLAUSIBLE_RATES = (1000, 1_000_000)
"""Sample rates, Hz, outside which a header is damaged (telephones have 8 kHz, the fastest recorders 768 kHz)."""

_STREAMED = 0x7FFF0000  # Recorders that write to a pipe leave 0x7FFFFFFF or 0xFFFFFFFF as the length: not a damaged file.
_LENGTH = re.compile(r"^ *(?:data|SSND|Data Size|Riff size|riff) *: (\d+) \(should be (\d+)\)", re.MULTILINE)
"""How libsndfile's log tells of a length that the file does not have (WAV, AIFF, AU, RF64, W64); other formats cannot be opened."""
_OGG_PAGE = 27 + 255 + 255 * 255  # bytes, at most
_BLOCK = 1 << 18  # frames decoded at once where a whole file is looked at, so that an hour of sound needs no more memory
_FULL_SCALE = 1 - 2**-7  # 8-bit sound clips at 127/128, 16-bit at 32767/32768


class Header(NamedTuple):
    """What a sound file says of itself."""

    frames: int
    rate: int

    @property
    def seconds(self) -> float:
        """Duration, s."""
        return self.frames / self.rate


class Level(NamedTuple):
    """What decoding a whole recording shows.

    Attributes:
        peak: Largest magnitude of any sample of any channel; 1 is full scale.
        clipped: Share of samples, of all channels, that stand at full scale together with the sample before them: one sample at
            full scale is a peak that was normalised, a run of them a wave that was cut off.
        rate: The file's own sample rate, Hz.
        channels: Its number of channels.
    """

    peak: float
    clipped: float
    rate: int
    channels: int


def read_header(path: str | os.PathLike[str]) -> Header:
    """Length and rate, after the checks that need little decoding: readable, not empty, its last frame is there, all numbers.

    Only sound stored as floating point is decoded wholly, for no other can hold what is no number.

    Raises:
        UserError: The file is missing, is no audio, is empty, is cut short, or holds NaN, infinity or more than :data:`LOUDEST`.
    """
    with _opened(path) as file:
        header = Header(file.frames, file.samplerate)
        file.seek(file.frames - 1)
        if len(file.read(1)) != 1:
            raise UserError(
                f"{path}: cut short: its header promises {header.frames} frames, but its end cannot be read; copy it again"
            )
        if file.subtype in ("FLOAT", "DOUBLE"):
            _level(path, file)
        return header


def measure(path: str | os.PathLike[str]) -> Level:
    """Decode all of a recording, in little memory, and say how loud it is.

    Raises:
        UserError: As :func:`read_audio` of the whole file.
    """
    with _opened(path) as file:
        return _level(path, file)


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
        UserError: Audio that is missing, unreadable, empty, cut short, not a number or far too loud, or a span that is outside the
            file or shorter than :data:`SHORTEST`; names the file.
    """
    return read_spans(path, [(start, end)], sample_rate)[0]


def read_spans(
    path: str | os.PathLike[str], spans: Sequence[tuple[float, float | None]], sample_rate: int = 16000
) -> list[np.ndarray]:
    """Read several spans of a recording as :func:`read_audio` reads each, but open it once: an interview has hundreds of turns."""
    with _opened(path) as file:
        return [_read_span(path, file, start, end, sample_rate) for start, end in spans]


def _read_span(
    path: str | os.PathLike[str], file: soundfile.SoundFile, start: float, end: float | None, sample_rate: int
) -> np.ndarray:
    import numpy as np

    first, last = _span(path, start, end, file)
    file.seek(first)
    samples = file.read(last - first, dtype="float32", always_2d=True)
    rate = file.samplerate
    if len(samples) < last - first - END_TOLERANCE * rate:
        raise UserError(f"{path}: cut short: {last - first} frames expected from {first}, {len(samples)} found; copy it again")
    _check_peak(path, float(np.abs(samples).max()))
    mono = samples.mean(axis=1) if samples.shape[1] > 1 else samples[:, 0]
    if rate == sample_rate:
        return np.ascontiguousarray(mono)
    import soxr

    return soxr.resample(mono, rate, sample_rate, quality="HQ")


@contextmanager
def _opened(path: str | os.PathLike[str]) -> Iterator[soundfile.SoundFile]:
    """The file, found sound as far as its header goes; a fault of libsndfile's while it is used becomes a UserError."""
    import soundfile

    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # before it is opened: opening a pipe would wait for a writer
            raise UserError(f"{path}: is a folder or a device, not an audio file; put the recording in its place")
        with open(path, "rb") as raw, soundfile.SoundFile(raw.fileno(), closefd=False) as file:
            _check_header(path, file)
            yield file
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UserError(f"{path}: no such audio file") from error
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    except (RuntimeError, MemoryError, ValueError) as error:  # libsndfile's; a length that no memory holds; a name that is none
        raise UserError(f"{path}: cannot be read as audio ({_reason(path, error)}); copy it again or convert it") from error


def _check_header(path: str | os.PathLike[str], file: soundfile.SoundFile) -> None:
    told = _LENGTH.search(file.extra_info)
    if told and int(told[2]) < int(told[1]) < _STREAMED:
        raise UserError(f"{path}: cut short: its header promises {told[1]} bytes, {told[2]} are there; copy it again")
    if (file.format == "OGG" and _ends_within_a_page(path)) or (file.format == "NIST" and file.frames < _nist_frames(path)):
        raise UserError(f"{path}: cut short: it ends before its header says so; copy it again")
    if file.frames <= 0:
        raise UserError(f"{path}: holds no audio (0 frames); delete it from the manifest or copy it again")
    slowest, fastest = PLAUSIBLE_RATES
    if not slowest <= file.samplerate <= fastest:
        raise UserError(f"{path}: its header says {file.samplerate} Hz, which no recording has; copy it again")


def _ends_within_a_page(path: str | os.PathLike[str]) -> bool:
    """Whether an Ogg file ends before its last page does (RFC 3533, section 6), which libsndfile passes over."""
    with open(path, "rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - _OGG_PAGE))
        tail = file.read()
    page = tail[tail.rfind(b"OggS") :]
    return len(page) < 27 or len(page) < 27 + page[26] + sum(page[27 : 27 + page[26]])


def _nist_frames(path: str | os.PathLike[str]) -> int:
    """What a SPHERE header promises, which libsndfile does not compare with what is there."""
    with open(path, "rb") as file:
        told = re.search(rb"sample_count -i (\d+)", file.read(1024))
    return int(told[1]) if told else 0


def _level(path: str | os.PathLike[str], file: soundfile.SoundFile) -> Level:
    import numpy as np

    frames, peak, clipped = 0, 0.0, 0
    file.seek(0)
    while len(block := file.read(_BLOCK, dtype="float32", always_2d=True)):
        magnitude = np.abs(block)
        loudest = float(magnitude.max())
        _check_peak(path, loudest)
        frames, peak = frames + len(block), max(peak, loudest)
        full = magnitude >= _FULL_SCALE
        clipped += int((full[1:] & full[:-1]).sum())
    if frames < file.frames - END_TOLERANCE * file.samplerate:
        raise UserError(f"{path}: cut short: {file.frames} frames expected, {frames} found; copy it again")
    return Level(peak, clipped / (frames * file.channels), file.samplerate, file.channels)


def _span(path: str | os.PathLike[str], start: float, end: float | None, file: soundfile.SoundFile) -> tuple[int, int]:
    frames, rate = file.frames, file.samplerate
    first = max(0, round(start * rate))
    last = frames if end is None or end != end else round(end * rate)  # NaN is not equal to itself
    if first >= frames or last > frames + END_TOLERANCE * rate + 1:  # one for rounding
        asked = f"{start:g} s to {'its end' if end is None else f'{end:g} s'}"
        raise UserError(f"{path}: a span of {asked} was asked for, but the file is {frames / rate:.3f} s long; mend the times")
    last = min(last, frames)
    if last - first < int(SHORTEST * rate):
        until = "its end" if end is None or end != end else f"{end:g} s"
        raise UserError(f"{path}: a span of {start:g} s to {until} holds no sound (less than {SHORTEST:g} s); mend the times")
    return first, last


def _check_peak(path: str | os.PathLike[str], peak: float) -> None:
    """NaN is the largest of all that numpy's ``max`` compares."""
    if not math.isfinite(peak):
        raise UserError(f"{path}: holds samples that are not finite numbers (NaN or infinity); export it again")
    if peak > LOUDEST:
        raise UserError(
            f"{path}: holds a sample of {peak:g}, where 1 is full scale: it is damaged, or integers were stored as floating point; "
            "copy it again, or export it scaled to 1"
        )


def _reason(path: str | os.PathLike[str], error: Exception) -> str:
    """What a file that libsndfile cannot read seems to be, else what libsndfile says."""
    try:
        with open(path, "rb") as file:
            start = file.read(64)
    except (OSError, ValueError):
        return str(error)
    if not start:
        return "it is empty: 0 bytes"
    if start.startswith(b"\x00\x05\x16\x07"):
        return "it is an AppleDouble file, which macOS leaves beside the real one"
    if start[4:8] == b"ftyp":
        return "it is MP4, which libsndfile does not decode; convert it, for example with ffmpeg"
    if all(byte in b"\t\r\n" or 32 <= byte < 127 for byte in start):
        return "it is text"
    return str(getattr(error, "error_string", error))
