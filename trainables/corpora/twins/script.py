"""From a recipe to a script: who says what, how and after which pause. Pure; the same recipe gives the same script anywhere.

Every recording is drawn from its own generator, so that recordings can be made in any order and number of processes.
"""

from __future__ import annotations

import math
import random

from pydantic import BaseModel

from trainables.corpora.twins import sentences
from trainables.corpora.twins.effects import Effects, Shift, ValenceOdds
from trainables.corpora.twins.recipe import MddRecipe, MoseiRecipe
from trainables.corpora.twins.voices import Voice, cast_voices

_CHARACTER_SECONDS = 0.06  # of a voice at its neutral rate; this and the next fitted to espeak-ng, to within 0.4 s a turn
_GAP_SECONDS = 0.022  # per word and unit of a style's gap
_UTTERANCE_SECONDS = (1.6, 5.5)  # least planned length of a monologue's utterance; the last sentence comes on top
_SENTIMENT_STEP = 3.0  # scores are multiples of 1/3, like the mean of CMU-MOSEI's three raters
_ZERO_SHARE = 0.15
_FULL_SCALE = 3.0


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


def write_script(recipe: MddRecipe | MoseiRecipe) -> list[Recording]:
    """The recordings that a recipe asks for."""
    return _interviews(recipe) if isinstance(recipe, MddRecipe) else _monologues(recipe)


def _interviews(recipe: MddRecipe) -> list[Recording]:
    count = 2 * recipe.sessions_per_class
    generator = random.Random(f"mdd voices {recipe.seed}")
    voices = cast_voices(count, "interviews", generator)
    interviewers = cast_voices(3, "interviewers", generator)
    # Consecutive voices alternate in gender, so a label that changes every two sessions is balanced over gender.
    depressed = [(index // 2) % 2 for index in range(count)]
    if recipe.sessions_per_class % 2:
        depressed[-2:] = [0, 1]
    names = [f"s{number:03d}" for number in generator.sample(range(100, 1000), count)]  # a name tells nothing of the label
    lengths = [recipe.short_seconds] + [generator.uniform(*recipe.subject_seconds) for _ in range(recipe.sessions_per_class - 1)]
    # Both classes get the same lengths and interviewers, so that these tell nothing of the label.
    waiting = {label: generator.sample(lengths, len(lengths)) for label in (0, 1)}
    return [
        _interview(recipe, names[i], voices[i], i // 4 % 3, interviewers, depressed[i], waiting[depressed[i]].pop())
        for i in range(count)
    ]


def _interview(
    recipe: MddRecipe, name: str, voice: Voice, chair: int, interviewers: list[Voice], depressed: int, left: float
) -> Recording:
    generator = random.Random(f"mdd {recipe.seed} {name}")
    effects = recipe.effects
    own = _scatter(effects.speaker_scatter, generator)
    labels = {"depressed": depressed}
    turns: list[Turn] = []
    while left > 0:
        turns.append(
            Turn(
                speaker=f"interviewer{chair + 1}",
                talker="interviewer",
                text=generator.choice(sentences.QUESTIONS).capitalize(),
                voice=interviewers[chair],
                style=Shift(),
                seed=0,
                pause=generator.uniform(0.3, 0.8),
                labels={**labels, "gender": interviewers[chair].gender},
            )
        )
        answer = _answer(effects, depressed, own, generator)
        latency = generator.uniform(0.2, 0.7) * (effects.depressed_latency if depressed else 1.0)
        overlaps = generator.random() < 0.08
        turns.append(
            Turn(
                speaker=name,
                talker="subject",
                voice=voice,
                seed=generator.randrange(2**31),
                pause=-generator.uniform(0.05, 0.25) if overlaps else latency,
                labels={**labels, "gender": voice.gender},
                **answer,
            )
        )
        left -= _planned_seconds(turns[-1].text, voice, turns[-1].style)
    return Recording(name=name, session=name, split="", seed=generator.randrange(2**31), turns=tuple(turns))


def _answer(effects: Effects, depressed: int, own: Shift, generator: random.Random) -> dict[str, str | Shift]:
    """Words and style of one answer of a subject."""
    odds = effects.depressed_odds if depressed else effects.healthy_odds
    valence = _draw_valence(odds, generator)
    style = own + effects.valence.scaled(valence) + _scatter(effects.turn_scatter, generator)
    if depressed:
        style += effects.depression
    if generator.random() < 0.12:
        return {"text": generator.choice(sentences.FILLERS).capitalize() + ".", "style": style}
    said = []
    for _ in range(generator.choice((1, 1, 2, 2, 3))):
        marked = generator.random() < (effects.depressed_words if depressed else effects.healthy_words)
        said.append(sentences.sentence(sentences.DEPRESSED if marked and valence < 0.2 else _templates(valence), generator))
    return {"text": " ".join(said), "style": style}


def _monologues(recipe: MoseiRecipe) -> list[Recording]:
    generator = random.Random(f"mosei voices {recipe.seed}")
    voices = cast_voices(recipe.speakers, "monologues", generator)
    train, dev = (max(1, round(share * recipe.speakers)) for share in recipe.split_shares)
    splits = ["train"] * train + ["dev"] * dev + ["test"] * max(1, recipe.speakers - train - dev)
    splits = splits[-recipe.speakers :]
    return [_monologue(recipe, f"v{i:03d}", voices[i], splits[i]) for i in range(recipe.speakers)]


def _monologue(recipe: MoseiRecipe, name: str, voice: Voice, split: str) -> Recording:
    generator = random.Random(f"mosei {recipe.seed} {name}")
    own = _scatter(recipe.effects.speaker_scatter, generator)
    turns = []
    for _ in range(generator.randint(*recipe.utterances)):
        steps = 0 if generator.random() < _ZERO_SHARE else generator.randint(1, 9) * generator.choice((-1, 1))
        score = round(steps / _SENTIMENT_STEP, 4)
        valence = score / _FULL_SCALE
        style = own + recipe.effects.valence.scaled(valence) + _scatter(recipe.effects.turn_scatter, generator)
        text = ""
        goal = generator.uniform(*_UTTERANCE_SECONDS)
        while _planned_seconds(text, voice, style) < goal:
            text = f"{text} {sentences.sentence(_templates(valence), generator)}".strip()
        turns.append(
            Turn(
                speaker=name,
                talker="subject",
                text=text,
                voice=voice,
                style=style,
                seed=generator.randrange(2**31),
                pause=generator.uniform(0.2, 0.8),
                labels={"sentiment": score, "gender": voice.gender},
            )
        )
    return Recording(name=name, session=name, split=split, seed=generator.randrange(2**31), turns=tuple(turns))


def _templates(valence: float) -> list[str]:
    if valence == 0:
        return sentences.NEUTRAL
    return sentences.POSITIVE if valence > 0 else sentences.NEGATIVE


def _draw_valence(odds: ValenceOdds, generator: random.Random) -> float:
    draw, strength = generator.random(), generator.uniform(0.4, 1.0)
    if draw < odds.negative:
        return -strength
    return strength if draw < odds.negative + odds.positive else 0.0


def _scatter(sizes: Shift, generator: random.Random) -> Shift:
    return Shift(**{name: generator.gauss(0.0, size) for name, size in sizes})


def _planned_seconds(text: str, voice: Voice, style: Shift) -> float:
    speed = math.exp(voice.rate + style.rate)
    return _CHARACTER_SECONDS * len(text) / speed + _GAP_SECONDS * len(text.split()) * max(-1.0, style.gap)
