"""What each corpus role asks of the corpus that plays it: one table."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import pandas as pd


class Need(NamedTuple):
    """Something that the labels of the subjects' segments must hold."""

    what: str
    met: Callable[[pd.Series], bool]


class Role(NamedTuple):
    """Requirements of one role.

    Attributes:
        label: The label column that every segment needs.
        needs: What must occur among the labels.
        subject_in_session: Whether every session must have at least one turn of its subject.
    """

    label: str
    needs: tuple[Need, ...]
    subject_in_session: bool


ROLES = {
    "mdd": Role(
        label="depressed",
        needs=(
            Need("a depressed session (depressed = 1)", lambda labels: bool((labels == 1).any())),
            Need("a healthy session (depressed = 0)", lambda labels: bool((labels == 0).any())),
        ),
        subject_in_session=True,
    ),
    "mosei": Role(
        label="sentiment",
        needs=(
            Need("a positive sentence (sentiment > 0)", lambda scores: bool((scores > 0).any())),
            Need("a negative sentence (sentiment < 0)", lambda scores: bool((scores < 0).any())),
        ),
        subject_in_session=False,
    ),
}
"""Depression detection (interviews, one diagnosis a session) and sentiment (sentences with a signed score)."""
