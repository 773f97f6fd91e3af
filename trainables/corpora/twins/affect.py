"""Valence, activation and dominance: where emotions lie, and what raters make of them."""

from __future__ import annotations

import random
from typing import NamedTuple

SCATTER = 0.4
"""Standard deviation of a turn's valence, activation and dominance around its category's, and of a rater around the turn's."""


class Affect(NamedTuple):
    """Where a turn lies: each from 1 to 5, 3 is neutral (IEMOCAP's scale and order)."""

    valence: float
    activation: float
    dominance: float


CENTRES = {
    "ang": Affect(1.7, 4.0, 4.0),
    "hap": Affect(4.2, 3.2, 3.2),
    "exc": Affect(4.3, 4.1, 3.5),
    "sad": Affect(1.9, 1.7, 2.1),
    "fru": Affect(2.1, 3.1, 3.3),
    "neu": Affect(3.0, 2.6, 3.0),
    "sur": Affect(3.2, 3.7, 2.8),
    "fea": Affect(1.9, 3.6, 1.8),
    "dis": Affect(1.8, 3.0, 3.4),
    "con": Affect(2.2, 2.8, 3.7),
    "oth": Affect(3.0, 3.0, 3.0),
}
"""Category to where its turns lie on average: ours, placed as the circumplex of affect places them (Russell, 1980)."""


def draw_affect(category: str, generator: random.Random) -> Affect:
    """Where one turn of a category lies."""
    return Affect(*(_on_scale(generator.gauss(centre, SCATTER)) for centre in CENTRES[category]))


def rated(affect: Affect, raters: random.Random, count: int, points: int = 5) -> dict[str, float]:
    """The mean of whole-numbered ratings of what was heard.

    Args:
        affect: Where the turn lies.
        raters: Their scatter.
        count: How many they are; means are multiples of 1 / count.
        points: The raters' scale: 1 to 5 (IEMOCAP), or 1 to 7 (MSP-Podcast).
    """
    step = (points - 1) / 4
    return {
        name: sum(round(1 + step * (_on_scale(raters.gauss(value, SCATTER)) - 1)) for _ in range(count)) / count
        for name, value in affect._asdict().items()
    }


def _on_scale(value: float) -> float:
    return min(5.0, max(1.0, value))
