"""The daic_woz and sre twins: interviews with scores and splits, and tasks with material of three valences."""

from __future__ import annotations

from collections import Counter, defaultdict
from statistics import mean

import pytest

from trainables.corpora.twins.clinical_effects import ClinicalEffects
from trainables.corpora.twins.effects import Shift, TaskEffects
from trainables.corpora.twins.interview_prompts import PROBES
from trainables.corpora.twins.recipe import RECIPES, DaicWozRecipe, SreRecipe
from trainables.corpora.twins.script import write_script
from trainables.corpora.twins.spoken_tasks import LEVELS
from trainables.corpora.twins.turns import Recording, Turn, planned_seconds
from trainables.corpora.twins.voices import balanced_draw


@pytest.fixture(scope="module")
def interviews() -> list[Recording]:
    return write_script(RECIPES["daic_woz"])


@pytest.fixture(scope="module")
def tasks() -> list[Recording]:
    return write_script(RECIPES["sre"])


def subject(recording: Recording) -> Turn:
    return next(turn for turn in recording.turns if turn.talker == "subject")


def level(bdi_ii: float) -> str:
    return next(name for name, (lowest, highest) in LEVELS.items() if lowest <= bdi_ii <= highest)


@pytest.mark.parametrize("seed", range(5))
def test_who_scores_10_or_more_is_depressed_and_some_scores_are_next_to_the_threshold(seed: int) -> None:
    labels = [subject(recording).labels for recording in write_script(DaicWozRecipe(seed=seed))]
    assert all(label["depressed"] == (float(label["phq8"]) >= 10) for label in labels)
    assert all(0 <= float(label["phq8"]) <= 24 for label in labels)
    assert sum(8 <= float(label["phq8"]) <= 11 for label in labels) >= 3


@pytest.mark.parametrize(
    ("recipe", "sizes", "depressed"),
    [
        (DaicWozRecipe(), {"train": 44, "dev": 22, "test": 22}, {"train": 15, "dev": 7, "test": 7}),
        (DaicWozRecipe(participants=8), {"train": 4, "dev": 2, "test": 2}, {"train": 1, "dev": 1, "test": 1}),
        (
            DaicWozRecipe(participants=8, split_shares=(1.0, 0.0)),
            {"train": 6, "dev": 1, "test": 1},
            {"train": 2, "dev": 1, "test": 1},
        ),
    ],
)
def test_every_split_has_its_share_of_participants_and_of_depressed_ones(
    recipe: DaicWozRecipe, sizes: dict[str, int], depressed: dict[str, int]
) -> None:
    script = write_script(recipe)
    assert Counter(recording.split for recording in script) == sizes
    assert Counter(recording.split for recording in script if subject(recording).labels["depressed"]) == depressed


@pytest.mark.parametrize("seed", range(3))
def test_a_diagnosis_is_balanced_over_gender(seed: int) -> None:
    for recipe in (DaicWozRecipe(seed=seed), SreRecipe(seed=seed)):
        counts: dict[tuple[str, str], set[str]] = defaultdict(set)
        for recording in write_script(recipe):
            who = subject(recording)
            if who.labels["depressed"]:
                counts[recording.split, str(who.labels["gender"])].add(who.speaker)
        for split in {split for split, _ in counts}:
            assert abs(len(counts[split, "female"]) - len(counts[split, "male"])) <= 1


def test_one_interviewer_says_the_same_in_the_same_way_in_all_sessions_and_asks_the_depressed_about_it(
    interviews: list[Recording],
) -> None:
    asked: dict[int, list[bool]] = {0: [], 1: []}
    for recording in interviews:
        prompts = [turn for turn in recording.turns if turn.talker == "interviewer"]
        assert {(turn.speaker, turn.style, turn.seed) for turn in prompts} == {("Ellie", Shift(), 0)}
        assert len({turn.labels["phq8"] for turn in recording.turns}) == 1
        asked[int(prompts[0].labels["depressed"])] += [turn.text.lower() in PROBES for turn in prompts]
    assert mean(asked[1]) > 2 * mean(asked[0]) > 0


def test_interviews_have_the_traps_of_the_real_ones(interviews: list[Recording]) -> None:
    turns = [turn for recording in interviews for turn in recording.turns if turn.talker == "subject"]
    assert any(turn.pause < 0 for turn in turns)
    assert any(len(turn.text) < 5 for turn in turns)
    assert min(sum(turn.talker == "subject" for turn in recording.turns) for recording in interviews) <= 3


def test_where_depression_acts_directly_it_changes_a_voice_more_the_higher_the_score() -> None:
    still = {"activation": Shift(), "speaker_scatter": Shift(), "turn_scatter": Shift()}
    quiet = ClinicalEffects.nothing().model_copy(update={"direct": True, "depression": Shift(volume=-10.0), **still})
    for recording in write_script(DaicWozRecipe(effects=quiet)):
        who = subject(recording)
        expected = -10.0 * float(who.labels["phq8"]) / 15 if who.labels["depressed"] else 0.0
        assert who.style.volume == pytest.approx(expected)


def test_a_subject_does_four_tasks_with_material_of_three_valences_and_few_recordings_are_missing(tasks: list[Recording]) -> None:
    done = defaultdict(set)
    for recording in tasks:
        labels = [turn.labels for turn in recording.turns]
        assert len({(label["task"], label["stimulus"]) for label in labels}) == 1
        done[recording.session].add((labels[0]["task"], labels[0]["stimulus"]))
    every = set.union(*done.values())
    assert every == {
        (task, stimulus)
        for task in ("vocabulary reading", "essay reading", "interview", "picture description")
        for stimulus in ("positive", "neutral", "negative")
    }
    assert len(done) == 50, "as in the corpus"
    assert 0 < 50 * 12 - len(tasks) < 0.07 * 50 * 12


def test_a_session_is_one_subjects_with_one_score_and_the_levels_of_severity_are_unequal(tasks: list[Recording]) -> None:
    scores: dict[str, set[tuple[float, int]]] = defaultdict(set)
    for recording in tasks:
        for turn in recording.turns:
            assert turn.speaker == recording.session
            scores[recording.session].add((float(turn.labels["bdi_ii"]), int(turn.labels["depressed"])))
    assert all(len(score) == 1 for score in scores.values())
    levels = Counter(level(score) for told in scores.values() for score, _ in told)
    assert levels == {"minimal": 25, "mild": 12, "moderate": 8, "severe": 5}
    assert all((score >= 14) == bool(depressed) for told in scores.values() for score, depressed in told)


@pytest.mark.parametrize("subjects", [18, 25])
@pytest.mark.parametrize("seed", range(3))
def test_every_level_can_be_divided_by_speaker_within_a_gender_and_a_valence(subjects: int, seed: int) -> None:
    people = defaultdict(set)
    for recording in write_script(SreRecipe(seed=seed, subjects_per_class=subjects)):
        labels = subject(recording).labels
        people[labels["gender"], labels["stimulus"], level(float(labels["bdi_ii"]))].add(recording.session)
    assert len(people) == 2 * 3 * 4
    assert min(map(len, people.values())) >= 2


def test_women_and_men_are_as_many_and_the_levels_are_dealt_out_to_both_alike(tasks: list[Recording]) -> None:
    genders = {recording.session: str(subject(recording).labels["gender"]) for recording in tasks}
    assert Counter(genders.values()) == {"female": 25, "male": 25}
    score = {recording.session: float(subject(recording).labels["bdi_ii"]) for recording in tasks}
    for among in LEVELS:
        women = [genders[name] == "female" for name in score if level(score[name]) == among]
        assert abs(2 * sum(women) - len(women)) <= 2


def test_there_is_more_than_one_segment_of_four_seconds_in_nearly_every_recording(tasks: list[Recording]) -> None:
    # Where segments are divided and not speakers, segments of one recording must come to be on both sides.
    seconds = [sum(planned_seconds(t.text, t.voice, t.style) for t in recording.turns) for recording in tasks]
    assert mean(length >= 4 + 2 for length in seconds) > 0.9


def test_what_is_read_is_the_same_for_everybody_and_what_is_answered_is_not(tasks: list[Recording]) -> None:
    said = defaultdict(set)
    for recording in tasks:
        for turn in recording.turns:
            said[str(turn.labels["task"]).endswith("reading"), turn.labels["prompt"]].add(turn.text)
    assert len(said) == 6 + 9
    assert all((len(versions) == 1) == read for (read, _), versions in said.items())


def test_the_groups_differ_most_on_negative_material_in_own_words() -> None:
    still = TaskEffects(depression=Shift(), speaker_scatter=Shift(), turn_scatter=Shift())
    volumes = defaultdict(list)
    for recording in write_script(SreRecipe(effects=still)):
        turn = recording.turns[0]
        read = str(turn.labels["task"]).endswith("reading")
        volumes[read, turn.labels["stimulus"], turn.labels["depressed"]].append(turn.style.volume)
    gaps = {(read, valence): mean(volumes[read, valence, 0]) - mean(volumes[read, valence, 1]) for read, valence, _ in volumes}
    assert gaps[False, "negative"] > gaps[False, "positive"] > gaps[False, "neutral"] > 0
    assert all(gaps[True, valence] == pytest.approx(gaps[False, valence] / 2) for valence in ("positive", "neutral", "negative"))


def stripped(script: list[Recording]) -> list[list[Turn]]:
    return [[turn.model_copy(update={"labels": {}}) for turn in recording.turns] for recording in script]


def test_with_nothing_planted_a_diagnosis_changes_neither_words_nor_voices(monkeypatch: pytest.MonkeyPatch) -> None:
    for module, recipe in (
        ("clinical_interviews", DaicWozRecipe(effects=ClinicalEffects.nothing())),
        ("clinical_interviews", DaicWozRecipe(effects=ClinicalEffects(weather=False, probes=False))),
        ("spoken_tasks", SreRecipe(effects=TaskEffects.nothing())),
    ):
        script = write_script(recipe)
        with monkeypatch.context() as patch:
            patch.setattr(
                f"trainables.corpora.twins.{module}.balanced_draw",
                lambda voices, among, count, generator: set(among) - balanced_draw(voices, among, len(among) - count, generator),
            )
            others = write_script(recipe)
        diagnoses = [[subject(recording).labels["depressed"] for recording in told] for told in (script, others)]
        assert diagnoses[0] != diagnoses[1]
        assert stripped(script) == stripped(others)
