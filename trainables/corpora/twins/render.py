"""From one recording of the script to sound: turns in time, then a room, a microphone and noise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trainables.corpora.twins.recipe import Synthesiser
from trainables.corpora.twins.speech import LEVEL, SAMPLE_RATE, speak
from trainables.corpora.twins.turns import Recording, Turn

if TYPE_CHECKING:
    import numpy as np

_ROUNDED = 6  # decimals of a time in s: finer than a sample
_BLOCK = 1 << 13  # longer than any echo
_NOISE = 1 << 16  # samples of noise that are repeated


class Renderer:
    """Makes recordings; remembers the interviewers' questions, which come again and again in the same style."""

    def __init__(self, synthesiser: Synthesiser) -> None:
        self.synthesiser = synthesiser
        self._questions: dict[tuple[str, str], np.ndarray] = {}

    def render(self, recording: Recording) -> tuple[np.ndarray, list[dict[str, Any]]]:
        """One recording.

        Returns:
            int16 [samples] at 16 kHz, and one manifest row per turn (without the recording's path).
        """
        import numpy as np

        placed, rows, end = [], [], 0
        for number, turn in enumerate(recording.turns):
            sound = self._speak(turn)
            start = max(0, end + round(turn.pause * SAMPLE_RATE))
            end = start + len(sound)
            placed.append((start, sound))
            rows.append(_row(recording, turn, number, start, end))
        wave = np.zeros(end + SAMPLE_RATE // 4, dtype="float32")
        for start, sound in placed:
            wave[start : start + len(sound)] += sound.astype("float32") / 32768
        return _in_a_room(wave, recording.seed), rows

    def _speak(self, turn: Turn) -> np.ndarray:
        if turn.talker == "subject":
            return speak(turn.text, turn.voice, turn.style, turn.seed, self.synthesiser)
        key = (turn.speaker, turn.text)
        if key not in self._questions:
            self._questions[key] = speak(turn.text, turn.voice, turn.style, turn.seed, self.synthesiser)
        return self._questions[key]


def _row(recording: Recording, turn: Turn, number: int, start: int, end: int) -> dict[str, Any]:
    return {
        "segment": f"{recording.name}_{number:03d}",
        "start": round(start / SAMPLE_RATE, _ROUNDED),
        "end": round(end / SAMPLE_RATE, _ROUNDED),
        "speaker": turn.speaker,
        "talker": turn.talker,
        "session": recording.session,
        "split": recording.split,
        "text": turn.text,
        **turn.labels,
    }


def _in_a_room(wave: np.ndarray, seed: int) -> np.ndarray:
    """Add what a room and a microphone add: reverberation, a spectral tilt, a level and noise; int16 [samples]."""
    import numpy as np

    generator = np.random.default_rng(seed)
    decay = generator.uniform(0.05, 0.2)  # s until the echo is 60 dB down
    length = round(decay * SAMPLE_RATE)
    echo = generator.standard_normal(length) * 10 ** (-3 * np.arange(length) / length)
    echo *= generator.uniform(0.1, 0.4) / np.sqrt(np.sum(echo**2))
    echo[0] = 1.0
    sound = _filtered(wave, np.fft.rfft(echo, 2 * _BLOCK) * _tilt(generator.uniform(-0.25, 0.25), 2 * _BLOCK))
    hiss = np.fft.irfft(np.fft.rfft(generator.standard_normal(_NOISE)) * _tilt(0.9, _NOISE), _NOISE)
    below = generator.uniform(28, 40)  # dB between neutral speech and noise
    # Not relative to this recording's speech: the noise in an interviewer's turns would then tell how loud the subject is.
    hiss *= LEVEL / np.sqrt(np.mean(hiss**2)) * 10 ** (-below / 20)
    sound += np.resize(hiss, len(wave))
    sound *= 10 ** (generator.normal(0.0, 1.5) / 20)
    return np.round(np.clip(sound, -0.999, 0.999) * 32767).astype("<i2")


def _tilt(pole: float, size: int) -> np.ndarray:
    """Frequency response of a one-pole filter with unit gain at 0 Hz; complex [size / 2 + 1]."""
    import numpy as np

    return (1 - pole) / (1 - pole * np.exp(-2j * np.pi * np.arange(size // 2 + 1) / size))


def _filtered(wave: np.ndarray, response: np.ndarray) -> np.ndarray:
    """Filter by overlap-add: ``response`` is complex [block + 1], of an impulse response that is no longer than a block.

    scipy.signal has this too, but would make the process larger, and with it every fork that espeak-ng needs slower.
    """
    import numpy as np

    blocks = -(-len(wave) // _BLOCK)
    padded = np.zeros(blocks * _BLOCK, dtype=wave.dtype)
    padded[: len(wave)] = wave
    pieces = np.fft.irfft(np.fft.rfft(padded.reshape(blocks, _BLOCK), 2 * _BLOCK) * response, 2 * _BLOCK)
    whole = np.zeros((blocks + 1, _BLOCK))
    whole[:-1] += pieces[:, :_BLOCK]
    whole[1:] += pieces[:, _BLOCK:]
    return whole.reshape(-1)[: len(wave)]
