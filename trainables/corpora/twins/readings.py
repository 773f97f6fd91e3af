"""The script of the `librispeech` twin: readers, each with a chapter of a book; splits and no labels.

What is planted is for pretraining: utterances differ in the two ways in which the emotional twins do (:class:`ReadingEffects`).

Traps of the real corpus: readers' numbers are digits alone; utterances differ much in length; a reader has a single room, so that
room and voice cannot be told apart.
"""

from __future__ import annotations

import random

from trainables.corpora.twins import passages
from trainables.corpora.twins.effects import Shift
from trainables.corpora.twins.recipe import LibriSpeechRecipe
from trainables.corpora.twins.sentences import sentence
from trainables.corpora.twins.splits import dealt_splits
from trainables.corpora.twins.turns import CHARACTER_SECONDS, Recording, Turn, scatter
from trainables.corpora.twins.voices import Voice, cast_voices

_UTTERANCE_SECONDS = (1.5, 8.0)  # least length in a neutral voice; the last sentence comes on top


def write_readings(recipe: LibriSpeechRecipe) -> list[Recording]:
    """One recording per utterance."""
    generator = random.Random(f"librispeech {recipe.seed}")
    voices = cast_voices(recipe.speakers, "readers", generator)
    splits = dealt_splits(recipe.speakers, recipe.split_shares, ("train", "dev", "test"))
    readers = generator.sample(range(1000, 9000), recipe.speakers)
    chapters = generator.sample(range(100000, 200000), recipe.speakers)
    return [
        recording
        for place in range(recipe.speakers)
        for recording in _chapter(recipe, str(readers[place]), str(chapters[place]), voices[place], splits[place])
    ]


def _chapter(recipe: LibriSpeechRecipe, reader: str, chapter: str, voice: Voice, split: str) -> list[Recording]:
    generator = random.Random(f"librispeech {recipe.seed} {reader}")
    own = scatter(recipe.effects.speaker_scatter, generator)
    room = generator.randrange(2**31)
    session = f"{reader}-{chapter}"
    return [
        Recording(
            name=f"{session}-{number:04d}",
            session=session,
            split=split,
            seed=room,
            turns=(_turn(recipe, reader, voice, own, generator),),
        )
        for number in range(generator.randint(*recipe.utterances))
    ]


def _turn(recipe: LibriSpeechRecipe, reader: str, voice: Voice, own: Shift, generator: random.Random) -> Turn:
    effects = recipe.effects
    valence, activation = (min(1.0, max(-1.0, effects.liveliness * generator.gauss(0.0, 1.0))) for _ in range(2))
    style = own + scatter(effects.turn_scatter, generator)
    style += effects.valence.scaled(valence) + effects.activation.scaled(activation)
    text, goal = "", generator.uniform(*_UTTERANCE_SECONDS)
    while CHARACTER_SECONDS * len(text) < goal:
        text = f"{text} {sentence(passages.PASSAGES, generator, passages.SLOTS)}".strip()
    return Turn(
        speaker=reader,
        talker="subject",
        text=text,
        voice=voice,
        style=style,
        seed=generator.randrange(2**31),
        pause=generator.uniform(0.05, 0.2),
        labels={"gender": voice.gender},
    )
