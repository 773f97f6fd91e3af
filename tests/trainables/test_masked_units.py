"""Contract of trainables/masked_units.py."""

import numpy as np
import pytest
import torch

from trainables.masked_units import HOP, WINDOW, cepstra, fit_units, masked_spans, nearest_unit, samples_of


def test_cepstra_are_the_cosine_transform_of_kaldis_mel_energies_with_both_derivatives():
    """Independently formulated: lifted as Kaldi does, derivatives by regression over two frames on either side."""
    from scipy.fft import dct
    from torchaudio.compliance.kaldi import fbank

    samples = torch.randn(samples_of(30), generator=torch.Generator().manual_seed(0)) * 0.1
    energies = fbank(samples[None], num_mel_bins=23).double().numpy()
    lifter = 1 + 11 * np.sin(np.pi * np.arange(13) / 22)
    static = dct(energies, norm="ortho", axis=1)[:, :13] * lifter

    def derivative(values):
        padded = np.pad(values, ((2, 2), (0, 0)), mode="edge")
        return sum(k * (padded[2 + k : len(values) + 2 + k] - padded[2 - k : len(values) + 2 - k]) for k in (1, 2)) / 10

    expected = np.concatenate([static, derivative(static), derivative(derivative(static))], axis=1)[::2]
    found = cepstra(samples)
    assert found.shape == (30, 39)
    np.testing.assert_allclose(found.numpy(), expected, atol=2e-3)


@pytest.mark.parametrize("samples", [WINDOW, WINDOW + HOP - 1, WINDOW + HOP, 16000])
def test_there_are_as_many_cepstra_as_frames_of_the_encoder(samples):
    frames = samples
    for kernel, stride in ((10, 5), (3, 2), (3, 2), (3, 2), (3, 2), (2, 2), (2, 2)):
        frames = (frames - kernel) // stride + 1
    assert len(cepstra(torch.randn(samples))) == frames
    assert samples_of(frames) <= samples < samples_of(frames + 1)


def test_a_click_tells_in_the_frames_that_hear_it_and_in_their_neighbours_derivatives_alone():
    noise = torch.randn(samples_of(40), generator=torch.Generator().manual_seed(0)) * 0.01
    click = noise.clone()
    click[20 * HOP + WINDOW // 2] += 1.0
    static, whole = ((cepstra(click) - cepstra(noise)).abs()[:, part].amax(dim=1) > 1e-3 for part in (slice(13), slice(39)))
    assert static.nonzero().flatten().tolist() == [20]
    assert set(whole.nonzero().flatten().tolist()) <= set(range(17, 24))


def test_clusters_that_lie_apart_are_found_and_every_frame_has_its_nearest():
    random = np.random.default_rng(0)
    places = random.normal(0, 30, (6, 39))
    truth = random.integers(6, size=2000)
    frames = (places[truth] + random.normal(0, 1, (2000, 39))).astype(np.float32)
    centres = fit_units(frames, 6, seed=3)
    units = nearest_unit(torch.from_numpy(frames), centres).numpy()
    assert {(a, b) for a, b in zip(truth, units, strict=True)} == {(a, units[truth == a][0]) for a in range(6)}
    distances = ((frames[:, None] - centres.numpy()) ** 2).sum(axis=2)
    np.testing.assert_array_equal(units, distances.argmin(axis=1))


def test_units_depend_on_the_seed_and_on_nothing_else():
    frames = np.random.default_rng(0).normal(size=(500, 39)).astype(np.float32)
    one, again, other = fit_units(frames, 8, 1), fit_units(frames, 8, 1), fit_units(frames, 8, 2)
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


def spans(frames, probability, span, seed):
    return masked_spans(frames, probability, span, torch.Generator().manual_seed(seed))


def test_masked_frames_are_spans_wholly_inside():
    for seed in range(50):
        masked = spans(57, 0.03, 10, seed)
        runs = "".join("x" if frame else " " for frame in masked.tolist()).split()
        assert masked.shape == (57,)
        assert runs
        assert min(len(run) for run in runs) >= 10


def test_as_many_spans_begin_as_the_probability_says_on_average():
    """Spans of one frame cannot overlap, as their begins are distinct: each masked frame is a begin."""
    counts = [int(spans(100, 0.083, 1, seed).sum()) for seed in range(600)]
    assert set(counts) == {8, 9}
    assert np.mean(counts) == pytest.approx(8.3, abs=0.06)


def test_about_half_of_the_frames_are_masked_by_huberts_settings():
    """Begins are spread evenly: a frame is unmasked if none of the 10 places whose span reaches it begins one, (1 - 0.08)^10."""
    share = np.mean([spans(2000, 0.08, 10, seed).float().mean().item() for seed in range(20)])
    assert share == pytest.approx(1 - 0.92**10, abs=0.01)


def test_something_is_masked_however_short_the_crop():
    assert [int(spans(10, 0.001, 10, seed).sum()) for seed in range(5)] == [10] * 5


def test_masks_depend_on_the_generator_alone():
    assert torch.equal(spans(80, 0.08, 10, 4), spans(80, 0.08, 10, 4))
    assert not torch.equal(spans(80, 0.08, 10, 4), spans(80, 0.08, 10, 5))
