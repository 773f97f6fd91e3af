"""The script of the `mdd` twin: an interviewer and a subject, depressed or healthy."""

from __future__ import annotations

import random
from collections.abc import Mapping

from trainables.corpora.twins import sentences
from trainables.corpora.twins.effects import Effects, Shift, ValenceOdds
from trainables.corpora.twins.recipe import MddRecipe
from trainables.corpora.twins.turns import Recording, Turn, planned_seconds, scatter, templates
from trainables.corpora.twins.voices import Voice, cast_voices


def write_interviews(recipe: MddRecipe) -> list[Recording]:
    """One interview per subject, balanced over class, gender, length and interviewer."""
    count = 2 * recipe.sessions_per_class
    generator = random.Random(f"mdd voices {recipe.seed}")
    voices = cast_voices(count, "interviews", generator)
    interviewers = cast_voices(3, "interviewers", generator)
    # Consecutive voices alternate in gender, so a label that changes every two sessions is balanced over gender.
    depressed = [(index // 2) % 2 for index in range(count)]
    if recipe.sessions_per_class % 2:
        depressed[-2:] = [0, 1]
    if not recipe.effects.labelled:
        _exchange(depressed, random.Random(f"mdd diagnoses {recipe.seed}"))
    names = [f"s{number:03d}" for number in generator.sample(range(100, 1000), count)]  # a name tells nothing of the label
    lengths = [recipe.short_seconds] + [generator.uniform(*recipe.subject_seconds) for _ in range(recipe.sessions_per_class - 1)]
    # Both classes get the same lengths and interviewers, so that these tell nothing of the label.
    waiting = {label: generator.sample(lengths, len(lengths)) for label in (0, 1)}
    return [
        write_interview(recipe, names[i], voices[i], i // 4 % 3, interviewers, depressed[i], waiting[depressed[i]].pop())
        for i in range(count)
    ]


def _exchange(depressed: list[int], generator: random.Random) -> None:
    """Exchange the diagnoses of neighbours or not, in place: gender and interviewer stay balanced.

    Otherwise a voice would have one diagnosis in all seeds, and voices alone would tell the label alike in every twin.
    """
    for first in range(0, len(depressed), 4):
        if generator.random() < 0.5:
            depressed[first : first + 4] = depressed[first : first + 4][::-1]


def write_interview(
    recipe: MddRecipe, name: str, voice: Voice, chair: int, interviewers: list[Voice], depressed: int, left: float
) -> Recording:
    """One interview.

    Args:
        recipe: What is planted, and the seed.
        name: The subject's; decides everything drawn.
        voice: The subject's.
        chair: Which of the interviewers asks.
        interviewers: Their voices.
        depressed: The subject's diagnosis.
        left: Planned amount of the subject's speech, s.
    """
    generator = random.Random(f"mdd {recipe.seed} {name}")
    effects = recipe.effects
    own = scatter(effects.speaker_scatter, generator)
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
        turns.append(answer_turn(effects, name, voice, depressed, own, labels, generator))
        left -= planned_seconds(turns[-1].text, voice, turns[-1].style)
    return Recording(name=name, session=name, split="", seed=generator.randrange(2**31), turns=tuple(turns))


def answer_turn(
    effects: Effects, name: str, voice: Voice, depressed: int, own: Shift, labels: Mapping[str, int], generator: random.Random
) -> Turn:
    """One answer of a subject.

    Args:
        effects: What is planted.
        name: The subject's.
        voice: The subject's.
        depressed: The subject's diagnosis.
        own: Shift of every turn that is the subject's own.
        labels: The session's; the subject's gender is added.
        generator: Draws words, valence, scatter and pause.
    """
    answer = _answer(effects, depressed, own, generator)
    latency = generator.uniform(0.2, 0.7) * (effects.depressed_latency if depressed else 1.0)
    overlaps = generator.random() < 0.08
    return Turn(
        speaker=name,
        talker="subject",
        voice=voice,
        seed=generator.randrange(2**31),
        pause=-generator.uniform(0.05, 0.25) if overlaps else latency,
        labels={**labels, "gender": voice.gender},
        **answer,
    )


def _answer(effects: Effects, depressed: int, own: Shift, generator: random.Random) -> dict[str, str | Shift]:
    """Words and style of one answer of a subject."""
    odds = effects.depressed_odds if depressed else effects.healthy_odds
    valence = _draw_valence(odds, generator)
    style = own + effects.valence.scaled(valence) + scatter(effects.turn_scatter, generator)
    if depressed:
        style += effects.depression
    if generator.random() < 0.12:
        return {"text": generator.choice(sentences.FILLERS).capitalize() + ".", "style": style}
    said = []
    for _ in range(generator.choice((1, 1, 2, 2, 3))):
        marked = generator.random() < (effects.depressed_words if depressed else effects.healthy_words)
        said.append(sentences.sentence(sentences.DEPRESSED if marked and valence < 0.2 else templates(valence), generator))
    return {"text": " ".join(said), "style": style}


def _draw_valence(odds: ValenceOdds, generator: random.Random) -> float:
    draw, strength = generator.random(), generator.uniform(0.4, 1.0)
    if draw < odds.negative:
        return -strength
    return strength if draw < odds.negative + odds.positive else 0.0
