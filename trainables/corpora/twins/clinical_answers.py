"""What a participant of the screening interviews answers, and how: small talk, and an emotion in words, in the voice or both."""

from __future__ import annotations

import random
from typing import NamedTuple

from trainables.corpora.twins import sentences
from trainables.corpora.twins.affect import draw_affect
from trainables.corpora.twins.clinical_effects import ClinicalEffects
from trainables.corpora.twins.effects import Shift
from trainables.corpora.twins.emotional_sentences import EMOTIONAL
from trainables.corpora.twins.small_talk import SMALL_TALK, SMALL_TALK_SLOTS
from trainables.corpora.twins.turns import scatter

WORDINGS = {
    "ang": EMOTIONAL["ang"] + sentences.NEGATIVE,
    "fru": EMOTIONAL["fru"] + sentences.NEGATIVE,
    "sad": EMOTIONAL["sad"] + sentences.NEGATIVE,
    "hap": sentences.POSITIVE,
    "exc": EMOTIONAL["exc"] + sentences.POSITIVE,
}
"""Emotion to its sentences' templates: those of the dialogues and of the monologues, and no others."""

_OWN_WORDINGS = 1  # of each emotion
_OWN_TOPICS = 2
_FILLERS = 0.1
_CHATTED = 0.85  # of the emotional answers, with a sentence of small talk after it


class Speaker(NamedTuple):
    """What is the participant's own: whether the voice is masked, the shift of every turn, wordings by emotion, and topics."""

    depressed: bool
    masked: bool
    shift: Shift
    wordings: dict[str, list[str]]
    topics: list[str]


def draw_speaker(effects: ClinicalEffects, depressed: bool, generator: random.Random) -> Speaker:
    """A participant's own ways."""
    return Speaker(
        depressed=depressed,
        masked=(generator.random() < effects.masked) and depressed and effects.weather,
        shift=scatter(effects.speaker_scatter, generator),
        wordings={emotion: generator.sample(said, _OWN_WORDINGS) for emotion, said in WORDINGS.items()},
        topics=generator.sample(list(SMALL_TALK), _OWN_TOPICS),
    )


def draw_answer(effects: ClinicalEffects, speaker: Speaker, severity: float, generator: random.Random) -> tuple[str, Shift]:
    """One answer's words and style.

    Args:
        effects: What is planted.
        speaker: Who answers.
        severity: How many times as large as planted a lasting shift is.
        generator: Draws the same for both diagnoses, so that they differ by what is planted and nothing else.
    """
    felt, pretended = effects.emotions(speaker.depressed).draw(generator), effects.emotions(False).draw(generator)
    said = felt if generator.random() < effects.in_words else "neu"
    heard = (pretended if speaker.masked else felt) if generator.random() < effects.in_voice else "neu"
    affect = draw_affect(heard, generator)
    style = speaker.shift + scatter(effects.turn_scatter, generator)
    style += effects.valence.scaled((affect.valence - 3) / 2) + effects.activation.scaled((affect.activation - 3) / 2)
    lasting = effects.direct and speaker.depressed
    if lasting:
        style += effects.depression.scaled(severity)
    marked = (generator.random() < effects.depressed_words) and lasting
    return _words(speaker, said, marked, generator), style


def _words(speaker: Speaker, said: str, marked: bool, generator: random.Random) -> str:
    if generator.random() < _FILLERS:
        return generator.choice(sentences.FILLERS).capitalize() + "."
    spoken = []
    if marked:
        spoken.append(sentences.sentence(sentences.DEPRESSED, generator))
    elif said in speaker.wordings:
        spoken.append(sentences.sentence(speaker.wordings[said], generator))
    if not spoken or generator.random() < _CHATTED:
        spoken.append(sentences.sentence(SMALL_TALK[generator.choice(speaker.topics)], generator, SMALL_TALK_SLOTS))
    return " ".join(spoken)
