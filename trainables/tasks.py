"""What is learnt: for each task the label it is read from, its classes, and which labels belong to which: one table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

from trainables.errors import UserError

TaskName = Literal[
    "depression",
    "severity",
    "sentiment",
    "emotion4",
    "emotion4_unmerged",
    "emotion5",
    "emotion6",
    "casia6",
    "emotion8",
    "happy_sad",
]
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


_BDI_LEVELS = {"minimal": 13, "mild": 19, "moderate": 28, "severe": 63}
"""Levels of the BDI-II to the highest sum of each."""


def _severity(score: float) -> int:
    """Raises UserError for what is no sum of the inventory's 21 answers of 0 to 3."""
    if not 0 <= score <= _BDI_LEVELS["severe"] or score % 1:
        raise UserError(f"a BDI-II score is a whole number from 0 to 63; found {score:g}: mend the column bdi_ii")
    return next(number for number, highest in enumerate(_BDI_LEVELS.values()) if score <= highest)


def _rated(rating: float) -> int:
    return 0  # a unit without a rating is refused before it is asked for its class


def _emotions(classes: dict[str, tuple[str, ...]]) -> Task:
    """A task from class to IEMOCAP's codes, which every manifest with emotions holds (:mod:`trainables.corpora.emotions`)."""
    numbers = {code: number for number, codes in enumerate(classes.values()) for code in codes}
    return Task("emotion", tuple(classes), numbers.get)


_FOUR = {"angry": ("ang",), "happy": ("hap", "exc"), "sad": ("sad",), "neutral": ("neu",)}

TASKS: dict[UnitsTaskName, Task] = {
    "depression": Task("depressed", ("healthy", "depressed"), {0: 0, 1: 1}.get, of_speaker=True),
    "severity": Task("bdi_ii", tuple(_BDI_LEVELS), _severity, of_speaker=True),
    "sentiment": Task("sentiment", ("negative", "positive"), _sign),
    "emotion4": _emotions(_FOUR),
    "emotion4_unmerged": _emotions(_FOUR | {"happy": ("hap",)}),
    "emotion5": _emotions(
        {"angry": ("ang",), "happy": ("hap", "exc"), "sad": ("sad",), "frustrated": ("fru",), "neutral": ("neu",)}
    ),
    "emotion6": _emotions(_FOUR | {"happy": ("hap",), "excited": ("exc",), "frustrated": ("fru",)}),
    "casia6": _emotions({**_FOUR, "happy": ("hap",), "fearful": ("fea",), "surprised": ("sur",)}),
    "emotion8": _emotions({**_FOUR, "fearful": ("fea",), "surprised": ("sur",), "disgusted": ("dis",), "bored": ("bor",)}),
    "happy_sad": _emotions({"happy": _FOUR["happy"], "sad": _FOUR["sad"]}),
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

Severity are the levels of the BDI-II's manual (Beck, Steer and Brown 1996): minimal 0 to 13, mild 14 to 19, moderate 20 to 28,
severe 29 to 63. The paper of CBAM-ResNet (section 5.3, Figure 18) names the same four without their limits; its '24 depression
severity levels' (section 3.1) are no scale's that it used. It enrolled scores of 14 to 28 as depressed (section 4.1), so that
nobody was severe by the manual, and it speaks of severe ones all the same. Happy_sad, ours, is two of IEMOCAP's standard four, for
corpora of few emotions.

Attributes (Li et al., ICASSP 2021) are numbers and no classes: their one class is that of every unit that was rated, whatever was
felt, so that regression is divided by the same protocols. Emotions that the raters did not agree on are rated all the same.
"""
