"""Contract of trainables/features/silence.py."""

from __future__ import annotations

import numpy as np
import pytest

from trainables.features.silence import spoken_spans

RATE = 16000
HALF_A_FRAME = 1024
NEAR = (HALF_A_FRAME + 512) / RATE
"""Half a frame and a hop, s: how near the edges are found."""


def sound(*parts: tuple[float, float], seed: int = 0) -> np.ndarray:
    """Noise of these lengths (s) and amplitudes, one after the other, float32."""
    rng = np.random.default_rng(seed)
    return np.concatenate([level * rng.standard_normal(round(RATE * seconds)) for seconds, level in parts]).astype(np.float32)


def edges(samples: np.ndarray, silent_db: float = 40.0, pause: float = 0.5) -> list[float]:
    """All edges of the spans, s."""
    return [edge / RATE for span in spoken_spans(samples, RATE, silent_db, pause) for edge in span]


def test_a_long_silence_is_cut_out_and_a_pause_stays():
    spans = edges(sound((1.0, 0.1), (0.3, 0.0), (1.0, 0.1), (2.0, 0.0), (1.0, 0.1)))
    assert spans == pytest.approx([0.0, 2.3, 4.3, 5.3], abs=NEAR)
    assert spans[0] == 0.0
    assert spans[-1] == 5.3


def test_a_silence_at_either_end_is_treated_alike():
    assert edges(sound((2.0, 0.0), (1.0, 0.1), (2.0, 0.0))) == pytest.approx([2.0, 3.0], abs=NEAR)
    assert edges(sound((0.4, 0.0), (1.0, 0.1), (0.4, 0.0))) == [0.0, 1.8]


def test_speech_at_the_edges_of_a_span_is_never_cut_off():
    first, last = edges(sound((2.0, 0.0), (1.0, 0.1), (2.0, 0.0)))
    assert first <= 2.0
    assert last >= 3.0


@pytest.mark.parametrize(("level_db", "left"), [(-35.0, 3.0), (-45.0, 2.0)])
def test_silent_is_what_lies_so_far_below_the_loudest_frame(level_db, left):
    spans = edges(sound((1.0, 0.1), (1.0, 0.1 * 10 ** (level_db / 20)), (1.0, 0.1)))
    assert sum(spans[1::2]) - sum(spans[::2]) == pytest.approx(left, abs=2 * NEAR)


def test_gain_does_not_matter():
    samples = sound((1.0, 0.1), (1.0, 0.0004), (1.0, 0.1), (2.0, 0.0001))
    assert edges(samples) == edges(samples / 16)


@pytest.mark.parametrize("pause", [0.0, 0.1, 0.3])
@pytest.mark.parametrize("seed", range(4))
def test_it_is_what_a_loop_over_frames_finds(seed, pause):
    rng = np.random.default_rng(seed)
    samples = sound(*((rng.uniform(0.05, 0.6), 10 ** rng.uniform(-5, -1)) for _ in range(12)), seed=seed)
    assert spoken_spans(samples, RATE, 30.0, pause) == by_loop(samples, 30.0, pause)


def by_loop(samples: np.ndarray, silent_db: float, pause: float) -> list[tuple[int, int]]:
    padded = np.pad(samples.astype(np.float64), HALF_A_FRAME)
    starts = range(0, len(padded) - 2047, 512)
    power = [np.mean(padded[start : start + 2048] ** 2) for start in starts]
    kept = np.zeros(len(samples), dtype=bool)
    for start, value in zip(starts, power, strict=True):
        kept[start : start + 512] = 10 * np.log10(value / max(power)) > -silent_db  # a frame stands for the hop after its centre
    silence = 0
    for position in range(len(samples) + 1):
        if position < len(samples) and not kept[position]:
            silence += 1
            continue
        if silence <= pause * RATE:
            kept[position - silence : position] = True
        silence = 0
    changes = np.flatnonzero(np.diff(np.concatenate([[0], kept, [0]])))
    return list(zip(changes[::2].tolist(), changes[1::2].tolist(), strict=True))


@pytest.mark.parametrize("samples", [np.zeros(0), np.zeros(100), np.zeros(32000), np.full(32000, 1e-5)])
def test_nothing_is_left_of_digital_silence(samples):
    assert spoken_spans(samples.astype(np.float32), RATE, 40.0, 0.5) == []


def test_a_recording_shorter_than_a_frame_stays_whole():
    assert spoken_spans(sound((0.02, 0.1)), RATE, 40.0, 0.5) == [(0, 320)]
