"""One door to both synthesisers: a text in a voice and a style becomes int16 at 16 kHz."""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING

from trainables.corpora.twins import espeak, formant
from trainables.corpora.twins.effects import Shift
from trainables.corpora.twins.recipe import Synthesiser
from trainables.corpora.twins.voices import Voice

if TYPE_CHECKING:
    import numpy as np

SAMPLE_RATE = 16000
"""Of all twins, Hz."""

LEVEL = 0.06
"""Root mean square of a neutral turn, of full scale: a normal distance to the microphone."""

_WORDS_PER_MINUTE = 170
_UNITS_PER_SEMITONE = 4.0  # espeak-ng's pitch runs from 0 to 100 over about two octaves


@functools.cache
def best_synthesiser() -> Synthesiser:
    """espeak-ng where its optional package is installed and loads, else the built-in formant synthesiser."""
    version = espeak.installed_version()
    if version is None:
        return Synthesiser(name="formant", version=formant.VERSION)
    return Synthesiser(name="espeak-ng", version=version)


def speak(text: str, voice: Voice, style: Shift, seed: int, synthesiser: Synthesiser) -> np.ndarray:
    """Speak a text: the same bytes for the same arguments, in any process.

    Args:
        text: What to say.
        voice: Who says it.
        style: How, relative to the voice.
        seed: Of the formant synthesiser's noise and accents, and of the noise in espeak-ng's breathy voices.
        synthesiser: Who speaks; espeak-ng forks, so ask it in a process that runs one thread.

    Returns:
        int16 [samples] at 16 kHz, without silence around it, at a level that follows ``style.volume``.
    """
    import numpy as np

    rate, semitones, spread = math.exp(voice.rate + style.rate), voice.pitch + style.pitch, math.exp(style.range)
    # Played faster, formants and pitch rise alike; rate and pitch are set so that they end where they should.
    faster = 2 ** (voice.tract / 12)
    rate, semitones = rate / faster, semitones - voice.tract
    if synthesiser.name == "espeak-ng":
        sound = espeak.synthesise(
            text,
            voice.accent,
            voice.variant,
            rate=_clamp(_WORDS_PER_MINUTE * rate, 80, 450),
            pitch=_clamp(50 + _UNITS_PER_SEMITONE * semitones, 0, 100),
            pitch_range=_clamp(50 * spread, 0, 100),
            gap=_clamp(1 + style.gap, 0, 50),
            seed=seed,
        )
    else:
        identity = f"{voice.accent}+{voice.variant}"
        sound = formant.synthesise(text, identity, voice.gender, rate, semitones, spread, 0.01 * (1 + style.gap), seed)
    wave = _resampled(sound, faster * (espeak.SAMPLE_RATE if synthesiser.name == "espeak-ng" else formant.SAMPLE_RATE))
    return np.round(_at_level(_trimmed(wave), LEVEL * 10 ** (style.volume / 20)) * 32767).astype("<i2")


def _resampled(sound: np.ndarray, rate: float) -> np.ndarray:
    import soxr

    wave = sound.astype("float32") / 32768
    return wave if rate == SAMPLE_RATE else soxr.resample(wave, rate, SAMPLE_RATE, quality="HQ")


def _trimmed(wave: np.ndarray) -> np.ndarray:
    """Without what is more than 40 dB below the peak at both ends."""
    import numpy as np

    loud = np.flatnonzero(np.abs(wave) > 0.01 * np.abs(wave).max())
    return wave[loud[0] : loud[-1] + 1]


def _at_level(wave: np.ndarray, level: float) -> np.ndarray:
    """Scaled to a root mean square, or less where the peak would leave full scale."""
    import numpy as np

    gain = level / np.sqrt(np.mean(wave**2))
    return wave * min(gain, 0.9 / np.abs(wave).max())


def _clamp(value: float, lowest: int, highest: int) -> int:
    return min(highest, max(lowest, round(value)))
