"""The script of the `iemocap` twin: an actress and an actor speak in turns, every turn with a category and ratings.

What is planted: a turn's category decides its valence, activation and dominance (with scatter), valence and activation change
the voice (:class:`EmotionEffects`), and the category chooses the words. Raters then score what was acted, and in a quarter of
the turns agree on no category ('xxx'), as in IEMOCAP. So a category is never heard directly: happy and excited turns, or angry
and frustrated ones, overlap, which is what makes these corpora hard.

Traps of the real corpus: a session has two subjects; scripted dialogues have the same words and categories in every session,
so that a model of text can learn them by heart however the speakers are split; rare categories have too few turns to be learnt.
"""

from __future__ import annotations

import random
from typing import NamedTuple

from trainables.corpora.twins import sentences
from trainables.corpora.twins.affect import Affect, draw_affect, rated
from trainables.corpora.twins.effects import EmotionEffects, Shift
from trainables.corpora.twins.emotional_sentences import EMOTIONAL
from trainables.corpora.twins.recipe import IemocapRecipe
from trainables.corpora.twins.turns import CHARACTER_SECONDS, Recording, Turn, scatter
from trainables.corpora.twins.voices import Voice, cast_voices

# Turns of IEMOCAP; of the last two it has 3 and 2, raised so that a small twin has one now and then.
_WEIGHTS = {"fru": 1849, "neu": 1708, "ang": 1103, "sad": 1084, "exc": 1041, "hap": 595, "sur": 107, "fea": 40,
            "oth": 20, "dis": 20}  # fmt: skip
_NO_AGREEMENT = 0.25  # 2507 of IEMOCAP's 10039 turns
_RATERS = 2  # of valence, activation and dominance: means are multiples of 0.5
_UTTERANCE_SECONDS = (0.6, 2.8)  # least length of an utterance in a neutral voice; the last sentence comes on top


class Actor(NamedTuple):
    """A speaker, and the shift of every turn that is the speaker's own."""

    name: str
    voice: Voice
    own: Shift


def write_dialogues(recipe: IemocapRecipe) -> list[Recording]:
    """Every session's dialogues."""
    voices = cast_voices(2 * recipe.sessions, "actors", random.Random(f"iemocap voices {recipe.seed}"))
    script = []
    for number in range(recipe.sessions):
        session = f"Ses{number + 1:02d}"
        cast = [_actor(recipe, f"{session}{voice.gender[0].upper()}", voice) for voice in voices[2 * number : 2 * number + 2]]
        for index in range(recipe.dialogues):
            name = f"{('impro', 'script')[index % 2]}{index // 2 + 1:02d}"
            script.append(_dialogue(recipe, session, name, cast))
    return script


def _actor(recipe: IemocapRecipe, name: str, voice: Voice) -> Actor:
    own = scatter(recipe.effects.speaker_scatter, random.Random(f"iemocap {recipe.seed} {name}"))
    return Actor(name, voice, own)


def _dialogue(recipe: IemocapRecipe, session: str, name: str, cast: list[Actor]) -> Recording:
    here = f"iemocap {recipe.seed} {session} {name}"
    lines = random.Random(f"iemocap {recipe.seed} {name}" if name.startswith("script") else f"{here} lines")
    acting, raters = random.Random(f"{here} acting"), random.Random(f"{here} raters")
    first = lines.randrange(2)
    scripted = name.startswith("script")
    material = {"style": "scripted", "prompt": name} if scripted else {"style": "improvised", "prompt": ""}
    turns = [
        _turn(recipe.effects, cast[(first + number) % 2], material, lines, acting, raters)
        for number in range(lines.randint(*recipe.turns))
    ]
    return Recording(name=f"{session}_{name}", session=session, split="", seed=acting.randrange(2**31), turns=tuple(turns))


def _turn(
    effects: EmotionEffects,
    actor: Actor,
    material: dict[str, str],
    lines: random.Random,
    acting: random.Random,
    raters: random.Random,
) -> Turn:
    category = _draw_category(lines)
    affect = draw_affect(category, acting)
    style = actor.own + scatter(effects.turn_scatter, acting)
    style += effects.valence.scaled((affect.valence - 3) / 2) + effects.activation.scaled((affect.activation - 3) / 2)
    text = _line(category, effects, lines)
    if not effects.labelled:
        category = _draw_category(raters)
        affect = draw_affect(category, raters)
    return Turn(
        speaker=actor.name,
        talker="subject",
        text=text,
        voice=actor.voice,
        style=style,
        seed=acting.randrange(2**31),
        pause=acting.uniform(0.1, 0.6),
        labels={**_rated(category, affect, raters), "gender": actor.voice.gender, **material},
    )


def _draw_category(generator: random.Random) -> str:
    return generator.choices(list(_WEIGHTS), list(_WEIGHTS.values()))[0]


def _line(category: str, effects: EmotionEffects, generator: random.Random) -> str:
    text, goal = "", generator.uniform(*_UTTERANCE_SECONDS)
    while CHARACTER_SECONDS * len(text) < goal:
        emotional = generator.random() < effects.emotional_words
        said = sentences.sentence(EMOTIONAL[category] if emotional else sentences.NEUTRAL, generator)
        text = f"{text} {said}".strip()
    return text


def _rated(category: str, affect: Affect, raters: random.Random) -> dict[str, float | str]:
    """The labels: what the raters make of a turn."""
    agreed = raters.random() >= _NO_AGREEMENT
    return {"emotion": category if agreed else "xxx", **rated(affect, raters, _RATERS)}
