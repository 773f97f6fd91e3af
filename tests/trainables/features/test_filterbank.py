"""Contract of trainables/features/filterbank.py, against torchaudio's Kaldi in float64."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torchaudio.compliance import kaldi
from torchaudio.functional import compute_deltas

from trainables.corpora.audio import read_audio
from trainables.errors import UserError
from trainables.features.filterbank import Filterbank, deltas

FLOOR = math.log(2**-23)


def _kaldi(waveform: torch.Tensor, rate: int = 16000, window: int = 400, hop: int = 160, mels: int = 40, snip_edges: bool = False):
    return kaldi.fbank(
        waveform.double()[None],
        sample_frequency=rate,
        frame_length=1000 * window / rate,
        frame_shift=1000 * hop / rate,
        num_mel_bins=mels,
        snip_edges=snip_edges,
    )


def _signal(kind: str, n: int = 40000) -> torch.Tensor:
    time = torch.arange(n, dtype=torch.float64) / 16000
    noise = torch.randn(n, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    if kind == "noise":
        samples = 0.1 * noise
    elif kind == "harmonic":
        samples = sum(torch.sin(2 * torch.pi * 140 * k * time) / k for k in range(1, 57)) / 4
    else:  # a burst between digital silences, beside one quantisation step of hiss
        samples = torch.where((time > 1) & (time < 1.2), 0.3 * noise, torch.where(time > 2, noise / 32768, 0.0))
    return ((samples * 32767).round() / 32768).float()


@pytest.mark.parametrize("kind", ["noise", "harmonic", "near-silent"])
def test_it_is_kaldis_filterbank_within_2e_4_nat_at_most_and_2e_6_on_average(kind):
    waveform = _signal(kind)
    found = Filterbank()(waveform)
    error = (found - _kaldi(waveform)).abs()
    assert found.dtype == torch.float32
    assert found.shape == (250, 40)
    assert error.max() <= 2e-4
    assert error.mean() <= 2e-6


SPEECH = Path(__file__).resolve().parents[4] / "shared" / "speech"


@pytest.mark.skipif(not SPEECH.is_dir(), reason="no shared/speech beside the checkout")
@pytest.mark.parametrize("corpus", ["LibriSpeech", "emodb", "urdu"])
def test_of_real_speech_float32_costs_2e_4_nat_down_to_16_nat_below_a_frames_loudest_band_and_3e_3_further_down(corpus):
    for file in sorted((SPEECH / corpus).rglob("*.flac"))[::80]:
        waveform = torch.from_numpy(read_audio(file))
        expected = _kaldi(waveform)
        error, depth = (Filterbank()(waveform) - expected).abs(), expected.amax(1, keepdim=True) - expected
        assert error[depth <= 16].max() <= 2e-4, file
        assert error.max() <= 3e-3, file
        assert error.mean() <= 5e-6, file


# 82 000 samples have the 512 frames of one block and one more; 200 are half a window, 79 less than half a hop.
@pytest.mark.parametrize("n", [1, 2, 79, 80, 119, 121, 200, 239, 240, 399, 400, 401, 81839, 81840, 82000, 200003])
def test_every_length_has_a_frame_each_hop_of_the_waveform_mirrored_at_its_ends(n):
    waveform, frames = _signal("noise", n), max(1, (n + 80) // 160)
    mirrored = np.pad(waveform.double().numpy(), (120, max(0, 160 * frames + 120 - n)), mode="symmetric")
    expected = _kaldi(torch.from_numpy(mirrored), snip_edges=True)[:frames]
    found = Filterbank()(waveform)
    assert found.shape == (frames, 40) == (Filterbank().frames(n), 40)
    torch.testing.assert_close(found.double(), expected, rtol=0, atol=2e-4)


@pytest.mark.parametrize(
    ("rate", "window", "hop", "mels"), [(8000, 200, 80, 23), (16000, 512, 320, 40), (16000, 400, 100, 80), (16000, 400, 800, 4)]
)
def test_other_rates_windows_hops_and_bands_are_kaldis_too(rate, window, hop, mels):
    waveform = _signal("noise", 20011)
    found = Filterbank(rate, window, hop, mels)(waveform)
    torch.testing.assert_close(found.double(), _kaldi(waveform, rate, window, hop, mels), rtol=0, atol=2e-4)


@pytest.mark.parametrize("n", [1, 100, 399])
def test_a_waveform_that_ends_before_the_first_frame_begins_has_one_frame_all_the_same(n):
    assert Filterbank(hop=800)(_signal("noise", n)).shape == (1, 40)


def test_of_samples_between_minus_1_and_1_values_are_those_of_16_bit_integers_less_a_constant():
    waveform = _signal("noise")
    torch.testing.assert_close(Filterbank()(waveform).double(), _kaldi(32768 * waveform) - 2 * math.log(32768), rtol=0, atol=2e-4)


def test_digital_silence_lies_beside_noise_of_one_16_bit_step_and_not_20_nat_below():
    silence, hiss = Filterbank()(torch.zeros(16000)), Filterbank()(_signal("near-silent")[34000:])
    assert torch.equal(silence, torch.full((100, 40), FLOOR))
    assert 0 < hiss.mean() - FLOOR < 4


def test_a_constant_added_to_the_sound_changes_nothing():
    waveform = _signal("noise")
    torch.testing.assert_close(Filterbank()(waveform + 0.25), Filterbank()(waveform), rtol=0, atol=1e-3)


def test_a_clip_has_the_same_bits_whatever_was_computed_before():
    bank, lengths = Filterbank(), (300, 40007, 100000, 17)
    clips = [_signal("noise", n) for n in lengths]
    alone = [Filterbank()(clip) for clip in clips]
    for order in ([0, 1, 2, 3], [3, 2, 1, 0], [2, 2, 0, 3, 1]):
        assert all(torch.equal(bank(clips[number]), alone[number]) for number in order)


def test_autocast_does_not_touch_it_and_it_leaves_its_input_alone():
    waveform = _signal("harmonic")
    before, plain = waveform.clone(), Filterbank()(waveform)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(Filterbank()(waveform), plain)
    assert torch.equal(waveform, before)


def test_samples_that_are_not_contiguous_or_not_float32_are_taken():
    waveform = _signal("noise")
    assert torch.equal(Filterbank()(waveform.double().repeat_interleave(2)[::2]), Filterbank()(waveform))


def test_a_waveform_without_samples_is_refused():
    with pytest.raises(UserError, match="without samples"):
        Filterbank()(torch.zeros(0))


@pytest.mark.parametrize("waveform", [torch.zeros(1, 600), torch.tensor(0.0), torch.zeros(600, dtype=torch.int16)])
def test_what_is_no_waveform_is_refused(waveform):
    with pytest.raises(ValueError, match=r"floating-point samples \[n\]"):
        Filterbank()(waveform)


@pytest.mark.parametrize("frames", [1, 2, 3, 4, 5, 600])
def test_deltas_are_torchaudios_with_the_first_and_last_frame_repeated(frames):
    features = torch.randn(frames, 40, generator=torch.Generator().manual_seed(0))
    expected = compute_deltas(features.double().T).T
    torch.testing.assert_close(deltas(features).double(), expected, rtol=0, atol=1e-6)


def test_the_delta_of_a_line_is_its_slope_and_that_of_a_single_frame_is_0():
    line = torch.arange(20.0)[:, None] * 0.5 + 3
    assert torch.equal(deltas(line)[2:-2], torch.full((16, 1), 0.5))
    assert torch.equal(deltas(line[:1]), torch.zeros(1, 1))
