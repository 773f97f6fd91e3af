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
_SCATTER = 0.4  # of a turn's valence, activation and dominance around its category's, and of a rater around the turn's


class Affect(NamedTuple):
    """Where a turn lies: each from 1 to 5, 3 is neutral (IEMOCAP's scale and order)."""

    valence: float
    activation: float
    dominance: float


_CENTRES = {
    "ang": Affect(1.7, 4.0, 4.0),
    "hap": Affect(4.2, 3.2, 3.2),
    "exc": Affect(4.3, 4.1, 3.5),
    "sad": Affect(1.9, 1.7, 2.1),
    "fru": Affect(2.1, 3.1, 3.3),
    "neu": Affect(3.0, 2.6, 3.0),
    "sur": Affect(3.2, 3.7, 2.8),
    "fea": Affect(1.9, 3.6, 1.8),
    "dis": Affect(1.8, 3.0, 3.4),
    "oth": Affect(3.0, 3.0, 3.0),
}  # ours, placed as the circumplex of affect places them (Russell, 1980)


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
    turns = [
        _turn(recipe.effects, cast[(first + number) % 2], lines, acting, raters) for number in range(lines.randint(*recipe.turns))
    ]
    return Recording(name=f"{session}_{name}", session=session, split="", seed=acting.randrange(2**31), turns=tuple(turns))


def _turn(effects: EmotionEffects, actor: Actor, lines: random.Random, acting: random.Random, raters: random.Random) -> Turn:
    category = _draw_category(lines)
    affect = _draw_affect(category, acting)
    style = actor.own + scatter(effects.turn_scatter, acting)
    style += effects.valence.scaled((affect.valence - 3) / 2) + effects.activation.scaled((affect.activation - 3) / 2)
    text = _line(category, effects, lines)
    if not effects.labelled:
        category = _draw_category(raters)
        affect = _draw_affect(category, raters)
    return Turn(
        speaker=actor.name,
        talker="subject",
        text=text,
        voice=actor.voice,
        style=style,
        seed=acting.randrange(2**31),
        pause=acting.uniform(0.1, 0.6),
        labels={**_rated(category, affect, raters), "gender": actor.voice.gender},
    )


def _draw_category(generator: random.Random) -> str:
    return generator.choices(list(_WEIGHTS), list(_WEIGHTS.values()))[0]


def _draw_affect(category: str, generator: random.Random) -> Affect:
    return Affect(*(_on_scale(generator.gauss(centre, _SCATTER)) for centre in _CENTRES[category]))


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
    means = {
        name: sum(round(_on_scale(raters.gauss(value, _SCATTER))) for _ in range(_RATERS)) / _RATERS
        for name, value in affect._asdict().items()
    }
    return {"emotion": category if agreed else "xxx", **means}


def _on_scale(value: float) -> float:
    return min(5.0, max(1.0, value))
