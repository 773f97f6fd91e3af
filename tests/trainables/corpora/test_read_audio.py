"""read_audio: any sound file becomes mono float32 at one rate, or a fault that names the file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

from trainables.corpora.audio import measure, read_audio, read_header
from trainables.errors import UserError

RNG = np.random.default_rng(0)


def test_stereo_at_44100_is_the_mean_of_its_channels_resampled_by_soxr(tmp_path: Path) -> None:
    wave = RNG.uniform(-0.5, 0.5, (44100, 2)).astype("float32")
    soundfile.write(tmp_path / "x.wav", wave, 44100, subtype="FLOAT")
    sound = read_audio(tmp_path / "x.wav")
    expected = soxr.resample(0.5 * (wave[:, 0] + wave[:, 1]), 44100, 16000)
    assert sound.dtype == np.float32
    assert sound.shape == (16000,)
    np.testing.assert_allclose(sound, expected, atol=1e-6)


def test_a_span_is_the_samples_between_its_times_and_a_negative_start_is_the_start(tmp_path: Path) -> None:
    wave = RNG.uniform(-0.5, 0.5, 16000).astype("float32")
    soundfile.write(tmp_path / "x.wav", wave, 16000, subtype="FLOAT")
    np.testing.assert_array_equal(read_audio(tmp_path / "x.wav", 0.25, 0.5), wave[4000:8000])
    np.testing.assert_array_equal(read_audio(tmp_path / "x.wav", -0.3, 0.5), wave[:8000])
    np.testing.assert_array_equal(read_audio(tmp_path / "x.wav", 0.5, float("nan")), wave[8000:])


def test_an_end_up_to_50_ms_after_the_file_is_the_end_of_the_file(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "x.wav", np.zeros(16000), 16000)
    assert len(read_audio(tmp_path / "x.wav", 0.0, 1.049)) == 16000
    with pytest.raises(UserError, match=r"x\.wav.*1\.2 s was asked for.*1\.000 s long"):
        read_audio(tmp_path / "x.wav", 0.0, 1.2)
    with pytest.raises(UserError, match=r"x\.wav"):
        read_audio(tmp_path / "x.wav", 1.0)


@pytest.mark.parametrize("content", [b"", b"no audio at all" * 20, b"RIFF\x00\x00"])
def test_what_is_no_audio_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.wav").write_bytes(content)
    with pytest.raises(UserError, match=r"x\.wav: cannot be read as audio"):
        read_audio(tmp_path / "x.wav")


def test_a_file_without_samples_and_a_missing_file_are_refused_by_name(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "x.wav", np.zeros(0), 16000)
    with pytest.raises(UserError, match=r"x\.wav: holds no audio"):
        read_audio(tmp_path / "x.wav")
    with pytest.raises(UserError, match=r"y\.wav: no such audio file"):
        read_audio(tmp_path / "y.wav")


@pytest.mark.parametrize("suffix", ["wav", "flac"])
def test_a_file_cut_short_is_found_from_its_header_alone_and_when_read(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"x.{suffix}"
    soundfile.write(path, RNG.uniform(-0.5, 0.5, 16000), 16000)
    path.write_bytes(path.read_bytes()[:-8000])
    for read in (read_header, read_audio):
        with pytest.raises(UserError, match=rf"x\.{suffix}"):
            read(path)


def test_samples_that_are_no_numbers_are_refused_by_name(tmp_path: Path) -> None:
    wave = np.zeros(1600, dtype="float32")
    wave[7] = np.nan
    soundfile.write(tmp_path / "x.wav", wave, 16000, subtype="FLOAT")
    with pytest.raises(UserError, match=r"x\.wav: holds samples that are not finite"):
        read_audio(tmp_path / "x.wav")


@pytest.mark.parametrize("place", [0, 300_000])
def test_samples_far_above_full_scale_are_refused_by_name_and_some_decibels_over_it_are_not(tmp_path: Path, place: int) -> None:
    wave = RNG.uniform(-3, 3, 320_000).astype("float32")
    soundfile.write(tmp_path / "x.wav", wave, 16000, subtype="FLOAT")
    np.testing.assert_array_equal(read_audio(tmp_path / "x.wav"), wave)
    wave[place] = -30_000  # 16-bit values that were never scaled
    soundfile.write(tmp_path / "x.wav", wave, 16000, subtype="FLOAT")
    for read in (read_header, read_audio, measure):
        with pytest.raises(UserError, match=r"x\.wav: holds a sample of 30000, where 1 is full scale"):
            read(tmp_path / "x.wav")


SPEECH = Path(__file__).resolve().parents[4] / "shared" / "speech"


@pytest.mark.skipif(not SPEECH.is_dir(), reason="no shared/speech beside the checkout")
@pytest.mark.parametrize("corpus", ["emodb", "urdu", "LibriSpeech"])
def test_real_speech_is_read_as_long_as_its_header_says_and_audible(corpus: str) -> None:
    paths = sorted((SPEECH / corpus).rglob("*.flac"))[::10]
    assert paths
    for path in paths:
        sound = read_audio(path)
        assert len(sound) == pytest.approx(16000 * soundfile.info(path).duration, abs=1)
        assert 0.01 < np.abs(sound).max() <= 1
