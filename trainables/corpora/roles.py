"""What each corpus role asks of the corpus that plays it: one table."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from trainables.corpora.emotions import EMOTIONS
from trainables.tasks import TASKS

if TYPE_CHECKING:
    import pandas as pd


class Need(NamedTuple):
    """Something that must occur among the subjects' segments: at least ``least`` of ``what``, as ``count`` finds them."""

    least: int
    what: str
    count: Callable[[pd.DataFrame], int]


class Role(NamedTuple):
    """Requirements of one role.

    Attributes:
        label: The label column that every segment needs; '' if the role needs none.
        needs: What must occur among the labels.
        one_subject: Whether every session must have turns of exactly one subject: the label and the place in a split are then
            the session's, and a second subject would be in training and test unseen.
        words: The label's values, where they are words; '' (unknown) is always one more.
    """

    label: str
    needs: tuple[Need, ...]
    one_subject: bool
    words: tuple[str, ...] = ()


def _speakers_with(diagnosis: int) -> Callable[[pd.DataFrame], int]:
    """Counts speakers as the split does (:func:`trainables.protocols.split_by_speaker`): by their first session's label."""
    return lambda segments: int((segments.groupby("speaker")["depressed"].first() == diagnosis).sum())


def _with_emotion(codes: frozenset[str]) -> Callable[[pd.DataFrame], int]:
    """Counts the emotions, of these, that two or more speakers have."""

    def count(segments: pd.DataFrame) -> int:
        speakers = segments[segments["emotion"].isin(codes)].groupby("emotion")["speaker"].nunique()
        return int((speakers >= 2).sum())

    return count


def _divisible_classes(segments: pd.DataFrame) -> int:
    """Counts classes of emotion that can be on both sides of a split by speaker."""
    speakers = segments.groupby(segments["emotion"].map(TASKS["emotion5"].class_of))["speaker"].nunique()
    return int((speakers >= 2).sum())


_DEPRESSION = Role(
    label="depressed",
    needs=(
        Need(2, "depressed speakers (depressed = 1)", _speakers_with(1)),
        Need(2, "healthy speakers (depressed = 0)", _speakers_with(0)),
    ),
    one_subject=True,
)

_EMOTION = Role(
    label="emotion",
    needs=(
        Need(2, "speakers", lambda segments: segments["speaker"].nunique()),
        Need(2, "emotions that two or more speakers have", _with_emotion(frozenset(EMOTIONS) - {"xxx", "oth"})),
    ),
    one_subject=False,
    words=EMOTIONS,
)

ROLES = {
    "mdd": _DEPRESSION,
    "daic_woz": _DEPRESSION,
    "sre": _DEPRESSION,
    "mosei": Role(
        label="sentiment",
        needs=(
            Need(1, "positive sentence (sentiment > 0)", lambda segments: int((segments["sentiment"] > 0).sum())),
            Need(1, "negative sentence (sentiment < 0)", lambda segments: int((segments["sentiment"] < 0).sum())),
        ),
        one_subject=False,
    ),
    "iemocap": Role(
        label="emotion",
        needs=(
            Need(3, "speakers", lambda segments: segments["speaker"].nunique()),
            Need(2, "emotions (ang, hap or exc, sad, fru, neu) that two or more speakers have", _divisible_classes),
        ),
        one_subject=False,
        words=EMOTIONS,
    ),
    "msp_podcast": _EMOTION,
    "casia": _EMOTION,
    "librispeech": Role(
        label="",
        needs=(Need(2, "speakers", lambda segments: segments["speaker"].nunique()),),
        one_subject=False,
    ),
}
"""Depression detection (interviews or tasks, one diagnosis a session), sentiment (sentences with a signed score), emotion
recognition (turns and utterances, one category each; '' and 'xxx' are turns without an agreed category, which tasks leave out),
and speech without labels.

Two speakers of each diagnosis, because nobody is in both training and test: with fewer there is no split with both classes in both.
Of emotions any two will do, because few corpora have all five classes (EmoDB has no frustration). Two speakers of each and three
speakers in all are just enough for a split by speaker that has both emotions on both sides.
"""
