"""What is learnt of emotion in the twins of IEMOCAP and CMU-MOSEI tells depression in the twin of DAIC-WOZ better than what a few
participants teach directly, exactly where that is planted. On the scripts: their words, and the settings of their voices.

A stand-in for the studies: logistic regression on TF-IDF, or on the five settings of a voice, gives every turn a negativity, whose
mean over the session ranks the participants; directly, the same features of whole sessions are fitted to the training participants.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import pytest
from sklearn.base import ClassifierMixin
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from trainables.corpora.emotions import EMOTIONS
from trainables.corpora.twins import sentences
from trainables.corpora.twins.clinical_answers import WORDINGS
from trainables.corpora.twins.clinical_effects import ClinicalEffects
from trainables.corpora.twins.emotional_sentences import EMOTIONAL
from trainables.corpora.twins.recipe import RECIPES, DaicWozRecipe
from trainables.corpora.twins.script import write_script
from trainables.corpora.twins.small_talk import SMALL_TALK
from trainables.corpora.twins.turns import Turn
from trainables.tasks import TASKS

SEEDS = range(8)


class Session(NamedTuple):
    """A participant's turns."""

    split: str
    depressed: int
    turns: list[Turn]


class Ranking(NamedTuple):
    """Areas under the ROC curve in one twin's held-out participants: by the emotion learnt elsewhere, and directly."""

    emotion: float
    direct: float


@functools.cache
def sessions(effects: ClinicalEffects, seed: int) -> list[Session]:
    found = []
    for recording in write_script(DaicWozRecipe(seed=seed, effects=effects)):
        turns = [turn for turn in recording.turns if turn.talker == "subject"]
        found.append(Session(recording.split, int(turns[0].labels["depressed"]), turns))
    return found


def negative(role: str, turn: Turn) -> int | None:
    """Whether a labelled turn of an emotional twin is negative; None of one that is neither."""
    if role == "mosei":
        return {0: 1, 1: 0, None: None}[TASKS["sentiment"].class_of(turn.labels["sentiment"])]
    return {"ang": 1, "fru": 1, "sad": 1, "hap": 0, "exc": 0}.get(str(turn.labels["emotion"]))


def words() -> ClassifierMixin:
    return make_pipeline(TfidfVectorizer(sublinear_tf=True), LogisticRegression(C=10.0, class_weight="balanced", max_iter=1000))


def voices() -> ClassifierMixin:
    return make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced"))


def settings(turn: Turn) -> list[float]:
    return [value for _, value in turn.style]


class Modality(NamedTuple):
    """How turns, and sessions directly, become a model's input."""

    model: Callable[[], ClassifierMixin]
    turns: Callable[[Sequence[Turn]], list]
    session: Callable[[Sequence[Turn]], object]


WORDS = Modality(words, lambda turns: [turn.text for turn in turns], lambda turns: " ".join(turn.text for turn in turns))
VOICES = Modality(
    voices,
    lambda turns: [settings(turn) for turn in turns],
    lambda turns: np.concatenate([statistic([settings(turn) for turn in turns], axis=0) for statistic in (np.mean, np.std)]),
)


@functools.cache
def emotion_model(role: str, modality: Modality) -> ClassifierMixin:
    labelled = [(turn, negative(role, turn)) for recording in write_script(RECIPES[role]) for turn in recording.turns]
    kept = [(turn, label) for turn, label in labelled if label is not None]
    return modality.model().fit(modality.turns([turn for turn, _ in kept]), [label for _, label in kept])


@functools.cache
def rankings(role: str, modality: Modality, effects: ClinicalEffects) -> list[Ranking]:
    found = []
    for seed in SEEDS:
        people = sessions(effects, seed)
        trained = [person for person in people if person.split == "train"]
        others = [person for person in people if person.split != "train"]
        truth = [person.depressed for person in others]
        told = emotion_model(role, modality).decision_function(modality.turns([turn for person in others for turn in person.turns]))
        ends = np.cumsum([len(person.turns) for person in others])[:-1]
        negativity = [of_person.mean() for of_person in np.split(told, ends)]
        direct = modality.model().fit([modality.session(person.turns) for person in trained], [p.depressed for p in trained])
        scores = direct.decision_function([modality.session(person.turns) for person in others])
        found.append(Ranking(roc_auc_score(truth, negativity), roc_auc_score(truth, scores)))
    return found


def mean_and_error(values: Sequence[float]) -> tuple[float, float]:
    return float(np.mean(values)), float(np.std(values, ddof=1) / np.sqrt(len(values)))


@pytest.mark.parametrize(("modality", "advantage"), [(WORDS, 0.1), (VOICES, 0.04)], ids=("words", "voices"))
def test_sentiment_learnt_elsewhere_tells_depression_better_than_what_is_learnt_directly(
    modality: Modality, advantage: float
) -> None:
    found = rankings("mosei", modality, ClinicalEffects())
    gain, error = mean_and_error([ranking.emotion - ranking.direct for ranking in found])
    assert gain > max(advantage, 2 * error)
    assert np.mean([ranking.emotion for ranking in found]) < 0.97  # and yet is not trivial


def test_words_of_the_monologues_teach_more_than_words_of_the_dialogues() -> None:
    """As the paper found of CMU-MOSEI and IEMOCAP (Table 2)."""
    of_role = {role: [ranking.emotion for ranking in rankings(role, WORDS, ClinicalEffects())] for role in ("mosei", "iemocap")}
    assert np.mean(of_role["mosei"]) > np.mean(of_role["iemocap"]) + 0.05 > 0.65


@pytest.mark.parametrize("effects", [ClinicalEffects(weather=False), ClinicalEffects.nothing()], ids=("no weather", "nothing"))
@pytest.mark.parametrize(
    ("role", "modality"),
    [("mosei", WORDS), ("iemocap", WORDS), ("mosei", VOICES), ("iemocap", VOICES)],
    ids=("words of mosei", "words of iemocap", "voices of mosei", "voices of iemocap"),
)
def test_neither_tells_depression_where_emotion_does_not_depend_on_it(
    role: str, modality: Modality, effects: ClinicalEffects
) -> None:
    found = rankings(role, modality, effects)
    for values in zip(*found, strict=True):
        auc, error = mean_and_error(values)
        assert abs(auc - 0.5) < 3 * error
        assert error < 0.06


def test_what_depression_does_directly_is_found_directly_and_without_emotion() -> None:
    direct = ClinicalEffects(weather=False, direct=True)
    words, voices = (rankings("mosei", modality, direct) for modality in (WORDS, VOICES))
    assert min(np.mean([ranking.direct for ranking in found]) for found in (words, voices)) > 0.8
    assert max(ranking.emotion - ranking.direct for ranking in words) < 0


def test_words_tell_more_than_voices_because_some_depressed_participants_sound_healthy() -> None:
    def emotion(modality: Modality, effects: ClinicalEffects) -> float:
        return float(np.mean([ranking.emotion for ranking in rankings("mosei", modality, effects)]))

    planted = ClinicalEffects()
    unmasked = ClinicalEffects(masked=0.0)
    assert emotion(WORDS, planted) > emotion(VOICES, planted) + 0.1
    assert emotion(VOICES, unmasked) > emotion(VOICES, planted) + 0.03
    assert emotion(WORDS, unmasked) == pytest.approx(emotion(WORDS, planted), abs=0.05)


def test_the_interviews_emotional_sentences_are_those_of_the_emotional_twins_and_no_others() -> None:
    known = {*sentences.POSITIVE, *sentences.NEGATIVE, *(said for of_one in EMOTIONAL.values() for said in of_one)}
    told = {said for of_one in WORDINGS.values() for said in of_one}
    assert told <= known
    assert len(told) >= 50
    assert not known & {said for of_one in SMALL_TALK.values() for said in of_one}


@pytest.mark.parametrize("role", ["mosei", "iemocap", "daic_woz"])
def test_the_twins_have_what_emotion_and_depression_models_need_of_every_turn(role: str) -> None:
    recordings = write_script(RECIPES[role])
    turns = [(recording, turn) for recording in recordings for turn in recording.turns if turn.talker == "subject"]
    assert all(turn.text.strip() for _, turn in turns)
    if role == "iemocap":
        assert len({recording.session for recording, _ in turns}) == 5
        assert all(turn.labels["emotion"] in EMOTIONS for _, turn in turns)
        for name in ("valence", "activation", "dominance"):
            assert all(1 <= float(turn.labels[name]) <= 5 for _, turn in turns)
        for session in {recording.session for recording, _ in turns}:
            of_session = {
                TASKS["emotion4"].class_of(turn.labels["emotion"]) for recording, turn in turns if recording.session == session
            }
            assert of_session >= {0, 1, 2, 3}
        return
    task = TASKS["sentiment" if role == "mosei" else "depression"]
    for split in ("train", "dev", "test"):
        assert {task.class_of(turn.labels[task.column]) for recording, turn in turns if recording.split == split} >= {0, 1}
    # Sentences in context: nearly all turns have three before and three after in the same recording.
    long = [sum(turn.talker == "subject" for turn in recording.turns) >= 6 for recording in recordings]
    assert np.mean(long) > 0.95
