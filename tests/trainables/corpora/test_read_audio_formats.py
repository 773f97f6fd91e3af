"""read_audio: whatever a corpus calls sound is read as what was recorded, or refused with the file's name."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from trainables.corpora.audio import measure, read_audio, read_header
from trainables.errors import UserError

HERTZ, LEVEL = 440.0, 0.3
ENCODINGS = {
    "8 bit": ("WAV", "PCM_U8", 0.01),
    "16 bit": ("WAV", "PCM_16", 1e-3),
    "24 bit": ("WAV", "PCM_24", 1e-3),
    "32 bit": ("WAV", "PCM_32", 1e-3),
    "float 32": ("WAV", "FLOAT", 1e-3),
    "float 64": ("WAV", "DOUBLE", 1e-3),
    "mu-law": ("WAV", "ULAW", 0.02),
    "A-law": ("WAV", "ALAW", 0.02),
    "ADPCM": ("WAV", "IMA_ADPCM", 0.02),
    "WAV with extensible header": ("WAVEX", "PCM_24", 1e-3),
    "RF64": ("RF64", "PCM_16", 1e-3),
    "FLAC": ("FLAC", "PCM_24", 1e-3),
    "AIFF": ("AIFF", "PCM_16", 1e-3),
    "SPHERE": ("NIST", "PCM_16", 1e-3),
    "Ogg Vorbis": ("OGG", "VORBIS", 0.05),
    "MP3": ("MP3", "MPEG_LAYER_III", 0.05),
}


def tone(rate: int, seconds: float = 1.0, hertz: float = HERTZ) -> np.ndarray:
    return LEVEL * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)


def assert_is_the_tone(sound: np.ndarray, tolerance: float) -> None:
    """The same sine, in level, frequency and time, as if it had been recorded at 16 kHz; edges apart, where filters ring."""
    assert sound.dtype == np.float32
    inner = slice(1600, 14400)
    np.testing.assert_allclose(sound[inner], tone(16000)[inner], atol=tolerance)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_every_encoding_is_read_at_its_frequency_level_and_time(tmp_path: Path, encoding: str) -> None:
    container, subtype, tolerance = ENCODINGS[encoding]
    soundfile.write(tmp_path / "x.wav", tone(16000), 16000, format=container, subtype=subtype)
    assert_is_the_tone(read_audio(tmp_path / "x.wav"), tolerance)
    assert read_header(tmp_path / "x.wav").seconds == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate", [8000, 11025, 16000, 22050, 44100, 48000, 96000])
def test_every_rate_and_stereo_are_read_as_16_khz_mono(tmp_path: Path, rate: int, channels: int) -> None:
    soundfile.write(tmp_path / "x.wav", np.stack([tone(rate)] * channels, axis=1), rate, subtype="PCM_24")
    sound = read_audio(tmp_path / "x.wav")
    assert len(sound) == 16000
    assert_is_the_tone(sound, 1e-3)


def test_what_16_khz_cannot_hold_is_filtered_out_and_not_folded_back(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "x.wav", tone(48000, hertz=11000), 48000, subtype="FLOAT")
    assert np.abs(read_audio(tmp_path / "x.wav")[1600:14400]).max() < 1e-3 * LEVEL


def test_opposite_channels_cancel_and_one_silent_channel_halves_the_level(tmp_path: Path) -> None:
    wave = tone(16000)
    soundfile.write(tmp_path / "x.wav", np.stack([wave, -wave], axis=1), 16000, subtype="FLOAT")
    assert np.abs(read_audio(tmp_path / "x.wav")).max() == 0
    soundfile.write(tmp_path / "x.wav", np.stack([wave, 0 * wave], axis=1), 16000, subtype="FLOAT")
    np.testing.assert_allclose(read_audio(tmp_path / "x.wav"), wave / 2, atol=1e-6)


def test_clipped_sound_and_sound_above_full_scale_are_read_as_they_are_and_measured(tmp_path: Path) -> None:
    wave = np.clip(4 * tone(16000), -1, 1)
    soundfile.write(tmp_path / "x.wav", wave, 16000, subtype="PCM_16")
    np.testing.assert_allclose(read_audio(tmp_path / "x.wav"), wave, atol=1e-4)
    # 1.2 sin(x) is above 1 in the share 1 - 2 asin(1 / 1.2) / pi of the time
    assert measure(tmp_path / "x.wav").clipped == pytest.approx(1 - 2 * np.arcsin(1 / 1.2) / np.pi, abs=0.06)
    soundfile.write(tmp_path / "x.wav", 5 * tone(16000), 16000, subtype="FLOAT")
    assert read_audio(tmp_path / "x.wav").max() == pytest.approx(1.5, abs=1e-3)


def test_one_sample_at_full_scale_is_a_peak_and_not_clipped(tmp_path: Path) -> None:
    wave = tone(16000)
    wave[5000] = 1.0
    soundfile.write(tmp_path / "x.wav", wave, 16000, subtype="PCM_16")
    level = measure(tmp_path / "x.wav")
    assert (round(level.peak, 4), level.clipped, level.rate, level.channels) == (1.0, 0.0, 16000, 1)


@pytest.mark.parametrize("name", ["x.wav", "x.flac", "x.raw", "x.vox", "x", "x.WAV", "ü 1.wav", b"\xb0\xb1.wav"])
def test_what_a_file_is_its_content_says_and_not_its_name(tmp_path: Path, name: str | bytes) -> None:
    path = tmp_path / os.fsdecode(name)
    with path.open("wb") as file:
        soundfile.write(file, tone(16000), 16000, format="FLAC")
    assert_is_the_tone(read_audio(path), 1e-3)


def text(path: Path) -> None:
    path.write_text("start_time\tstop_time\tspeaker\tvalue\n" * 40)


def mp4(path: Path) -> None:
    path.write_bytes(struct.pack(">I", 24) + b"ftypisom" + bytes(4000))


def apple_double(path: Path) -> None:
    path.write_bytes(b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X        " + bytes(4000))


def no_samples(path: Path) -> None:
    soundfile.write(path, np.zeros(0), 16000, format="WAV")


def corrupt_flac(path: Path) -> None:
    soundfile.write(path, np.random.default_rng(0).uniform(-0.5, 0.5, 16000), 16000, format="FLAC")
    content = bytearray(path.read_bytes())
    content[4000:20000] = bytes(16000)
    path.write_bytes(content)


def strange_rate(path: Path) -> None:
    soundfile.write(path, tone(16000), 16000, format="WAV")
    content = bytearray(path.read_bytes())
    content[24:28] = struct.pack("<I", 7)
    path.write_bytes(content)


def infinite(path: Path) -> None:
    soundfile.write(path, np.append(tone(16000), np.inf), 16000, format="WAV", subtype="DOUBLE")


def dangling(path: Path) -> None:
    path.symlink_to(path.parent / "elsewhere.wav")


REFUSED = [
    (Path.touch, "it is empty: 0 bytes"),
    (text, "it is text"),
    (mp4, "it is MP4.*ffmpeg"),
    (apple_double, "AppleDouble"),
    (no_samples, "holds no audio"),
    (strange_rate, "its header says 7 Hz"),
    (infinite, "not finite"),
    (dangling, "no such audio file"),
    (Path.mkdir, "is a folder or a device"),
    (os.mkfifo, "is a folder or a device"),
]


@pytest.mark.parametrize("look", [read_header, read_audio, measure])
@pytest.mark.parametrize(("make", "reason"), REFUSED, ids=[make.__name__ for make, _ in REFUSED])
@pytest.mark.parametrize("name", ["x.wav", "x.au", "x.vox", "x.raw"])
def test_what_is_no_sound_is_refused_by_name_and_reason_whatever_it_is_called(
    tmp_path: Path, name: str, make: Callable[[Path], object], reason: str, look: Callable[[Path], object]
) -> None:
    make(tmp_path / name)
    with pytest.raises(UserError, match=rf"(?s)^{tmp_path / name}: .*{reason}"):
        look(tmp_path / name)


def test_a_recording_damaged_in_its_middle_is_found_when_it_is_decoded(tmp_path: Path) -> None:
    corrupt_flac(tmp_path / "x.flac")
    read_header(tmp_path / "x.flac")  # beginning and end are sound
    for look in (read_audio, measure):
        with pytest.raises(UserError, match=r"x\.flac"):
            look(tmp_path / "x.flac")


@pytest.mark.parametrize(
    ("container", "subtype"),
    [
        *(("WAV", "PCM_16"), ("WAV", "ULAW"), ("FLAC", "PCM_16"), ("AIFF", "PCM_16"), ("AU", "PCM_16"), ("W64", "PCM_16")),
        *(("RF64", "PCM_16"), ("NIST", "PCM_16"), ("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", "MPEG_LAYER_III"), ("CAF", "PCM_16")),
    ],
)
@pytest.mark.parametrize("kept", [0.1, 0.5, 0.97])
def test_a_file_cut_short_is_found_from_its_header(tmp_path: Path, container: str, subtype: str, kept: float) -> None:
    soundfile.write(
        tmp_path / "x.wav", np.random.default_rng(0).uniform(-0.5, 0.5, 48000), 16000, format=container, subtype=subtype
    )
    content = (tmp_path / "x.wav").read_bytes()
    (tmp_path / "x.wav").write_bytes(content[: int(kept * len(content))])
    with pytest.raises(UserError, match=r"x\.wav"):
        read_header(tmp_path / "x.wav")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_refused_by_name(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "x.wav", tone(16000), 16000)
    (tmp_path / "x.wav").chmod(0)
    with pytest.raises(UserError, match=r"x\.wav: cannot be read \(Permission denied\)"):
        read_audio(tmp_path / "x.wav")


@pytest.mark.parametrize(
    ("start", "end"), [(0.5, 0.5), (0.5, 0.4), (0.5, 0.50001), (1.0, None), (0.99999, None), (1.5, 2.0), (0.0, 1.06), (0.2, -0.1)]
)
def test_a_span_without_sound_or_outside_the_file_is_refused_by_name(tmp_path: Path, start: float, end: float | None) -> None:
    soundfile.write(tmp_path / "x.wav", tone(16000), 16000)
    with pytest.raises(UserError, match=r"x\.wav: a span"):
        read_audio(tmp_path / "x.wav", start, end)
