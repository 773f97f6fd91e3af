"""The msp_podcast, casia and librispeech twins: a recording per utterance."""

from __future__ import annotations

from collections import Counter, defaultdict
from statistics import mean

import pytest

from trainables.corpora.emotions import EMOTIONS
from trainables.corpora.twins.effects import ActedEffects, PodcastEffects, ReadingEffects
from trainables.corpora.twins.recipe import RECIPES, CasiaRecipe, LibriSpeechRecipe, MspPodcastRecipe
from trainables.corpora.twins.script import write_script
from trainables.corpora.twins.turns import Recording, Turn


@pytest.fixture(scope="module")
def podcasts() -> list[Recording]:
    return write_script(RECIPES["msp_podcast"])


@pytest.fixture(scope="module")
def takes() -> list[Recording]:
    return write_script(RECIPES["casia"])


@pytest.fixture(scope="module")
def readings() -> list[Recording]:
    return write_script(RECIPES["librispeech"])


@pytest.mark.parametrize("role", ["msp_podcast", "casia", "librispeech"])
def test_a_recording_holds_one_utterance_and_a_session_is_one_voice_in_one_room(role: str) -> None:
    script = write_script(RECIPES[role])
    assert len({recording.name for recording in script}) == len(script)
    assert all(len(recording.turns) == 1 for recording in script)
    for_session = defaultdict(set)
    for recording in script:
        for_session[recording.session].add((recording.seed, recording.split, recording.turns[0].voice))
    assert all(len(found) == 1 for found in for_session.values())


def test_a_podcasts_speaker_is_in_one_split_of_four(podcasts: list[Recording]) -> None:
    speakers = defaultdict(set)
    for recording in podcasts:
        speakers[recording.split].add(recording.turns[0].voice)
    assert {split: len(voices) for split, voices in speakers.items()} == {"train": 15, "dev": 4, "test": 5, "test2": 4}
    assert sum(map(len, speakers.values())) == len(set.union(*speakers.values()))
    sessions = defaultdict(set)
    for recording in podcasts:
        sessions[recording.turns[0].voice].add(recording.session)
    assert set(map(len, sessions.values())) == {1, 2}


def test_each_utterance_of_an_unknown_speaker_has_a_speaker_of_its_own_and_all_are_in_train(podcasts: list[Recording]) -> None:
    unknown = [recording for recording in podcasts if recording.turns[0].speaker.startswith("unknown-")]
    assert {recording.split for recording in unknown} == {"train"}
    assert len({recording.turns[0].speaker for recording in unknown}) == len(unknown) > 15
    assert len({recording.turns[0].voice for recording in unknown}) == 3


def test_podcasts_are_mostly_neutral_rated_by_five_from_1_to_7_and_sometimes_without_agreement(podcasts: list[Recording]) -> None:
    labels = [recording.turns[0].labels for recording in podcasts]
    counts = Counter(str(label["emotion"]) for label in labels)
    assert set(counts) <= set(EMOTIONS)
    assert counts["neu"] > counts["hap"] > counts["ang"] > counts["fea"]
    assert 0.05 < counts["xxx"] / len(labels) < 0.2
    for label in labels:
        for name in ("valence", "activation", "dominance"):
            assert 1 <= float(label[name]) <= 7
            assert 5 * float(label[name]) == pytest.approx(round(5 * float(label[name])))
    ratings = defaultdict(list)
    for label in labels:
        ratings[label["emotion"]].append(float(label["valence"]))
    assert mean(ratings["hap"]) > 4.8 > 3.2 > mean(ratings["ang"])
    assert max(max(values) for values in ratings.values()) > 5


def test_four_actors_say_the_same_sentences_in_six_emotions(takes: list[Recording]) -> None:
    turns = [recording.turns[0] for recording in takes]
    cells = Counter((turn.speaker, turn.labels["emotion"], turn.labels["prompt"]) for turn in turns)
    assert len(cells) == len(turns) == 4 * 6 * 12
    assert Counter(turn.labels["gender"] for turn in turns) == {"female": 144, "male": 144}
    texts = defaultdict(set)
    for turn in turns:
        texts[turn.labels["prompt"]].add(turn.text)
    assert all(len(text) == 1 for text in texts.values())
    assert len(set.union(*texts.values())) == 12


def test_an_emotion_is_heard_in_the_voice(takes: list[Recording]) -> None:
    volumes, pitches = defaultdict(list), defaultdict(list)
    for turn in (recording.turns[0] for recording in takes):
        volumes[turn.labels["emotion"]].append(turn.style.volume)
        pitches[turn.labels["emotion"]].append(turn.style.pitch)
    assert mean(volumes["ang"]) > mean(volumes["neu"]) > mean(volumes["sad"])
    assert mean(pitches["fea"]) > mean(pitches["ang"]) + 3


def test_readers_have_numbers_chapters_a_split_each_and_no_labels(readings: list[Recording]) -> None:
    splits = defaultdict(set)
    for recording in readings:
        turn = recording.turns[0]
        assert turn.speaker.isdigit()
        assert recording.name.startswith(f"{recording.session}-")
        assert recording.session.startswith(f"{turn.speaker}-")
        assert set(turn.labels) == {"gender"}
        splits[recording.split].add(turn.speaker)
    assert {split: len(speakers) for split, speakers in splits.items()} == {"train": 20, "dev": 4, "test": 4}
    lengths = [len(recording.turns[0].text) for recording in readings]
    assert max(lengths) > 3 * min(lengths)


def unlabelled(script: list[Recording]) -> list[Turn]:
    return [recording.turns[0].model_copy(update={"labels": {}}) for recording in script]


@pytest.mark.parametrize(
    "recipe",
    [MspPodcastRecipe(effects=PodcastEffects.nothing()), CasiaRecipe(effects=ActedEffects.nothing())],
    ids=("msp_podcast", "casia"),
)
def test_with_nothing_planted_other_labels_leave_words_and_voices_as_they_are(recipe: MspPodcastRecipe | CasiaRecipe) -> None:
    told = recipe.model_copy(update={"effects": recipe.effects.model_copy(update={"labelled": True})})
    apart, follows = write_script(recipe), write_script(told)
    assert unlabelled(apart) == unlabelled(follows)
    same = sum(
        one.turns[0].labels["emotion"] == other.turns[0].labels["emotion"] for one, other in zip(apart, follows, strict=True)
    )
    assert same < 0.45 * len(apart)


def test_readings_with_nothing_planted_have_the_same_words_and_less_variety(readings: list[Recording]) -> None:
    monotonous = write_script(LibriSpeechRecipe(effects=ReadingEffects.nothing()))
    assert [recording.turns[0].text for recording in monotonous] == [recording.turns[0].text for recording in readings]
    assert spread(monotonous) < 0.5 * spread(readings)


def spread(script: list[Recording]) -> float:
    """Mean absolute distance of an utterance's volume from its reader's mean, dB."""
    volumes = defaultdict(list)
    for recording in script:
        volumes[recording.session].append(recording.turns[0].style.volume)
    return mean(abs(volume - mean(of_one)) for of_one in volumes.values() for volume in of_one)
