"""Contract of trainables/features/log_mel.py, against librosa in float64."""

from __future__ import annotations

import warnings

import librosa
import numpy as np
import pytest
import torch

from trainables.errors import UserError
from trainables.features.log_mel import LogMel


def _librosa_db(waveform: torch.Tensor, hop: int = 160, n_fft: int = 512, mels: int = 64) -> torch.Tensor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # librosa warns of waveforms shorter than a window
        power = librosa.feature.melspectrogram(
            y=waveform.double().numpy(),
            sr=16000,
            n_fft=n_fft,
            hop_length=hop,
            n_mels=mels,
            fmin=50,
            fmax=8000,
            pad_mode="reflect",
        )
    return torch.from_numpy(librosa.power_to_db(power, ref=1.0, amin=1e-10, top_db=None).T)


def _sixteen_bit(samples: torch.Tensor) -> torch.Tensor:
    return (samples * 32767).round() / 32768


def _signal(kind: str, n: int = 40000) -> torch.Tensor:
    time = torch.arange(n, dtype=torch.float64) / 16000
    noise = torch.randn(n, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    if kind == "noise":
        samples = 0.1 * noise
    elif kind == "harmonic":
        samples = sum(torch.sin(2 * torch.pi * 140 * k * time) / k for k in range(1, 57)) / 4
    elif kind == "band-limited":
        samples = sum(torch.sin(2 * torch.pi * 140 * k * time) / k for k in range(1, 30)) / 4
    else:  # a burst between digital silences, beside one quantisation step of hiss
        samples = torch.where((time > 1) & (time < 1.2), 0.3 * noise, torch.where(time > 2, noise / 32768, 0.0))
    return _sixteen_bit(samples).float()


@pytest.mark.parametrize("kind", ["noise", "harmonic", "near-silent"])
@pytest.mark.parametrize("path", ["blockwise", "batched"])
def test_it_is_librosas_log_mel_within_2e_3_db_at_most_and_1e_5_db_on_average(kind, path):
    waveform, log_mel = _signal(kind), LogMel()
    found = log_mel(waveform) if path == "blockwise" else log_mel._batched(waveform[None])[0]
    error = (found - _librosa_db(waveform)).abs()
    assert found.dtype == torch.float32
    assert error.max() <= 2e-3
    assert error.mean() <= 1e-5


def test_float32_costs_2e_3_db_down_to_100_db_below_a_frames_loudest_band_and_2e_2_db_further_down():
    waveform = _signal("band-limited")
    expected = _librosa_db(waveform)
    error, depth = (LogMel()(waveform) - expected).abs(), expected.amax(1, keepdim=True) - expected
    assert (depth > 100).any()
    assert error[depth <= 100].max() <= 2e-3
    assert error.max() <= 2e-2


def test_digital_silence_is_minus_100_db():
    assert torch.equal(LogMel()(torch.zeros(16000)), torch.full((101, 64), -100.0))


@pytest.mark.parametrize(("hop", "n_fft", "mels"), [(160, 512, 64), (320, 512, 64), (400, 512, 64), (100, 400, 40), (512, 1024, 3)])
def test_other_hops_windows_and_filters_are_librosas_too(hop, n_fft, mels):
    waveform = _signal("noise", 20011)
    found = LogMel(hop_length=hop, n_fft=n_fft, n_mels=mels)(waveform)
    assert found.shape == (1 + 20011 // hop, mels)
    torch.testing.assert_close(found.double(), _librosa_db(waveform, hop, n_fft, mels), rtol=0, atol=2e-3)


# 81 760 samples are the last of a block of 512 frames; 256 are half a window, the longest that is mirrored more than once.
@pytest.mark.parametrize("n", [1, 2, 255, 256, 257, 511, 513, 1599, 1601, 81759, 81760, 81761, 82100, 200003])
@pytest.mark.parametrize("path", ["blockwise", "batched"])
def test_every_length_gives_librosas_frames_also_less_than_half_a_window(n, path):
    waveform, log_mel = _signal("noise", n), LogMel()
    found = log_mel(waveform) if path == "blockwise" else log_mel._batched(waveform[None])[0]
    torch.testing.assert_close(found.double(), _librosa_db(waveform), rtol=0, atol=2e-3)


@pytest.mark.parametrize("n", [300, 40007, 100000])
def test_a_clip_has_the_same_bits_alone_and_in_any_batch(n):
    clips = torch.randn(5, n, generator=torch.Generator().manual_seed(2))
    log_mel = LogMel()
    together = log_mel(clips)
    assert together.shape == (5, 1 + n // 160, 64)
    assert all(torch.equal(log_mel(clip), rows) for clip, rows in zip(clips, together, strict=True))
    assert torch.equal(log_mel(clips[[3, 1]]), together[[3, 1]])


def test_autocast_does_not_touch_it_and_it_leaves_its_input_alone():
    waveform = _signal("harmonic")
    before, plain = waveform.clone(), LogMel()(waveform)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(LogMel()(waveform), plain)
    assert torch.equal(waveform, before)


def test_samples_that_are_not_contiguous_or_not_float32_are_taken():
    clips = np.asarray(_signal("noise").reshape(-1, 2).double())
    expected = LogMel()(torch.from_numpy(clips.T.copy()).float())
    assert torch.equal(LogMel()(torch.from_numpy(clips).T), expected)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_cuda_device_gives_librosas_log_mel_too():
    waveform = _signal("harmonic")
    found = LogMel()(waveform.cuda())
    assert found.device.type == "cuda"
    torch.testing.assert_close(found.cpu().double(), _librosa_db(waveform), rtol=0, atol=2e-3)


def test_a_waveform_without_samples_is_refused():
    with pytest.raises(UserError, match="without samples"):
        LogMel()(torch.zeros(2, 0))


@pytest.mark.parametrize("waveform", [torch.zeros(1, 1, 600), torch.tensor(0.0), torch.zeros(600, dtype=torch.int16)])
def test_what_is_no_waveform_is_refused(waveform):
    with pytest.raises(ValueError, match=r"\[n\] or \[B, n\]"):
        LogMel()(waveform)
