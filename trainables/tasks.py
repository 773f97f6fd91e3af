"""What is classified: for each task the label it is read from, its classes, and which labels belong to which: one table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

TaskName = Literal["depression", "sentiment", "emotion5"]
"""A key of :data:`TASKS`, as a stage's setting."""


class Task(NamedTuple):
    """A classification task.

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


_EMOTIONS = {"angry": ("ang",), "happy": ("hap", "exc"), "sad": ("sad",), "frustrated": ("fru",), "neutral": ("neu",)}
"""Class to IEMOCAP's codes, which every manifest with emotions holds (:mod:`trainables.corpora.emotions`)."""

_EMOTION_CLASS = {code: number for number, codes in enumerate(_EMOTIONS.values()) for code in codes}


TASKS: dict[TaskName, Task] = {
    "depression": Task("depressed", ("healthy", "depressed"), {0: 0, 1: 1}.get, of_speaker=True),
    "sentiment": Task("sentiment", ("negative", "positive"), _sign),
    "emotion5": Task("emotion", tuple(_EMOTIONS), _EMOTION_CLASS.get),
}
"""Sources: ReCLR, section 3.1.

Sentiment (CMU-MOSEI): sentences 'with a score of 0' are neglected, a score below 0 is class 0, any other class 1.
Emotion5 (IEMOCAP): 'we select utterances labeled as "angry", "happy", "excited", "sad", "frustrated", and "neutral", where
utterances with "excited" are merged into "happy" class'; every other category, and utterances without one (''), are left out.
"""
