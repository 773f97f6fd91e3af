"""What is planted in the twins, as data: how valence and depression change a voice, and how they hang together.

Directions follow the findings that such corpora are collected for: positive speech is faster, higher, wider in pitch, louder;
depressed speech is slower, flatter, quieter and pauses more (Cummins et al., Speech Communication 71, 2015), its words turn to
the self and to absolutes (Al-Mosaiwi and Johnstone, Clinical Psychological Science 6, 2018), and it is more often negative.
Sizes are ours: speakers differ as much as the classes do, so that a linear model on log-mel statistics is clearly above
chance and well below perfect (test_twins_learnable holds it there).
"""

from __future__ import annotations

from pydantic import BaseModel


class Shift(BaseModel, frozen=True, extra="forbid"):
    """A change of a voice; shifts add up.

    Attributes:
        rate: Speaking rate, natural logarithm.
        pitch: Fundamental frequency, semitones.
        range: Pitch range, natural logarithm.
        volume: Level, dB.
        gap: Pause between words, 10 ms.
    """

    rate: float = 0.0
    pitch: float = 0.0
    range: float = 0.0
    volume: float = 0.0
    gap: float = 0.0

    def __add__(self, other: Shift) -> Shift:
        return Shift(**{name: value + getattr(other, name) for name, value in self})

    def scaled(self, factor: float) -> Shift:
        """The same change, ``factor`` times as large."""
        return Shift(**{name: factor * value for name, value in self})


class ValenceOdds(BaseModel, frozen=True, extra="forbid"):
    """Probabilities that a turn is negative or positive; otherwise it is neutral."""

    negative: float
    positive: float


class Effects(BaseModel, frozen=True, extra="forbid"):
    """Everything planted.

    Attributes:
        valence: Shift of a turn of valence +1 (valence runs from -1 to 1; a negative one shifts the other way).
        depression: Shift of every turn of a depressed subject, whatever its valence.
        depressed_odds: Valence of a depressed subject's turns.
        healthy_odds: Valence of a healthy subject's turns.
        depressed_words: Probability that a turn's sentence comes from the depressed style (first person, absolutes).
        healthy_words: The same for a healthy subject.
        depressed_latency: How much longer a depressed subject waits before answering (factor).
        speaker_scatter: Standard deviation of a speaker's own shift, both classes alike.
        turn_scatter: Standard deviation of a turn's own shift.
    """

    valence: Shift = Shift(rate=0.16, pitch=2.4, range=0.5, volume=4.0, gap=-0.9)
    depression: Shift = Shift(rate=-0.06, pitch=-0.4, range=-0.15, volume=-1.0, gap=0.8)
    depressed_odds: ValenceOdds = ValenceOdds(negative=0.7, positive=0.2)
    healthy_odds: ValenceOdds = ValenceOdds(negative=0.2, positive=0.7)
    depressed_words: float = 0.4
    healthy_words: float = 0.1
    depressed_latency: float = 1.4
    speaker_scatter: Shift = Shift(rate=0.1, pitch=1.8, range=0.25, volume=2.0, gap=0.4)
    turn_scatter: Shift = Shift(rate=0.05, pitch=0.7, range=0.12, volume=1.0, gap=0.3)
