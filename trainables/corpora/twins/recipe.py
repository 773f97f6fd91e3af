"""What a twin is: a few settings, everything planted, and the identity that follows from them."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, Field

from trainables.corpora.twins import emotional_sentences, sentences
from trainables.corpora.twins.effects import Effects, EmotionEffects

RECIPE_VERSION = 1
"""Raise it when the code that follows a recipe makes other sound from the same settings."""


def _ascending(pair: tuple[float, float]) -> tuple[float, float]:
    if pair[0] > pair[1]:
        raise ValueError("the first number must not be greater than the second")
    return pair


def _shares(pair: tuple[float, float]) -> tuple[float, float]:
    if sum(pair) > 1:
        raise ValueError("the shares of train and dev must not add up to more than 1")
    return pair


_Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
_SecondsRange = Annotated[tuple[_Seconds, _Seconds], AfterValidator(_ascending)]
_Count = Annotated[int, Field(ge=1)]
_CountRange = Annotated[tuple[_Count, _Count], AfterValidator(_ascending)]
_Share = Annotated[float, Field(ge=0, le=1)]


class Synthesiser(BaseModel, frozen=True, extra="forbid"):
    """Who speaks; another version may speak otherwise, so it is part of a twin's identity."""

    name: Literal["espeak-ng", "formant"]
    version: str


class MddRecipe(BaseModel, frozen=True, extra="forbid"):
    """Interviews on depression: one session and one recording per subject, turns of an interviewer and the subject.

    Attributes:
        seed: Controls everything drawn: voices, words, valence, lengths, rooms.
        sessions_per_class: Depressed and healthy sessions, as many of each; genders alternate within both. There are voices for
            no more than 30, and nobody may lend two subjects one voice.
        subject_seconds: Smallest and largest planned amount of a subject's speech, s.
        short_seconds: Planned amount in the one very short session of each class, s.
        effects: What is planted.
    """

    kind: Literal["mdd"] = "mdd"
    seed: int = 0
    sessions_per_class: int = Field(30, ge=2, le=30)
    subject_seconds: _SecondsRange = (18.0, 66.0)
    short_seconds: _Seconds = 10.0
    effects: Effects = Effects()


class MoseiRecipe(BaseModel, frozen=True, extra="forbid"):
    """Monologues with sentiment scores: one recording per speaker, several utterances in each.

    Attributes:
        seed: Controls everything drawn.
        speakers: Number of speakers, each in one split; there are 46 voices.
        utterances: Fewest and most utterances of a speaker.
        split_shares: Shares of the speakers in train and dev; the rest is test.
        effects: What is planted.
    """

    kind: Literal["mosei"] = "mosei"
    seed: int = 0
    speakers: int = Field(42, ge=3, le=46)
    utterances: _CountRange = (6, 14)
    split_shares: Annotated[tuple[_Share, _Share], AfterValidator(_shares)] = (0.7, 0.15)
    effects: Effects = Effects()


class IemocapRecipe(BaseModel, frozen=True, extra="forbid"):
    """Dialogues of two actors, every turn with a category and ratings of valence, activation and dominance; no splits.

    Attributes:
        seed: Controls everything drawn.
        sessions: Number of sessions, each with an actress and an actor of its own; IEMOCAP has five.
        dialogues: Recordings of a session: improvised and scripted ones by turns.
        turns: Fewest and most turns of a dialogue, both actors' together.
        effects: What is planted.
    """

    kind: Literal["iemocap"] = "iemocap"
    seed: int = 0
    sessions: int = Field(5, ge=2, le=5)
    dialogues: int = Field(6, ge=1, le=50)
    turns: _CountRange = (12, 18)
    effects: EmotionEffects = EmotionEffects()


AnyRecipe = MddRecipe | MoseiRecipe | IemocapRecipe
Recipe = Annotated[AnyRecipe, Field(discriminator="kind")]

RECIPES: dict[str, AnyRecipe] = {"mdd": MddRecipe(), "mosei": MoseiRecipe(), "iemocap": IemocapRecipe()}
"""The twin of each role."""


def twin_digest(recipe: AnyRecipe, synthesiser: Synthesiser) -> str:
    """Identity of a twin, known before it is made: a hash of all that decides its content, 16 hexadecimal digits."""
    modules = (sentences, emotional_sentences) if isinstance(recipe, IemocapRecipe) else (sentences,)
    texts = {name: value for module in modules for name, value in vars(module).items() if name.isupper()}
    told = [RECIPE_VERSION, recipe.model_dump(mode="json"), synthesiser.model_dump(), texts]
    return hashlib.blake2b(json.dumps(told, sort_keys=True).encode(), digest_size=8).hexdigest()
