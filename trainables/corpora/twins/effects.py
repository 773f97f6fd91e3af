"""What is planted in the twins, as data: how emotion and depression change a voice and its words, and how they hang together.

Directions follow the findings that such corpora are collected for: positive speech is faster, higher, wider in pitch, louder;
depressed speech is slower, flatter, quieter and pauses more (Cummins et al., Speech Communication 71, 2015), its words turn to
the self and to absolutes (Al-Mosaiwi and Johnstone, Clinical Psychological Science 6, 2018), and it is more often negative.

In the dialogues a category acts on the voice through two dimensions. Valence acts as in the monologues, so that what is learnt
there helps here; activation makes speech louder and faster with fewer pauses, more than it moves the pitch (Scherer, Speech
Communication 40, 2003: anger and joy share loudness and rate). The two together, and neither alone, tell anger
from sadness and both from happiness, as they do in IEMOCAP. The categories act on the words as well. The podcasts are made the same
way; in the acted sentences dominance acts too.

Sizes are ours: speakers differ as much as the classes do, so that a linear model on log-mel statistics is clearly above
chance and well below perfect (test_twins_learnable holds it there).
"""

from __future__ import annotations

from typing import ClassVar, Self

from pydantic import BaseModel, Field


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


class VoiceEffects(BaseModel, frozen=True, extra="forbid"):
    """What all twins have.

    Attributes:
        valence: Shift of a turn of valence +1 (valence runs from -1 to 1; a negative one shifts the other way).
        labelled: Whether an utterance's emotion label is the emotion that it was spoken with; else the label is a second,
            independent draw, and so says nothing of the words either. For a diagnosis: whether a voice has the same in all
            seeds. True is left out of the dump: twins that were made before there was a choice keep their digest.
        speaker_scatter: Standard deviation of a speaker's own shift, all classes alike.
        turn_scatter: Standard deviation of a turn's own shift.
    """

    switches: ClassVar[tuple[str, ...]] = ()
    """Fields that corpora.toml may set."""

    valence: Shift = Shift(rate=0.16, pitch=2.4, range=0.5, volume=4.0, gap=-0.9)
    labelled: bool = Field(default=True, exclude_if=bool)
    speaker_scatter: Shift = Shift(rate=0.1, pitch=1.8, range=0.25, volume=2.0, gap=0.4)
    turn_scatter: Shift = Shift(rate=0.05, pitch=0.7, range=0.12, volume=1.0, gap=0.3)


class Effects(VoiceEffects, frozen=True):
    """Everything planted in the interviews and the monologues.

    Attributes:
        depression: Shift of every turn of a depressed subject, whatever its valence.
        depressed_odds: Valence of a depressed subject's turns.
        healthy_odds: Valence of a healthy subject's turns.
        depressed_words: Probability that a turn's sentence comes from the depressed style (first person, absolutes).
        healthy_words: The same for a healthy subject.
        depressed_latency: How much longer a depressed subject waits before answering (factor).
    """

    depression: Shift = Shift(rate=-0.06, pitch=-0.4, range=-0.15, volume=-1.0, gap=0.8)
    depressed_odds: ValenceOdds = ValenceOdds(negative=0.7, positive=0.2)
    healthy_odds: ValenceOdds = ValenceOdds(negative=0.2, positive=0.7)
    depressed_words: float = 0.4
    healthy_words: float = 0.1
    depressed_latency: float = 1.4

    @classmethod
    def nothing(cls) -> Self:
        """Nothing planted: both classes alike, the mean of the two; the scatter stays."""
        odds = ValenceOdds(negative=0.45, positive=0.45)
        return cls(
            valence=Shift(),
            labelled=False,
            depression=Shift(),
            depressed_odds=odds,
            healthy_odds=odds,
            depressed_words=0.25,
            healthy_words=0.25,
            depressed_latency=1.0,
        )


class EmotionEffects(VoiceEffects, frozen=True):
    """Everything planted in the dialogues.

    Attributes:
        activation: Shift of a turn of activation +1 (activation runs from -1 to 1, as valence does).
        emotional_words: Probability that a sentence comes from the category's own; else it is a neutral one.
    """

    activation: Shift = Shift(rate=0.12, pitch=0.8, range=0.1, volume=7.0, gap=-0.6)
    emotional_words: float = 0.7

    @classmethod
    def nothing(cls) -> Self:
        """Nothing planted: no category changes the voice, and labels are drawn apart from the words; the scatter stays."""
        return cls(valence=Shift(), activation=Shift(), labelled=False)


class Reaction(BaseModel, frozen=True, extra="forbid"):
    """Valence, from -1 to 1, with which somebody speaks who was given positive, neutral or negative material."""

    positive: float
    neutral: float
    negative: float


class TaskEffects(VoiceEffects, frozen=True):
    """Everything planted in the spoken tasks.

    Directions follow the findings that the corpus was made for: depressed subjects react less to positive material and more to
    negative material, which therefore tells the groups apart best, and one's own words show more of it than what is read (Lu et
    al., ``cbam_resnet``, section 5.2 and Table 5).

    Attributes:
        depression: Shift of what a depressed subject of a BDI-II score of 20 says in own words; it grows with the score.
        healthy_reaction: Of a healthy subject.
        depressed_reaction: Of a depressed subject.
        read_share: How much of depression and reaction shows where a text is read.
        depressed_words: Probability that a sentence in own words comes from the depressed style.
        healthy_words: The same for a healthy subject.
        depressed_latency: How much longer a depressed subject waits between two answers (factor).
    """

    depression: Shift = Shift(rate=-0.09, pitch=-0.6, range=-0.25, volume=-1.9, gap=0.9)
    healthy_reaction: Reaction = Reaction(positive=0.7, neutral=0.1, negative=-0.2)
    depressed_reaction: Reaction = Reaction(positive=0.2, neutral=-0.2, negative=-1.0)
    read_share: float = 0.5
    depressed_words: float = 0.4
    healthy_words: float = 0.1
    depressed_latency: float = 1.4

    @classmethod
    def nothing(cls) -> Self:
        """Nothing planted: both groups alike, the mean of the two; the scatter stays."""
        alike = Reaction(positive=0.45, neutral=-0.05, negative=-0.6)
        return cls(
            valence=Shift(),
            labelled=False,
            depression=Shift(),
            healthy_reaction=alike,
            depressed_reaction=alike,
            depressed_words=0.25,
            healthy_words=0.25,
            depressed_latency=1.0,
        )


class PodcastEffects(EmotionEffects, frozen=True):
    """Everything planted in the podcasts. Activation shows most, as it does in MSP-Podcast.

    Attributes:
        dominance: Shift of a turn of dominance +1: lower and louder.
    """

    activation: Shift = Shift(rate=0.16, pitch=1.2, range=0.15, volume=9.0, gap=-0.8)
    dominance: Shift = Shift(rate=-0.06, pitch=-1.8, range=0.2, volume=2.0)

    @classmethod
    def nothing(cls) -> Self:
        """Nothing planted: no category changes the voice, and labels are drawn apart from the words; the scatter stays."""
        return cls(valence=Shift(), activation=Shift(), dominance=Shift(), labelled=False)


class ActedEffects(VoiceEffects, frozen=True):
    """Everything planted in the acted sentences, whose words say nothing: emotions are in the voice alone, and exaggerated.

    Attributes:
        activation: Shift of a sentence of activation +1.
        dominance: Shift of a sentence of dominance +1: lower and louder, which tells anger from fear.
    """

    valence: Shift = Shift(rate=0.22, pitch=3.6, range=0.7, volume=5.0, gap=-1.2)
    activation: Shift = Shift(rate=0.2, pitch=1.4, range=0.2, volume=10.0, gap=-1.0)
    dominance: Shift = Shift(rate=-0.1, pitch=-3.6, range=0.4, volume=4.0)
    speaker_scatter: Shift = Shift(rate=0.05, pitch=0.9, range=0.12, volume=1.0, gap=0.2)

    @classmethod
    def nothing(cls) -> Self:
        """Nothing planted: no emotion changes the voice; the scatter stays."""
        return cls(valence=Shift(), activation=Shift(), dominance=Shift(), labelled=False)


class ReadingEffects(VoiceEffects, frozen=True):
    """Everything planted in the readings. There are no labels; what is planted is that readers are not monotonous, and vary in
    the same two ways as the emotional twins, so that what is learnt from these recordings can help there.

    Attributes:
        activation: Shift of an utterance of activation +1.
        liveliness: Standard deviation of an utterance's valence and activation.
    """

    activation: Shift = Shift(rate=0.12, pitch=0.8, range=0.1, volume=7.0, gap=-0.6)
    liveliness: float = 0.5

    @classmethod
    def nothing(cls) -> Self:
        """Nothing planted: readers are monotonous; the scatter stays."""
        return cls(valence=Shift(), activation=Shift(), liveliness=0.0)
