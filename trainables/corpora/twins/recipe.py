"""What a twin is: a few settings, everything planted, and the identity that follows from them."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from trainables.corpora.twins import sentences
from trainables.corpora.twins.effects import Effects

RECIPE_VERSION = 1
"""Raise it when the code that follows a recipe makes other sound from the same settings."""


class Synthesiser(BaseModel, frozen=True, extra="forbid"):
    """Who speaks; another version may speak otherwise, so it is part of a twin's identity."""

    name: Literal["espeak-ng", "formant"]
    version: str


class MddRecipe(BaseModel, frozen=True, extra="forbid"):
    """Interviews on depression: one session and one recording per subject, turns of an interviewer and the subject.

    Attributes:
        seed: Controls everything drawn: voices, words, valence, lengths, rooms.
        sessions_per_class: Depressed and healthy sessions, as many of each; genders alternate within both.
        subject_seconds: Smallest and largest planned amount of a subject's speech, s.
        short_seconds: Planned amount in the one very short session of each class, s.
        effects: What is planted.
    """

    kind: Literal["mdd"] = "mdd"
    seed: int = 0
    sessions_per_class: int = Field(30, ge=1)
    subject_seconds: tuple[float, float] = (18.0, 66.0)
    short_seconds: float = 10.0
    effects: Effects = Effects()


class MoseiRecipe(BaseModel, frozen=True, extra="forbid"):
    """Monologues with sentiment scores: one recording per speaker, several utterances in each.

    Attributes:
        seed: Controls everything drawn.
        speakers: Number of speakers, each in one split.
        utterances: Fewest and most utterances of a speaker.
        split_shares: Shares of the speakers in train and dev; the rest is test.
        effects: What is planted.
    """

    kind: Literal["mosei"] = "mosei"
    seed: int = 0
    speakers: int = Field(42, ge=3)
    utterances: tuple[int, int] = (6, 14)
    split_shares: tuple[float, float] = (0.7, 0.15)
    effects: Effects = Effects()


Recipe = Annotated[MddRecipe | MoseiRecipe, Field(discriminator="kind")]

RECIPES: dict[str, MddRecipe | MoseiRecipe] = {"mdd": MddRecipe(), "mosei": MoseiRecipe()}
"""The twin of each role."""


def twin_digest(recipe: MddRecipe | MoseiRecipe, synthesiser: Synthesiser) -> str:
    """Identity of a twin, known before it is made: a hash of all that decides its content, 16 hexadecimal digits."""
    texts = {name: value for name, value in vars(sentences).items() if name.isupper()}
    told = [RECIPE_VERSION, recipe.model_dump(mode="json"), synthesiser.model_dump(), texts]
    return hashlib.blake2b(json.dumps(told, sort_keys=True).encode(), digest_size=8).hexdigest()
