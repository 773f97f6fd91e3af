"""The script of the `daic_woz` twin: a virtual interviewer, and a participant with a PHQ-8 score.

What is planted is how participants express emotion, turn by turn, and what the interviewer gives away
(:class:`~trainables.corpora.twins.clinical_effects.ClinicalEffects`). Both depend on the diagnosis, a score of 10 or more.

Traps of the real corpus: fewer depressed than healthy participants; scores just below and just above the threshold; one voice,
the interviewer's, in all sessions and splits, whose prompts tell of the diagnosis; answers of one word; answers that begin before
the prompt has ended; a participant who hardly speaks.
"""

from __future__ import annotations

import random
from typing import NamedTuple

from trainables.corpora.twins import interview_prompts as prompts
from trainables.corpora.twins.clinical_answers import Speaker, draw_answer, draw_speaker
from trainables.corpora.twins.clinical_effects import ClinicalEffects
from trainables.corpora.twins.effects import Shift
from trainables.corpora.twins.recipe import DaicWozRecipe
from trainables.corpora.twins.splits import dealt_splits
from trainables.corpora.twins.turns import Recording, Turn, planned_seconds
from trainables.corpora.twins.voices import Voice, balanced_draw, cast_voices

THRESHOLD = 10
"""Least PHQ-8 score that counts as depressed (Kroenke et al., Journal of Affective Disorders 114, 2009)."""

_LARGEST = 24
_MEAN_DEPRESSED = 15.0  # score at which a lasting shift is exactly what is planted
_BEYOND = {True: 4.5, False: 4.0}  # mean distance of a depressed score from the threshold, and of a healthy one from 0
_OVERLAPS = 0.08  # of the answers, by beginning before the prompt has ended
_REPLIED = 0.3  # of the answers, by a few words of the interviewer
_NUMBERS = range(300, 493)  # the real corpus' session numbers


class Participant(NamedTuple):
    """Who is interviewed, in which split, with which score."""

    name: str
    voice: Voice
    split: str
    phq8: int

    @property
    def depressed(self) -> bool:
        """The diagnosis."""
        return self.phq8 >= THRESHOLD


def write_clinical_interviews(recipe: DaicWozRecipe) -> list[Recording]:
    """One interview per participant."""
    generator = random.Random(f"daic_woz {recipe.seed}")
    voices = cast_voices(recipe.participants, "participants", generator)
    ellie = cast_voices(1, "virtual interviewer", generator)[0]
    splits = dealt_splits(recipe.participants, recipe.split_shares, ("train", "dev", "test"))
    depressed: set[int] = set()
    for split in dict.fromkeys(splits):
        among = [place for place, name in enumerate(splits) if name == split]
        count = max(1, round(recipe.depressed_share * len(among)))
        depressed |= balanced_draw(voices, among, count, generator)
    names = generator.sample(_NUMBERS, recipe.participants)  # a name tells nothing of the label
    lengths = [recipe.short_seconds] + [generator.uniform(*recipe.subject_seconds) for _ in range(recipe.participants - 1)]
    generator.shuffle(lengths)
    return [
        _interview(
            recipe, Participant(str(names[i]), voices[i], splits[i], _draw_score(i in depressed, generator)), ellie, lengths[i]
        )
        for i in range(recipe.participants)
    ]


def _draw_score(depressed: bool, generator: random.Random) -> int:
    beyond = int(generator.expovariate(1 / _BEYOND[depressed]))
    return min(_LARGEST, THRESHOLD + beyond) if depressed else min(THRESHOLD - 1, beyond)


def _interview(recipe: DaicWozRecipe, who: Participant, ellie: Voice, left: float) -> Recording:
    generator = random.Random(f"daic_woz {recipe.seed} {who.name}")
    speaker = draw_speaker(recipe.effects, who.depressed, generator)
    labels = {"depressed": int(who.depressed), "phq8": who.phq8}
    turns = [_prompt(prompts.OPENING, ellie, labels, generator)]
    while left > 0:
        turns.append(_prompt(_choose(recipe.effects, who, generator), ellie, labels, generator))
        turns.append(_answer(recipe.effects, who, speaker, labels, generator))
        left -= planned_seconds(turns[-1].text, who.voice, turns[-1].style)
        if generator.random() < _REPLIED:
            turns.append(_prompt(generator.choice(prompts.REPLIES), ellie, labels, generator))
    turns.append(_prompt(prompts.CLOSING, ellie, labels, generator))
    return Recording(name=who.name, session=who.name, split=who.split, seed=generator.randrange(2**31), turns=tuple(turns))


def _choose(effects: ClinicalEffects, who: Participant, generator: random.Random) -> str:
    probed = generator.random() < effects.probing(who.depressed)
    return generator.choice(prompts.PROBES if probed else prompts.PROMPTS)


def _answer(effects: ClinicalEffects, who: Participant, speaker: Speaker, labels: dict[str, int], generator: random.Random) -> Turn:
    text, style = draw_answer(effects, speaker, who.phq8 / _MEAN_DEPRESSED, generator)
    latency = generator.uniform(0.2, 0.7) * (effects.depressed_latency if effects.direct and who.depressed else 1.0)
    overlaps = generator.random() < _OVERLAPS
    return Turn(
        speaker=who.name,
        talker="subject",
        text=text,
        voice=who.voice,
        style=style,
        seed=generator.randrange(2**31),
        pause=-generator.uniform(0.05, 0.25) if overlaps else latency,
        labels={**labels, "gender": who.voice.gender},
    )


def _prompt(text: str, ellie: Voice, labels: dict[str, int], generator: random.Random) -> Turn:
    """What the interviewer says sounds the same in all interviews, as it does in the real corpus: it was recorded once."""
    return Turn(
        speaker="Ellie",
        talker="interviewer",
        text=text[0].upper() + text[1:],
        voice=ellie,
        style=Shift(),
        seed=0,
        pause=generator.uniform(0.3, 0.8),
        labels={**labels, "gender": ellie.gender},
    )
