"""The iemocap twin: two actors in turns, IEMOCAP's labels, and emotions where they are planted."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from statistics import mean

import pytest

from tests.trainables.corpora.small_twins import RECIPES as SMALL
from tests.trainables.corpora.small_twins import small_twin
from trainables.corpora.twins.build import make_twin
from trainables.corpora.twins.recipe import RECIPES
from trainables.corpora.twins.script import write_script
from trainables.corpora.twins.speech import best_synthesiser
from trainables.corpora.twins.turns import Turn
from trainables.corpora.twins.voices import Voice
from trainables.tasks import TASKS


@pytest.fixture(scope="module")
def turns() -> list[Turn]:
    return [turn for recording in write_script(RECIPES["iemocap"]) for turn in recording.turns]


def test_the_bytes_do_not_depend_on_the_number_of_processes(tmp_path: Path) -> None:
    source = small_twin("iemocap")
    make_twin(tmp_path / "again", SMALL["iemocap"], best_synthesiser(), processes=1)
    for path in sorted((tmp_path / "again").rglob("*.*")):
        assert path.read_bytes() == (Path(source.root) / path.relative_to(tmp_path / "again")).read_bytes()


def test_a_session_is_an_actress_and_an_actor_who_speak_in_turns() -> None:
    for recording in write_script(RECIPES["iemocap"]):
        assert recording.name.startswith(f"{recording.session}_")
        assert {turn.speaker for turn in recording.turns} == {f"{recording.session}F", f"{recording.session}M"}
        assert all(turn.voice.gender[0].upper() == turn.speaker[-1] for turn in recording.turns)
        assert all(one.speaker != other.speaker for one, other in zip(recording.turns, recording.turns[1:], strict=False))


def test_categories_have_about_iemocaps_shares_and_a_quarter_has_none(turns: list[Turn]) -> None:
    found = [turn.labels["emotion"] for turn in turns]
    assert 380 <= len(found) <= 500
    assert 0.2 < found.count("xxx") / len(found) < 0.3
    class_of = TASKS["emotion5"].class_of
    classes = [number for word in found if (number := class_of(word)) is not None]
    assert set(classes) == set(range(5))
    assert 0 < len(found) - len(classes) - found.count("xxx") < 0.05 * len(found)
    speakers = defaultdict(set)
    for turn in turns:
        speakers[class_of(turn.labels["emotion"])].add(turn.speaker)
    assert all(len(speakers[number]) >= 8 for number in range(5))


def test_ratings_are_means_of_two_raters_from_1_to_5_and_go_with_the_category(turns: list[Turn]) -> None:
    rated = defaultdict(list)
    for turn in turns:
        for name in ("valence", "activation", "dominance"):
            assert float(turn.labels[name]) in [half / 2 for half in range(2, 11)]
            rated[turn.labels["emotion"], name].append(float(turn.labels[name]))
    average = {key: mean(values) for key, values in rated.items()}
    for pleasant in ("hap", "exc"):
        assert average[pleasant, "valence"] > average["neu", "valence"] > max(average[bad, "valence"] for bad in ("ang", "sad"))
    assert average["ang", "activation"] > average["fru", "activation"] > average["sad", "activation"]
    assert max(rated["fru", "activation"]) > min(rated["ang", "activation"])


def test_valence_and_activation_both_act_on_the_voice(turns: list[Turn]) -> None:
    def volume(label: str, low: bool, among: list[Turn]) -> float:
        chosen = [t for t in among if (float(t.labels[label]) <= 2 if low else float(t.labels[label]) >= 4)]
        return mean(turn.style.volume for turn in chosen)

    calm = [turn for turn in turns if 2 < float(turn.labels["activation"]) < 4]
    negative = [turn for turn in turns if float(turn.labels["valence"]) <= 2]
    assert volume("valence", False, calm) > volume("valence", True, calm) + 1
    assert volume("activation", False, negative) > volume("activation", True, negative) + 2


def test_scripted_dialogues_have_the_same_words_in_every_session_and_improvised_ones_do_not() -> None:
    said = defaultdict(set)
    for recording in write_script(RECIPES["iemocap"]):
        said[recording.name.split("_")[1]].add(tuple(turn.text for turn in recording.turns))
    assert {name: len(versions) for name, versions in said.items()} == {
        f"{kind}{number:02d}": versions for kind, versions in (("impro", 5), ("script", 1)) for number in (1, 2, 3)
    }


def test_no_voice_is_in_two_twins_save_that_the_spoken_tasks_borrow_the_interviews_subjects() -> None:
    casts = {
        role: {(turn.voice.accent, turn.voice.variant) for recording in write_script(recipe) for turn in recording.turns}
        for role, recipe in RECIPES.items()
    }
    assert casts.pop("sre") < casts["mdd"]
    assert sum(map(len, casts.values())) == len(set.union(*casts.values()))
    assert len(casts["iemocap"]) == 10


def test_two_people_of_one_twin_never_have_the_same_voice() -> None:
    for role, recipe in RECIPES.items():
        people: dict[tuple[str, str, float], set[Voice]] = defaultdict(set)
        speakers = set()
        for recording in write_script(recipe):
            for turn in recording.turns:
                people[turn.voice.accent, turn.voice.variant, turn.voice.tract].add(turn.voice)
                speakers.add("unknown" if turn.speaker.startswith("unknown-") else turn.speaker)
        assert all(len(same) == 1 for same in people.values()), role
        assert len(speakers) <= len(people), role
