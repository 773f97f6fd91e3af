"""Contract of trainables/features/mfcc.py, against librosa in float64."""

from __future__ import annotations

import warnings

import librosa
import numpy as np
import pytest
import torch

from trainables.errors import UserError
from trainables.features.mfcc import Mfcc


def by_librosa(waveform: torch.Tensor, rate: int = 16000, **settings: int) -> torch.Tensor:
    """``[samples]`` to ``[frames, coefficients]``, with librosa's defaults for what is not given."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # librosa warns of waveforms shorter than a window
        return torch.from_numpy(librosa.feature.mfcc(y=waveform.double().numpy(), sr=rate, **settings).T)


def speech_like(kind: str, samples: int = 64000) -> torch.Tensor:
    """Rounded to 16 bits, as recordings are."""
    time = torch.arange(samples, dtype=torch.float64) / 16000
    noise = torch.randn(samples, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    sound = {
        "noise": 0.1 * noise,
        "harmonic": sum(torch.sin(2 * torch.pi * 140 * k * time) / k for k in range(1, 57)) / 4,
        "padded": torch.where(time < 1.3, 0.1 * noise, 0.0),  # as a recording's last piece
    }[kind]
    return ((sound * 32767).round() / 32768).float()


@pytest.mark.parametrize("kind", ["noise", "harmonic", "padded"])
def test_it_is_librosas_mfcc_within_2e_3_db_and_1e_4_db_on_average(kind):
    waveform = speech_like(kind)
    found, expected = Mfcc()(waveform[None])[0], by_librosa(waveform)
    assert found.dtype == torch.float32
    assert found.shape == expected.shape == (126, 20)
    error = (found - expected).abs()
    assert error.max() <= 2e-3
    assert error.mean() <= 1e-4


@pytest.mark.parametrize(
    ("window", "hop", "mels", "coefficients", "rate"),
    [(2048, 512, 128, 13, 16000), (400, 160, 40, 40, 16000), (512, 256, 26, 12, 8000), (2048, 512, 128, 20, 44100)],
)
def test_other_settings_are_librosas_too(window, hop, mels, coefficients, rate):
    waveform = speech_like("noise", 20011)
    expected = by_librosa(waveform, rate, n_fft=window, hop_length=hop, n_mels=mels, n_mfcc=coefficients)
    found = Mfcc(rate, window, hop, mels, coefficients)(waveform[None])[0]
    assert found.shape == (1 + 20011 // hop, coefficients)
    torch.testing.assert_close(found.double(), expected, rtol=0, atol=2e-3)


@pytest.mark.parametrize("samples", [1, 511, 512, 1024, 2049])
def test_every_length_gives_librosas_frames_also_less_than_a_window(samples):
    waveform = speech_like("noise", samples)
    torch.testing.assert_close(Mfcc()(waveform[None])[0].double(), by_librosa(waveform), rtol=0, atol=2e-3)


def test_a_segment_is_the_same_whatever_the_others_of_its_batch_are():
    # What lies 80 dB below the loudest value is cut off: of this segment, not of a batch with one that is 60 dB louder.
    padded = speech_like("padded", 16000)
    batch = torch.stack([0.001 * padded, padded, *torch.randn(9, 16000, generator=torch.Generator().manual_seed(2))])
    together = Mfcc()(batch)
    torch.testing.assert_close(together[0].double(), by_librosa(batch[0]), rtol=0, atol=2e-3)
    for waveform, found in zip(batch, together, strict=True):
        torch.testing.assert_close(Mfcc()(waveform[None])[0], found, rtol=0, atol=1e-4)


def test_c0_of_digital_silence_is_minus_100_db_times_the_root_of_the_mels_and_the_others_are_0():
    expected = torch.zeros(1, 32, 20)
    expected[..., 0] = -100 * np.sqrt(128)
    torch.testing.assert_close(Mfcc()(torch.zeros(1, 16000)), expected, rtol=0, atol=2e-3)


def test_what_is_no_batch_of_sound_is_refused():
    with pytest.raises(UserError, match="without samples"):
        Mfcc()(torch.zeros(2, 0))
    for waveforms in (torch.zeros(600), torch.zeros(1, 1, 600), torch.zeros(1, 600, dtype=torch.int16)):
        with pytest.raises(ValueError, match=r"\[B, samples\]"):
            Mfcc()(waveforms)
