"""What is learnt: for each task the label it is read from, its classes, and which labels belong to which: one table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

TaskName = Literal["depression", "sentiment", "emotion4", "emotion4_unmerged", "emotion5", "emotion6", "casia6", "emotion8"]
"""A key of :data:`TASKS` that is classified, as a stage's setting."""

UnitsTaskName = TaskName | Literal["attributes"]
"""Any key of :data:`TASKS`: what decides which units there are, whether or not their classes are learnt."""


class Task(NamedTuple):
    """Which units have part, and in which classes.

    Attributes:
        column: The manifest's label column.
        classes: What the class indices 0, 1, ... mean.
        class_of: From a label to its class index; None for a label that the task leaves out.
        of_speaker: Whether the label belongs to the speaker, as a diagnosis does, and not to what is said: a split by speaker is
            then stratified by it.
    """

    column: str
    classes: tuple[str, ...]
    class_of: Callable[[Any], int | None]
    of_speaker: bool = False


def _sign(score: float) -> int | None:
    return None if score == 0 else int(score > 0)


def _rated(rating: float) -> int:
    return 0  # a unit without a rating is refused before it is asked for its class


def _emotions(classes: dict[str, tuple[str, ...]]) -> Task:
    """A task from class to IEMOCAP's codes, which every manifest with emotions holds (:mod:`trainables.corpora.emotions`)."""
    numbers = {code: number for number, codes in enumerate(classes.values()) for code in codes}
    return Task("emotion", tuple(classes), numbers.get)


_FOUR = {"angry": ("ang",), "happy": ("hap", "exc"), "sad": ("sad",), "neutral": ("neu",)}

TASKS: dict[UnitsTaskName, Task] = {
    "depression": Task("depressed", ("healthy", "depressed"), {0: 0, 1: 1}.get, of_speaker=True),
    "sentiment": Task("sentiment", ("negative", "positive"), _sign),
    "emotion4": _emotions(_FOUR),
    "emotion4_unmerged": _emotions(_FOUR | {"happy": ("hap",)}),
    "emotion5": _emotions(
        {"angry": ("ang",), "happy": ("hap", "exc"), "sad": ("sad",), "frustrated": ("fru",), "neutral": ("neu",)}
    ),
    "emotion6": _emotions(_FOUR | {"happy": ("hap",), "excited": ("exc",), "frustrated": ("fru",)}),
    "casia6": _emotions({**_FOUR, "happy": ("hap",), "fearful": ("fea",), "surprised": ("sur",)}),
    "emotion8": _emotions({**_FOUR, "fearful": ("fea",), "surprised": ("sur",), "disgusted": ("dis",), "bored": ("bor",)}),
    "attributes": Task("activation", ("rated",), _rated),
}
"""Sources: ReCLR, section 3.1, and for the class maps of emotions the field's use.

Sentiment (CMU-MOSEI): sentences 'with a score of 0' are neglected, a score below 0 is class 0, any other class 1.
Emotion5 (IEMOCAP): 'we select utterances labeled as "angry", "happy", "excited", "sad", "frustrated", and "neutral", where
utterances with "excited" are merged into "happy" class'. Emotion4 is the standard map of IEMOCAP (5531 turns), of which
emotion4_unmerged leaves 'excited' out; emotion6 keeps excited apart and frustrated. Casia6 is CASIA's own six. Emotion8, ours, is
CASIA's six and EmoDB's seven together, for corpora that are joined: an emotion is one class whichever of them it comes from, and a
class that a corpus lacks is asked of none of its sets. Of every map every other category, and utterances without one (''), are left
out.

Attributes (Li et al., ICASSP 2021) are numbers and no classes: their one class is that of every unit that was rated, whatever was
felt, so that regression is divided by the same protocols. Emotions that the raters did not agree on are rated all the same.
"""
