"""The script of the `casia` twin: two actresses and two actors say the same sentences in six emotions, in Mandarin.

What is planted: an emotion's valence, activation and dominance, with scatter, change the voice (:class:`ActedEffects`); the words
are the same in all emotions and say nothing.

Traps of the real corpus: there are four speakers, so that no more than four folds by speaker exist; every sentence is on both sides
of a random split, in other emotions and voices; the language is another than the other corpora's.
"""

from __future__ import annotations

import random
from typing import NamedTuple

from trainables.corpora.twins.affect import draw_affect
from trainables.corpora.twins.effects import Shift
from trainables.corpora.twins.mandarin_sentences import SENTENCES
from trainables.corpora.twins.recipe import CasiaRecipe
from trainables.corpora.twins.turns import Recording, Turn, scatter
from trainables.corpora.twins.voices import Voice, cast_voices

EMOTIONS = ("ang", "fea", "hap", "neu", "sad", "sur")
_FIRST_NUMBER = 201  # of the real corpus' texts


class Actor(NamedTuple):
    """A speaker, and the shift of every sentence that is the speaker's own."""

    name: str
    voice: Voice
    own: Shift


def write_acted_sentences(recipe: CasiaRecipe) -> list[Recording]:
    """One recording per speaker, sentence and emotion."""
    generator = random.Random(f"casia {recipe.seed}")
    voices = cast_voices(4, "mandarin actors", generator)
    script = []
    for number, voice in enumerate(voices):
        actor = Actor(f"{voice.gender}{number // 2 + 1}", voice, scatter(recipe.effects.speaker_scatter, generator))
        room = generator.randrange(2**31)
        script += [take for place in range(recipe.texts) for take in _takes(recipe, actor, place, room)]
    return script


def _takes(recipe: CasiaRecipe, actor: Actor, place: int, room: int) -> list[Recording]:
    """One sentence in all emotions; where nothing is planted, the labels are dealt out anew: each still occurs once."""
    prompt = str(_FIRST_NUMBER + place)
    here = f"casia {recipe.seed} {actor.name} {prompt}"
    labels = list(EMOTIONS)
    if not recipe.effects.labelled:
        random.Random(f"{here} labels").shuffle(labels)
    return [
        Recording(
            name=f"{actor.name}_{label}_{prompt}",
            session=actor.name,
            split="",
            seed=room,
            turns=(_turn(recipe, actor, acted, label, prompt, SENTENCES[place], random.Random(f"{here} {acted}")),),
        )
        for acted, label in zip(EMOTIONS, labels, strict=True)
    ]


def _turn(recipe: CasiaRecipe, actor: Actor, acted: str, label: str, prompt: str, text: str, generator: random.Random) -> Turn:
    effects, affect = recipe.effects, draw_affect(acted, generator)
    style = actor.own + scatter(effects.turn_scatter, generator)
    for shift, value in zip((effects.valence, effects.activation, effects.dominance), affect, strict=True):
        style += shift.scaled((value - 3) / 2)
    return Turn(
        speaker=actor.name,
        talker="subject",
        text=text,
        voice=actor.voice,
        style=style,
        seed=generator.randrange(2**31),
        pause=generator.uniform(0.05, 0.2),
        labels={"emotion": label, "gender": actor.voice.gender, "prompt": prompt},
    )
