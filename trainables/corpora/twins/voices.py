"""The cast: which voices the twins' speakers have. Two people share none, in whatever twins they are, with one exception.

espeak-ng has too few English voices for everybody: the spoken tasks borrow the interviews' subjects, because no study uses both,
and the participants of the screening interviews have vocal tracts of two lengths.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, Field

Gender = Literal["female", "male"]

_ACCENTS = ("gmw/en-US", "gmw/en", "gmw/en-GB-x-rp", "gmw/en-GB-scotland")
_VARIANTS: dict[Gender, tuple[str, ...]] = {
    "female": ("f1", "f2", "f3", "f4", "f5", "linda", "belinda", "steph", "Annie", "Alicia", "Andrea", "aunty", "anika",
               "shelby"),
    "male": ("m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8", "adam", "david", "max", "robert", "quincy", "Alex", "Reed",
             "benjamin"),
}  # fmt: skip
_ACTORS_ACCENTS = ("gmw/en-US-nyc", "gmw/en-GB-x-gbclan", "gmw/en-029")
_PODCASTS_ACCENTS = ("gmw/en-GB-x-gbcwmd",)
_MANDARIN = ("sit/cmn-Latn-pinyin",)
_POOLS = {
    "interviews": (_ACCENTS, 0, 30),
    "monologues": (_ACCENTS, 30, 53),
    "interviewers": (_ACCENTS, 53, 55),
    "actors": (_ACTORS_ACCENTS, 0, 5),
    "participants": (_ACTORS_ACCENTS, 5, 27),
    "virtual interviewer": (_ACTORS_ACCENTS, 27, 28),
    "readers": (_ACTORS_ACCENTS, 28, 42),
    "podcasts": (_PODCASTS_ACCENTS, 0, 14),
    "mandarin actors": (_MANDARIN, 0, 2),
}
_TRACTS = {"participants": (-0.9, 0.9)}
"""Semitones by which a pool's voices are lent out again: 11 % of the formants between two people, where the warps that map speakers
of one sex and of the other onto each other run from -12 to 12 % (Lee and Rose, IEEE Transactions on Speech and Audio Processing 6,
1998)."""


class Voice(BaseModel, frozen=True):
    """A speaker's voice.

    Attributes:
        accent: A voice of espeak-ng.
        variant: Its voice variant; the formant synthesiser makes a vocal tract of accent and variant.
        gender: Of the variant.
        pitch: The speaker's own shift of the variant's pitch, semitones.
        rate: The speaker's own shift of the speaking rate, natural logarithm.
        tract: Shift of the variant's formants, semitones, as of a shorter (above 0) or longer vocal tract. None is left out of the
            dump: scripts that were written before there was a choice keep their digest.
    """

    accent: str
    variant: str
    gender: Gender
    pitch: float
    rate: float
    tract: float = Field(default=0.0, exclude_if=lambda shift: shift == 0)


def cast_voices(count: int, pool: str, generator: random.Random) -> list[Voice]:
    """As many different voices as asked for, genders alternating.

    Args:
        count: How many.
        pool: One of 'interviews', 'monologues', 'interviewers', 'actors', 'participants', 'virtual interviewer', 'readers',
            'podcasts' and 'mandarin actors': each has voices of its own, 60, 46, 4, 10, 88, 2, 28, 28 and 4.
        generator: Draws the speakers' pitch and rate; which voices there are does not depend on it.

    Raises:
        IndexError: The pool has fewer.
    """
    accents, first, last = _POOLS[pool]
    genders: tuple[Gender, Gender] = ("female", "male")
    shuffled = {}
    for gender in genders:
        pairs = [(accent, variant) for accent in accents for variant in _VARIANTS[gender]]
        random.Random("the twins' cast").shuffle(pairs)
        shuffled[gender] = pairs[first:last]
    tracts, pairs_of_each = _TRACTS.get(pool, (0.0,)), last - first
    return [
        Voice(
            accent=accent,
            variant=variant,
            gender=genders[index % 2],
            pitch=round(generator.gauss(0.0, 1.0), 3),
            rate=round(generator.gauss(0.0, 0.06), 3),
            tract=tracts[index // 2 // pairs_of_each],
        )
        for index in range(count)
        for accent, variant in [shuffled[genders[index % 2]][index // 2 % pairs_of_each]]
    ]


def balanced_draw(voices: list[Voice], among: Sequence[int], count: int, generator: random.Random) -> set[int]:
    """Draw some of the voices, as many women as men as far as possible.

    Args:
        voices: All voices.
        among: Places of those to draw from.
        count: How many to draw, no more than there are.
        generator: Draws them.

    Returns:
        The places of the drawn ones.
    """
    return set(by_turns(voices, among, generator)[:count])


def by_turns(voices: list[Voice], among: Sequence[int], generator: random.Random) -> list[int]:
    """The places ``among`` the voices in a drawn order, in which a woman and a man follow each other as long as there are both."""
    shuffled = generator.sample(among, len(among))
    ranks = {gender: [place for place in shuffled if voices[place].gender == gender] for gender in ("female", "male")}
    return sorted(shuffled, key=lambda place: ranks[voices[place].gender].index(place))
