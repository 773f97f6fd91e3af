"""What a script is made of: turns, recordings, and what all kinds of conversation need to write them."""

from __future__ import annotations

import math
import random

from pydantic import BaseModel

from trainables.corpora.twins import sentences
from trainables.corpora.twins.effects import Shift
from trainables.corpora.twins.voices import Voice

CHARACTER_SECONDS = 0.06
"""Of a voice at its neutral rate; this and the next fitted to espeak-ng, to within 0.4 s a turn."""

_GAP_SECONDS = 0.022  # per word and unit of a style's gap


class Turn(BaseModel, frozen=True):
    """One segment to be spoken.

    Attributes:
        speaker: Name in the manifest.
        talker: 'subject' or 'interviewer'.
        text: What is said.
        voice: Who says it.
        style: How, relative to the voice.
        seed: Of the synthesiser's own randomness.
        pause: Silence before it, s; negative where it begins before the last turn has ended.
        labels: Label columns of its manifest row.
    """

    speaker: str
    talker: str
    text: str
    voice: Voice
    style: Shift
    seed: int
    pause: float
    labels: dict[str, int | float | str]


class Recording(BaseModel, frozen=True):
    """One file to be made: its turns in order, and the seed of its room, microphone and noise."""

    name: str
    session: str
    split: str
    seed: int
    turns: tuple[Turn, ...]


def templates(valence: float) -> list[str]:
    """Sentences of a valence's sign."""
    if valence == 0:
        return sentences.NEUTRAL
    return sentences.POSITIVE if valence > 0 else sentences.NEGATIVE


def scatter(sizes: Shift, generator: random.Random) -> Shift:
    """A normal draw; ``sizes`` are its standard deviations."""
    return Shift(**{name: generator.gauss(0.0, size) for name, size in sizes})


def planned_seconds(text: str, voice: Voice, style: Shift) -> float:
    """About how long it takes to say a text, s."""
    speed = math.exp(voice.rate + style.rate)
    return CHARACTER_SECONDS * len(text) / speed + _GAP_SECONDS * len(text.split()) * max(-1.0, style.gap)
