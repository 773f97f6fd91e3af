"""A small source-filter synthesiser in numpy, for machines where espeak-ng cannot be had.

Letters stand for sounds: a pulse train with a falling pitch contour and an accent on every word passes three vowel resonances,
noise passes one resonance for the consonants (source-filter model: Fant, Acoustic Theory of Speech Production, 1960;
resonators: Klatt, JASA 67, 1980). Nobody will take it for a person, but rate, pitch, pitch range and pauses are where a
style puts them.
"""

from __future__ import annotations

import re
import zlib
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np

VERSION = "1"
"""Raise it when the sound changes."""

SAMPLE_RATE = 16000
"""Of what is made here, Hz."""


class Sound(NamedTuple):
    """A letter's sound: resonances in Hz, duration in s at 170 words/min, shares of voice and noise, closed at first."""

    formants: tuple[float, ...]
    seconds: float
    voiced: float
    noise: float
    closed: bool = False


_VOWELS = {
    "a": (700, 1220, 2600),
    "e": (530, 1840, 2480),
    "i": (390, 1990, 2550),
    "o": (570, 840, 2410),
    "u": (440, 1020, 2240),
    "y": (300, 2200, 2900),
}
_SOUNDS = (
    {letter: Sound(formants, 0.095, 1.0, 0.02) for letter, formants in _VOWELS.items()}
    | {letter: Sound((280, 1100 + 150 * n, 2300), 0.06, 0.55, 0.01) for n, letter in enumerate("lmnrw")}
    | {letter: Sound((300, 1600, 2500), 0.05, 0.45, 0.35) for letter in "jvz"}
    | {letter: Sound((centre,), 0.075, 0.0, 0.5) for letter, centre in zip("fhsxc", (2800, 1200, 4800, 4200, 3600), strict=True)}
    | {
        letter: Sound((centre, 2600), 0.06, 0.15, 0.6, True)
        for letter, centre in zip("bdgkpqt", range(800, 4300, 500), strict=True)
    }
)
_BANDWIDTHS = (70.0, 110.0, 170.0)
_BASE_HZ = {"female": 195.0, "male": 110.0}
_TRACT = {"female": 1.16, "male": 1.0}


def synthesise(
    text: str, identity: str, gender: str, speed: float, semitones: float, pitch_range: float, gap: float, seed: int
) -> np.ndarray:
    """Speak a text.

    Args:
        text: What to say; letters are spoken, everything else is a pause.
        identity: Name of the voice: sets the length of its vocal tract.
        gender: 'female' or 'male'.
        speed: Factor of the speaking rate; 1 is neutral.
        semitones: Shift of the fundamental frequency.
        pitch_range: Factor of the pitch movements; 1 is neutral, 0 is flat.
        gap: Additional pause between words, s.
        seed: Of the pitch accents and the noise.

    Returns:
        int16 [samples] at :data:`SAMPLE_RATE`.
    """
    import numpy as np

    generator = np.random.default_rng(seed)
    tract = _TRACT[gender] * (0.92 + 0.16 * (zlib.crc32(identity.encode()) % 1000) / 1000)
    words = re.findall(r"[a-z]+", text.lower())
    lengths = [[max(80, round(_SOUNDS[letter].seconds / speed * SAMPLE_RATE)) for letter in word] for word in words]
    pause = round((0.03 / speed + max(0.0, gap)) * SAMPLE_RATE)
    total = sum(map(sum, lengths)) + pause * len(words)
    contour = _contour([sum(word) + pause for word in lengths], pitch_range, generator)
    pulses = _pulses(_BASE_HZ[gender] * 2 ** ((semitones + contour) / 12), generator)
    hiss = generator.standard_normal(total)
    sound = np.zeros(total)
    at = 0
    for word, spans in zip(words, lengths, strict=True):
        for letter, length in zip(word, spans, strict=True):
            sound[at : at + length] = _shape(_SOUNDS[letter], pulses[at : at + length], hiss[at : at + length], tract)
            at += length
        at += pause
    return np.round(sound / np.abs(sound).max() * 20000).astype("<i2")


def _contour(word_lengths: list[int], pitch_range: float, generator: np.random.Generator) -> np.ndarray:
    """Semitones over time: a fall of 4 over the sentence and a hump of about 3 on every word, times the range."""
    import numpy as np

    total = sum(word_lengths)
    humps = [generator.uniform(1.5, 4.5) * np.hanning(length) for length in word_lengths]
    return pitch_range * (np.linspace(2.0, -2.0, total) + np.concatenate(humps))


def _pulses(hertz: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Glottal flow derivative: one smooth negative pulse per period (12 dB/octave slope), slightly irregular in strength."""
    import numpy as np

    phase = np.cumsum(hertz / SAMPLE_RATE)
    periods = np.floor(phase).astype(int)
    position = phase - periods
    strength = 1 + 0.05 * generator.standard_normal(periods[-1] + 1)
    # Rosenberg (JASA 49, 1971): opening 40 % of the period, closing 16 %, here differentiated.
    opening = np.sin(np.pi * position / 0.4) * (position < 0.4)
    closing = -2.5 * np.sin(np.pi / 2 * (position - 0.4) / 0.16) * ((position >= 0.4) & (position < 0.56))
    return (opening + closing) * strength[periods]


def _shape(sound: Sound, pulses: np.ndarray, hiss: np.ndarray, tract: float) -> np.ndarray:
    """Filter the sources by the sound's resonances, in cascade, and fade both ends."""
    import numpy as np
    from scipy.signal import lfilter

    wave = sound.voiced * pulses + sound.noise * 0.3 * hiss
    for formant, bandwidth in zip(sound.formants, _BANDWIDTHS, strict=False):
        # Klatt (1980), equation (2): a digital resonator with unit gain at 0 Hz.
        radius = np.exp(-np.pi * bandwidth * (1 if sound.voiced > 0.4 else 5) / SAMPLE_RATE)
        b, c = 2 * radius * np.cos(2 * np.pi * formant * tract / SAMPLE_RATE), -(radius**2)
        wave = lfilter([1 - b - c], [1, -b, -c], wave)
    fade = min(len(wave) // 4, 120)
    ramp = np.linspace(0, 1, fade)
    wave[:fade] *= ramp
    wave[len(wave) - fade :] *= ramp[::-1]
    if sound.closed:
        wave[: len(wave) // 2] = 0
    return wave
