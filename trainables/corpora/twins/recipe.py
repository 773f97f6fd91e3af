"""What a twin is: a few settings, everything planted, and the identity that follows from them."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, Field

from trainables.corpora.twins import (
    emotional_sentences,
    interview_prompts,
    mandarin_sentences,
    passages,
    podcast_sentences,
    sentences,
    small_talk,
    task_texts,
)
from trainables.corpora.twins.clinical_effects import ClinicalEffects
from trainables.corpora.twins.effects import (
    ActedEffects,
    Effects,
    EmotionEffects,
    PodcastEffects,
    ReadingEffects,
    TaskEffects,
)

_REVISIONS = {"iemocap": 1, "daic_woz": 1, "sre": 1}
"""Of a kind of recipe that is followed otherwise than it was: iemocap's manifest has style and prompt, daic_woz has weather, sre
deals its levels out by gender and speaks longer."""

RECIPE_VERSION = 1
"""Raise it when the code that follows a recipe makes other sound from the same settings."""


def _ascending(pair: tuple[float, float]) -> tuple[float, float]:
    if pair[0] > pair[1]:
        raise ValueError("the first number must not be greater than the second")
    return pair


def _shares(shares: tuple[float, ...]) -> tuple[float, ...]:
    if sum(shares) > 1:
        raise ValueError("the shares of the splits must not add up to more than 1")
    return shares


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


class DaicWozRecipe(BaseModel, frozen=True, extra="forbid"):
    """Screening interviews by one virtual interviewer: a session and a recording per participant, with PHQ-8 scores and splits.

    Attributes:
        seed: Controls everything drawn.
        participants: Number of subjects; there are 88 voices.
        split_shares: Shares of the participants in train and dev; the rest is test. DAIC-WOZ has 107 and 35 of 189; so small a
            twin holds out a larger share, because a dozen participants could not rank anything.
        depressed_share: Share of depressed participants in each split, about the real corpus'; each split has one at least.
        subject_seconds: Smallest and largest planned amount of a participant's speech, s.
        short_seconds: Planned amount of the one participant who hardly speaks, s.
        effects: What is planted.
    """

    kind: Literal["daic_woz"] = "daic_woz"
    seed: int = 0
    participants: int = Field(88, ge=8, le=88)
    split_shares: Annotated[tuple[_Share, _Share], AfterValidator(_shares)] = (0.5, 0.25)
    depressed_share: float = Field(0.33, gt=0, lt=1)
    subject_seconds: _SecondsRange = (24.0, 44.0)
    short_seconds: _Seconds = 4.0
    effects: ClinicalEffects = ClinicalEffects()


class SreRecipe(BaseModel, frozen=True, extra="forbid"):
    """Four tasks with positive, neutral and negative material, by depressed and healthy subjects with BDI-II scores; no splits.

    Attributes:
        seed: Controls everything drawn.
        subjects_per_class: Depressed and healthy subjects, as many of each; 25, as in the corpus, at most. From 18 on every level
            of severity has two women and two men or more, so that it can be divided within a gender.
        effects: What is planted.
    """

    kind: Literal["sre"] = "sre"
    seed: int = 0
    subjects_per_class: int = Field(25, ge=2, le=25)
    effects: TaskEffects = TaskEffects()


class MspPodcastRecipe(BaseModel, frozen=True, extra="forbid"):
    """Utterances from podcasts, each with a category and ratings of valence, activation and dominance from 1 to 7; four splits.

    Attributes:
        seed: Controls everything drawn.
        speakers: Number of speakers, each in one split; there are 28 voices.
        utterances: Fewest and most utterances of a speaker.
        split_shares: Shares of the speakers in train, dev and test; the rest is test2.
        unknown_share: Share of the speakers who are unknown, all of them in train.
        effects: What is planted.
    """

    kind: Literal["msp_podcast"] = "msp_podcast"
    seed: int = 0
    speakers: int = Field(28, ge=8, le=28)
    utterances: _CountRange = (7, 13)
    split_shares: Annotated[tuple[_Share, _Share, _Share], AfterValidator(_shares)] = (0.55, 0.15, 0.18)
    unknown_share: _Share = 0.12
    effects: PodcastEffects = PodcastEffects()


class CasiaRecipe(BaseModel, frozen=True, extra="forbid"):
    """The same sentences by two actresses and two actors in six emotions; no splits.

    Attributes:
        seed: Controls everything drawn.
        texts: Number of sentences, each said 24 times; the free part of the corpus has 50, the twin 20.
        effects: What is planted.
    """

    kind: Literal["casia"] = "casia"
    seed: int = 0
    texts: int = Field(12, ge=1, le=20)
    effects: ActedEffects = ActedEffects()


class LibriSpeechRecipe(BaseModel, frozen=True, extra="forbid"):
    """Readings, one chapter a reader, with splits and without labels.

    Attributes:
        seed: Controls everything drawn.
        speakers: Number of readers, each in one split; there are 28 voices.
        utterances: Fewest and most utterances of a reader.
        split_shares: Shares of the readers in train and dev; the rest is test.
        effects: What is planted.
    """

    kind: Literal["librispeech"] = "librispeech"
    seed: int = 0
    speakers: int = Field(28, ge=3, le=28)
    utterances: _CountRange = (4, 8)
    split_shares: Annotated[tuple[_Share, _Share], AfterValidator(_shares)] = (0.7, 0.15)
    effects: ReadingEffects = ReadingEffects()


AnyRecipe = MddRecipe | MoseiRecipe | IemocapRecipe | DaicWozRecipe | SreRecipe | MspPodcastRecipe | CasiaRecipe | LibriSpeechRecipe
Recipe = Annotated[AnyRecipe, Field(discriminator="kind")]

RECIPES: dict[str, AnyRecipe] = {
    "mdd": MddRecipe(),
    "mosei": MoseiRecipe(),
    "iemocap": IemocapRecipe(),
    "daic_woz": DaicWozRecipe(),
    "sre": SreRecipe(),
    "msp_podcast": MspPodcastRecipe(),
    "casia": CasiaRecipe(),
    "librispeech": LibriSpeechRecipe(),
}
"""The twin of each role."""

_TEXTS = {
    "mdd": (sentences,),
    "mosei": (sentences,),
    "iemocap": (sentences, emotional_sentences),
    "daic_woz": (sentences, emotional_sentences, small_talk, interview_prompts),
    "sre": (sentences, task_texts),
    "msp_podcast": (sentences, emotional_sentences, podcast_sentences),
    "casia": (mandarin_sentences,),
    "librispeech": (passages,),
}
"""The modules whose texts each kind of twin says."""


def twin_digest(recipe: AnyRecipe, synthesiser: Synthesiser) -> str:
    """Identity of a twin, known before it is made: a hash of all that decides its content, 16 hexadecimal digits."""
    texts = {name: value for module in _TEXTS[recipe.kind] for name, value in vars(module).items() if name.isupper()}
    version = RECIPE_VERSION + _REVISIONS.get(recipe.kind, 0)
    told = [version, recipe.model_dump(mode="json"), synthesiser.model_dump(), texts]
    return hashlib.blake2b(json.dumps(told, sort_keys=True).encode(), digest_size=8).hexdigest()
