"""The script of the `msp_podcast` twin: utterances from podcasts, each with a category and ratings from 1 to 7, and splits.

What is planted is what the dialogues have, and dominance (:class:`PodcastEffects`); emotions are weaker, because nobody acts.

Traps of the real corpus: most utterances are neutral and some categories are rare; raters agree on no category ('xxx'); some
speakers of the training split are unknown, and each of their utterances is given a speaker of its own, though the voice comes
again; one speaker may have two podcasts; ratings run to 7, not to 5.
"""

from __future__ import annotations

import random
from typing import NamedTuple

from trainables.corpora.twins import podcast_sentences, sentences
from trainables.corpora.twins.affect import Affect, draw_affect, rated
from trainables.corpora.twins.effects import PodcastEffects, Shift
from trainables.corpora.twins.emotional_sentences import EMOTIONAL
from trainables.corpora.twins.recipe import MspPodcastRecipe
from trainables.corpora.twins.splits import dealt_splits
from trainables.corpora.twins.turns import CHARACTER_SECONDS, Recording, Turn, scatter
from trainables.corpora.twins.voices import Voice, cast_voices

_WEIGHTS = {"neu": 40, "hap": 22, "ang": 9, "sad": 9, "sur": 5, "con": 5, "dis": 4, "fea": 3, "oth": 3}
# Ours, with the real corpus' order; its rarest are made less rare, so that a small twin has some.
_NO_AGREEMENT = 0.12
_RATERS = 5
_POINTS = 7
_STRENGTH = 0.9  # of an emotion, beside an actor's
_UTTERANCE_SECONDS = (1.4, 4.0)  # least length in a neutral voice; the last sentence comes on top
_TWO_PODCASTS = 0.25
_SENTENCES = EMOTIONAL | {"con": podcast_sentences.CONTEMPT}


class Guest(NamedTuple):
    """Who speaks in a podcast; ``known`` says whether the manifest may tell."""

    name: str
    voice: Voice
    own: Shift
    known: bool


def write_podcasts(recipe: MspPodcastRecipe) -> list[Recording]:
    """One recording per utterance."""
    generator = random.Random(f"msp_podcast {recipe.seed}")
    voices = cast_voices(recipe.speakers, "podcasts", generator)
    splits = dealt_splits(recipe.speakers, recipe.split_shares, ("train", "dev", "test", "test2"))
    training = splits.count("train")
    unknown = set(generator.sample(range(training), min(round(recipe.unknown_share * recipe.speakers), training - 1)))
    numbers = generator.sample(range(1000, 10000), 2 * recipe.speakers)
    script = []
    for place, split in enumerate(splits):
        own = scatter(recipe.effects.speaker_scatter, generator)
        guest = Guest(f"speaker{place + 1:03d}", voices[place], own, place not in unknown)
        podcasts = numbers[2 * place : 2 * place + (2 if generator.random() < _TWO_PODCASTS else 1)]
        script += _utterances(recipe, guest, [str(number) for number in podcasts], split)
    return script


def _utterances(recipe: MspPodcastRecipe, guest: Guest, podcasts: list[str], split: str) -> list[Recording]:
    here = f"msp_podcast {recipe.seed} {guest.name}"
    generator, raters = random.Random(here), random.Random(f"{here} raters")
    rooms = {podcast: generator.randrange(2**31) for podcast in podcasts}
    script = []
    for number in range(generator.randint(*recipe.utterances)):
        podcast = podcasts[number % len(podcasts)]
        name = f"{podcast}_{number + 1:04d}"
        turn = _turn(recipe.effects, guest, name, generator, raters)
        script.append(Recording(name=name, session=podcast, split=split, seed=rooms[podcast], turns=(turn,)))
    return script


def _turn(effects: PodcastEffects, guest: Guest, name: str, generator: random.Random, raters: random.Random) -> Turn:
    category = _draw_category(generator)
    affect = _draw_affect(category, generator)
    style = guest.own + scatter(effects.turn_scatter, generator)
    for shift, value in zip((effects.valence, effects.activation, effects.dominance), affect, strict=True):
        style += shift.scaled((value - 3) / 2)
    text = _line(category, effects, generator)
    if not effects.labelled:
        category = _draw_category(raters)
        affect = _draw_affect(category, raters)
    agreed = raters.random() >= _NO_AGREEMENT
    return Turn(
        speaker=guest.name if guest.known else f"unknown-{name}",
        talker="subject",
        text=text,
        voice=guest.voice,
        style=style,
        seed=generator.randrange(2**31),
        pause=generator.uniform(0.05, 0.2),
        labels={
            "emotion": category if agreed else "xxx",
            **rated(affect, raters, _RATERS, _POINTS),
            "gender": guest.voice.gender,
        },
    )


def _draw_category(generator: random.Random) -> str:
    return generator.choices(list(_WEIGHTS), list(_WEIGHTS.values()))[0]


def _draw_affect(category: str, generator: random.Random) -> Affect:
    return Affect(*(3 + _STRENGTH * (value - 3) for value in draw_affect(category, generator)))


def _line(category: str, effects: PodcastEffects, generator: random.Random) -> str:
    text, goal = "", generator.uniform(*_UTTERANCE_SECONDS)
    while CHARACTER_SECONDS * len(text) < goal:
        emotional = generator.random() < effects.emotional_words
        said = sentences.sentence(_SENTENCES[category] if emotional else sentences.NEUTRAL, generator)
        text = f"{text} {said}".strip()
    return text
