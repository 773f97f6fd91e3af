"""What is planted in the screening interviews: the weather (emotions, turn by turn) and, if asked for, the climate itself.

After the paper ``climate_and_weather``: depressed participants express negative emotion more often, their words say it more clearly
than their voices, and some speak happily of sad things (section 4, the case studies). A lasting manner, which would tell the
diagnosis without any emotion, is off. Sizes are ours.

Emotions act on voice and words as in the dialogues and the monologues, so that what is learnt there is recognised here. A small
training set hears and reads the same turns, but cannot learn what is emotion in them: the wordings are many, each participant has
few of them, and topics and voices differ more than the diagnoses do.
"""

from __future__ import annotations

import random
from typing import ClassVar, Self

from pydantic import BaseModel, Field

from trainables.corpora.twins.effects import EmotionEffects, Shift, VoiceEffects

_Share = Field(ge=0, le=1)


class EmotionShares(BaseModel, frozen=True, extra="forbid"):
    """How often a group's turns have each emotion, in IEMOCAP's codes; the shares add up to 1."""

    ang: float = _Share
    fru: float = _Share
    sad: float = _Share
    neu: float = _Share
    hap: float = _Share
    exc: float = _Share

    def draw(self, generator: random.Random) -> str:
        """One turn's emotion."""
        shares = self.model_dump()
        return generator.choices(list(shares), list(shares.values()))[0]

    def midway(self, other: EmotionShares) -> EmotionShares:
        """The mean of two groups' shares."""
        return EmotionShares(**{name: (share + getattr(other, name)) / 2 for name, share in self})


class ClinicalEffects(VoiceEffects, frozen=True):
    """Everything planted in the screening interviews; three switches, and what they switch.

    Attributes:
        weather: Whether a turn's emotion depends on the diagnosis; if not, all are drawn from the mean of both groups.
        direct: Whether depression changes voice, words and latency of every turn, whatever its emotion.
        probes: Whether the interviewer asks the depressed about it more often. That is the trap of DAIC-WOZ (Burdisso et al.,
            arXiv 2404.14463): a model of the interviewer's prompts alone finds the diagnosis.
        activation: Shift of a turn of activation +1, as in the dialogues.
        depressed_emotions: Emotions of a depressed participant's turns.
        healthy_emotions: The same of a healthy participant.
        in_words: Probability that a turn's emotion is put into words; else the words are small talk.
        in_voice: Probability that it is heard; else the voice is neutral.
        masked: Share of the depressed participants whose voices are a healthy participant's, whatever their words say.
        depression: With ``direct``, shift of every turn of a depressed participant of a PHQ-8 score of 15; it grows with the score.
        depressed_words: With ``direct``, probability that a depressed participant's turn is of the depressed style.
        depressed_latency: With ``direct``, how much longer a depressed participant waits before answering (factor).
        depressed_probes: Probability that a prompt is about depression, if the participant is depressed.
        healthy_probes: The same for a healthy participant.
        speaker_scatter: Larger than in the other twins: a voice's own pitch and level say nothing of the diagnosis.
    """

    switches: ClassVar[tuple[str, ...]] = ("weather", "direct", "probes")

    weather: bool = True
    direct: bool = False
    probes: bool = True
    activation: Shift = EmotionEffects().activation
    depressed_emotions: EmotionShares = EmotionShares(ang=0.11, fru=0.17, sad=0.3, neu=0.3, hap=0.08, exc=0.04)
    healthy_emotions: EmotionShares = EmotionShares(ang=0.03, fru=0.06, sad=0.07, neu=0.3, hap=0.34, exc=0.2)
    in_words: float = 0.75
    in_voice: float = 0.75
    masked: float = 0.15
    depression: Shift = Shift(rate=-0.1, pitch=-0.8, range=-0.3, volume=-2.0, gap=1.2)
    depressed_words: float = 0.4
    depressed_latency: float = 1.4
    depressed_probes: float = 0.35
    healthy_probes: float = 0.1
    speaker_scatter: Shift = Shift(rate=0.12, pitch=2.4, range=0.3, volume=3.0, gap=0.5)

    def emotions(self, depressed: bool) -> EmotionShares:
        """Of a group's turns."""
        if not self.weather:
            return self.depressed_emotions.midway(self.healthy_emotions)
        return self.depressed_emotions if depressed else self.healthy_emotions

    def probing(self, depressed: bool) -> float:
        """Probability that a prompt is about depression."""
        if not self.probes:
            return (self.depressed_probes + self.healthy_probes) / 2
        return self.depressed_probes if depressed else self.healthy_probes

    @classmethod
    def nothing(cls) -> Self:
        """Nothing planted: no switch is on, and no emotion changes a voice; the scatter stays."""
        return cls(weather=False, direct=False, probes=False, valence=Shift(), activation=Shift(), labelled=False)
