"""The script of the `mosei` twin: monologues, every utterance with a sentiment score."""

from __future__ import annotations

import random

from trainables.corpora.twins import sentences
from trainables.corpora.twins.recipe import MoseiRecipe
from trainables.corpora.twins.turns import Recording, Turn, planned_seconds, scatter, templates
from trainables.corpora.twins.voices import Voice, cast_voices

_UTTERANCE_SECONDS = (1.6, 5.5)  # least planned length of an utterance; the last sentence comes on top
_SENTIMENT_STEP = 3.0  # scores are multiples of 1/3, like the mean of CMU-MOSEI's three raters
_ZERO_SHARE = 0.15
_FULL_SCALE = 3.0


def write_monologues(recipe: MoseiRecipe) -> list[Recording]:
    """One monologue per speaker."""
    generator = random.Random(f"mosei voices {recipe.seed}")
    voices = cast_voices(recipe.speakers, "monologues", generator)
    train, dev = (max(1, round(share * recipe.speakers)) for share in recipe.split_shares)
    splits = ["train"] * train + ["dev"] * dev + ["test"] * max(1, recipe.speakers - train - dev)
    splits = splits[-recipe.speakers :]
    return [_monologue(recipe, f"v{i:03d}", voices[i], splits[i]) for i in range(recipe.speakers)]


def _monologue(recipe: MoseiRecipe, name: str, voice: Voice, split: str) -> Recording:
    generator = random.Random(f"mosei {recipe.seed} {name}")
    own = scatter(recipe.effects.speaker_scatter, generator)
    raters = random.Random(f"mosei {recipe.seed} {name} raters")
    turns = []
    for _ in range(generator.randint(*recipe.utterances)):
        score = _draw_score(generator)
        valence = score / _FULL_SCALE
        style = own + recipe.effects.valence.scaled(valence) + scatter(recipe.effects.turn_scatter, generator)
        text = ""
        goal = generator.uniform(*_UTTERANCE_SECONDS)
        while planned_seconds(text, voice, style) < goal:
            text = f"{text} {sentences.sentence(templates(valence), generator)}".strip()
        turns.append(
            Turn(
                speaker=name,
                talker="subject",
                text=text,
                voice=voice,
                style=style,
                seed=generator.randrange(2**31),
                pause=generator.uniform(0.2, 0.8),
                labels={"sentiment": score if recipe.effects.labelled else _draw_score(raters), "gender": voice.gender},
            )
        )
    return Recording(name=name, session=name, split=split, seed=generator.randrange(2**31), turns=tuple(turns))


def _draw_score(generator: random.Random) -> float:
    """A sentiment score from -3 to 3."""
    steps = 0 if generator.random() < _ZERO_SHARE else generator.randint(1, 9) * generator.choice((-1, 1))
    return round(steps / _SENTIMENT_STEP, 4)
