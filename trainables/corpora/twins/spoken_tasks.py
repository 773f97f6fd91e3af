"""The script of the `sre` twin: depressed and healthy subjects, four tasks, material of three emotional valences.

What is planted: a depressed subject reacts otherwise to the material, and speaks otherwise the higher the BDI-II score; both show
more in own words than in what is read (:class:`TaskEffects`). Subjects speak alone, as in the corpus, where the questions stood on
a screen.

Traps of the real corpus (Lu et al., ``cbam_resnet``, section 4): what is read is the same for everybody, so that its words are on
both sides of every split; the tasks differ in length; some recordings are missing (196 are left of 200); the levels of severity
are unequal. On these the paper contradicts itself: scores from 14 to 28 were admitted (section 4.1), and yet there is a severe
level (Figure 18). The twin has a few severe subjects, so that there is something to classify in all four levels; the levels are
dealt out to women and men by turns, because that figure is of each gender alone.

Of its 50 subjects 25 are women, 12 or 13 of them depressed, so that the diagnosis says nothing of the gender; the corpus has 28
women, 15 of them depressed (Table 1). Recordings are of seconds where the corpus has minutes (Table 2); the interview is the
longest task in both.
"""

from __future__ import annotations

import random
from typing import NamedTuple

from trainables.corpora.twins import sentences
from trainables.corpora.twins import task_texts as texts
from trainables.corpora.twins.effects import Shift
from trainables.corpora.twins.recipe import SreRecipe
from trainables.corpora.twins.turns import CHARACTER_SECONDS, Recording, Turn, scatter
from trainables.corpora.twins.voices import Voice, balanced_draw, by_turns, cast_voices

TASKS = ("vocabulary reading", "essay reading", "interview", "picture description")
STIMULI = ("positive", "neutral", "negative")
LEVELS = {"minimal": (0, 13), "mild": (14, 19), "moderate": (20, 28), "severe": (29, 63)}
"""BDI-II scores of each level (Beck, Steer and Brown, Manual for the BDI-II, 1996)."""

_SEVERE, _MODERATE = 0.2, 0.3  # shares of the depressed subjects; the rest are mild
_HEALTHY_SCORE = (5.52, 1.97)  # mean and standard deviation, Table 1
_MOST_SEVERE = 38
_TYPICAL = 20.0  # score at which depression shifts a voice by exactly what is planted
_MISSING = 4 / 200
_ANSWER_SECONDS = {"interview": (3.0, 5.0), "picture description": (4.5, 6.5)}  # planned, of each answer


class Subject(NamedTuple):
    """Who is recorded, the BDI-II score, and the shift of every turn that is the subject's own."""

    name: str
    voice: Voice
    bdi_ii: int
    own: Shift

    @property
    def depressed(self) -> bool:
        """The group."""
        return self.bdi_ii > LEVELS["minimal"][1]


def write_spoken_tasks(recipe: SreRecipe) -> list[Recording]:
    """One recording per subject, task and valence, apart from the missing ones."""
    generator = random.Random(f"sre {recipe.seed}")
    count = 2 * recipe.subjects_per_class
    voices = cast_voices(count, "interviews", generator)  # borrowed: see voices.py
    numbers = generator.sample(range(100, 1000), count)  # a name tells nothing of the label
    depressed = balanced_draw(voices, range(count), recipe.subjects_per_class, generator)
    levels = dict(zip(by_turns(voices, sorted(depressed), generator), _levels(len(depressed)), strict=True))
    script = []
    for place in range(count):
        name = f"s{numbers[place]}"
        score = _draw_score(levels.get(place, "minimal"), generator)
        own = scatter(recipe.effects.speaker_scatter, random.Random(f"sre {recipe.seed} {name} own"))
        script += _visit(recipe, Subject(name, voices[place], score, own))
    return script


def _levels(count: int) -> list[str]:
    severe, moderate = round(_SEVERE * count), round(_MODERATE * count)
    return ["severe"] * severe + ["moderate"] * moderate + ["mild"] * (count - severe - moderate)


def _draw_score(level: str, generator: random.Random) -> int:
    lowest, highest = LEVELS[level]
    if level == "minimal":
        return min(highest, max(lowest, round(generator.gauss(*_HEALTHY_SCORE))))
    return generator.randint(lowest, min(highest, _MOST_SEVERE))


def _visit(recipe: SreRecipe, subject: Subject) -> list[Recording]:
    """All of a subject's recordings, in one room."""
    room = random.Random(f"sre {recipe.seed} {subject.name}").randrange(2**31)
    recordings = []
    for task in TASKS:
        for stimulus in STIMULI:
            name = f"{subject.name}_{task.split()[0]}_{stimulus}"
            generator = random.Random(f"sre {recipe.seed} {name}")
            if generator.random() < _MISSING:
                continue
            turns = tuple(
                _turn(recipe, subject, task, stimulus, number, generator) for number in range(2 if task == "interview" else 1)
            )
            recordings.append(Recording(name=name, session=subject.name, split="", seed=room, turns=turns))
    return recordings


def _turn(recipe: SreRecipe, subject: Subject, task: str, stimulus: str, number: int, generator: random.Random) -> Turn:
    effects = recipe.effects
    read = task.endswith("reading")
    shown = effects.read_share if read else 1.0
    reaction = effects.depressed_reaction if subject.depressed else effects.healthy_reaction
    style = subject.own + scatter(effects.turn_scatter, generator)
    style += effects.valence.scaled(shown * getattr(reaction, stimulus))
    pause = generator.uniform(0.2, 0.7)
    if subject.depressed:
        style += effects.depression.scaled(shown * subject.bdi_ii / _TYPICAL)
        pause *= effects.depressed_latency
    return Turn(
        speaker=subject.name,
        talker="subject",
        text=_read(task, stimulus) if read else _answer(recipe, subject, task, stimulus, number, generator),
        voice=subject.voice,
        style=style,
        seed=generator.randrange(2**31),
        pause=pause,
        labels={
            "depressed": int(subject.depressed),
            "gender": subject.voice.gender,
            "bdi_ii": subject.bdi_ii,
            "task": task,
            "stimulus": stimulus,
            "prompt": f"{task.split()[0]}-{stimulus}-{number + 1}",
        },
    )


def _read(task: str, stimulus: str) -> str:
    return texts.ESSAY[stimulus] if task == "essay reading" else f"{texts.VOCABULARY[stimulus].capitalize()}."


def _answer(recipe: SreRecipe, subject: Subject, task: str, stimulus: str, number: int, generator: random.Random) -> str:
    """Sentences on the question or the picture, and some of the depressed style where the material is not positive."""
    effects = recipe.effects
    own_words = texts.INTERVIEW[stimulus][number] if task == "interview" else texts.PICTURE[stimulus]
    share = effects.depressed_words if subject.depressed else effects.healthy_words
    text, goal = "", generator.uniform(*_ANSWER_SECONDS[task])
    while CHARACTER_SECONDS * len(text) < goal:
        marked = generator.random() < share and stimulus != "positive"
        text = f"{text} {sentences.sentence(sentences.DEPRESSED if marked else own_words, generator)}".strip()
    return text
