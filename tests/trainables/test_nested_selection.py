"""The clean rule: a candidate is chosen on development data, anew for every seed, and the test data of no other one are opened."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from search_spaces.scale import Scale
from tests.divided_toys import Runner, Sessions, Told
from tests.trainables.fake_context import FakeContext
from trainables.cross_validation import CrossValidation
from trainables.emotion_classifier import EmotionClassifier
from trainables.errors import UserError
from trainables.fusion import Fusion
from trainables.identity import fingerprint, identity_of
from trainables.log_mel_features import LogMelFeatures
from trainables.metrics import prediction_scores
from trainables.nested_selection import NestedSelection
from trainables.protocols import Protocol
from trainables.protocols.catalogue import (
    DAIC_DEV_AS_TEST,
    DAIC_OFFICIAL,
    DAIC_POOLED_NESTED,
    HELD_OUT_30,
    IEMOCAP_5_SESSIONS,
    SPEAKERS_70_30,
)
from trainables.stage import from_config, to_config

DIGESTS = {"mdd": "a"}
TWO_BY_TWO = Protocol(name="two-by-two", sentence="", source="", scheme="k_fold", folds=2, inner_folds=2)
LUCKY = Told(name="lucky", skill=-1.0, test_skill=9.0)
SOUND = Told(name="sound", skill=4.0, test_skill=0.5)
MIDDLING = Told(name="middling", skill=0.3, test_skill=3.0)
CANDIDATES = (LUCKY, SOUND, MIDDLING)


def selection(protocol=DAIC_OFFICIAL, members=CANDIDATES, **settings):
    return NestedSelection(members=members, protocol=protocol, **settings)


def read(folder, name="predictions"):
    return pd.read_parquet(folder / f"{name}.parquet")


def told(folder, name):
    return json.loads((folder / f"{name}.json").read_text())


def test_the_best_on_development_data_is_taken_though_others_are_better_on_test_data(tmp_path):
    runner, stage = Runner(tmp_path), selection()
    result = runner.run(stage)
    scores = [prediction_scores(read(runner.place(member), "predictions_dev"))["f1_positive"] for member in stage.members]
    assert told(result, "chosen") == {"chosen": 1, "criterion": "f1_positive", "development": [[score] for score in scores]}
    assert read(result).equals(read(runner.place(stage.members[1])))
    assert told(result, "metrics") == prediction_scores(read(result)) | {"chosen": 1.0}
    tested = [prediction_scores(read(runner.place(member)))["f1_positive"] for member in stage.members]
    assert max(tested) > tested[1]


def test_its_development_scores_are_no_result_because_it_was_chosen_for_them(tmp_path):
    result = Runner(tmp_path).run(selection())
    assert not (result / "predictions_dev.parquet").exists()
    assert not any(name.startswith("dev_") for name in told(result, "metrics"))


@pytest.mark.parametrize("protocol", [DAIC_OFFICIAL, TWO_BY_TWO], ids=lambda protocol: protocol.name)
def test_no_test_predictions_but_those_of_the_chosen_one_are_opened(tmp_path, protocol):
    runner, stage = Runner(tmp_path), selection(protocol)
    runner.run(stage)
    for number, member in enumerate(stage.members):
        for name in ("predictions.parquet", "metrics.json"):
            if number != 1:
                (runner.place(member) / name).unlink()
    results = {each: runner.place(each) for each in stage.upstream().values()}
    stage.run(FakeContext(tmp_path / "again", results))
    assert told(tmp_path / "again", "chosen")["chosen"] == 1
    (runner.place(stage.members[1]) / "predictions.parquet").unlink()
    with pytest.raises(FileNotFoundError):
        stage.run(FakeContext(tmp_path / "third", results))


def test_of_equally_good_candidates_the_first_is_taken_and_the_criterion_can_be_another(tmp_path):
    runner = Runner(tmp_path)
    perfect = tuple(Told(name=name, skill=50.0) for name in "ab")
    assert told(runner.run(selection(members=perfect)), "chosen")["chosen"] == 0
    stage = selection(criterion="uar")
    scores = told(runner.run(stage), "chosen")["development"]
    expected = [prediction_scores(read(runner.place(member), "predictions_dev"))["uar"] for member in stage.members]
    assert scores == [[value] for value in expected]


def test_every_seed_chooses_anew(tmp_path):
    runner = Runner(tmp_path)
    alike = tuple(Told(name=name, skill=0.5) for name in "ab")
    assert {told(runner.run(selection(members=alike, seed=seed)), "chosen")["chosen"] for seed in range(4)} == {0, 1}


def test_of_a_nested_protocol_all_inner_folds_decide_and_who_is_chosen_is_trained_on_the_whole_outer_training_set(tmp_path):
    runner, stage = Runner(tmp_path), selection(DAIC_POOLED_NESTED, fold=2)
    result = runner.run(stage)
    inner = [[(each.inner, each.scored_on, each.fold) for each in stages] for stages in stage.compared()]
    assert inner == [[(fold, "dev", 2) for fold in range(4)]] * 3
    assert {(member.inner, member.scored_on, member.fold) for member in stage.members} == {(None, "test", 2)}
    scores = [[prediction_scores(read(runner.place(each)))["f1_positive"] for each in stages] for stages in stage.compared()]
    assert told(result, "chosen")["development"] == scores
    assert told(result, "chosen")["chosen"] == int(np.mean(scores, axis=1).argmax()) == 1
    assert read(result).equals(read(runner.place(stage.members[1])))
    compared = [set(read(runner.place(each))["unit"]) for each in stage.compared()[0]]
    assert not set(read(result)["unit"]) & set().union(*compared), "nobody who is tested has a part in the choice"
    assert len(set().union(*compared)) == sum(map(len, compared)) == 40 - 8, "and everyone else has one part"


def test_the_mean_over_inner_folds_decides_and_not_a_single_one(tmp_path):
    stage = selection(DAIC_POOLED_NESTED, members=CANDIDATES[:2])
    results = {member: tmp_path for member in stage.members}
    shares = {0: (8, 0, 0, 0), 1: (3, 3, 3, 3)}  # how many of eight depressed are found in each inner fold
    for number, stages in enumerate(stage.compared()):
        for fold, each in enumerate(stages):
            results[each] = tmp_path / f"{number}-{fold}"
            results[each].mkdir()
            said = [1] * shares[number][fold] + [0] * (8 - shares[number][fold])
            table = pd.DataFrame({"unit": range(8), "speaker": range(8), "truth": 1, "predicted": said, "p0": 0.5, "p1": 0.5})
            table.to_parquet(results[each] / "predictions.parquet")
    table.to_parquet(tmp_path / "predictions.parquet")
    stage.run(FakeContext(tmp_path / "result", results))
    assert told(tmp_path / "result", "chosen")["chosen"] == 1


def test_an_inner_fold_is_never_asked_for_and_a_candidate_that_needs_one_keeps_the_first():
    needy = Told(name="needy", chooses=True)
    weighted = Fusion(members=CANDIDATES[:2], rule="weighted", protocol=DAIC_OFFICIAL)
    stage = selection(DAIC_POOLED_NESTED, members=(SOUND, needy, weighted), inner=3)
    assert stage.inner is None
    assert [member.inner for member in stage.members] == [None, 0, 0]
    assert {member.inner for member in stage.members[2].members} == {0}
    assert [[each.inner for each in stages] for stages in stage.compared()] == [[0, 1, 2, 3]] * 3
    assert [member.inner for member in stage.with_upstream({}, protocol=DAIC_OFFICIAL).members] == [None] * 3


def test_a_drawn_division_with_a_development_set_is_compared_on_that(tmp_path):
    stage = selection(HELD_OUT_30)
    assert [[(each.inner, each.scored_on) for each in stages] for stages in stage.compared()] == [[(None, "dev")]] * 3
    assert told(Runner(tmp_path).run(stage), "chosen")["chosen"] == 1


def test_all_that_is_compared_is_upstream_part_of_the_identity_and_scaled_and_it_survives_json():
    stage = selection(DAIC_POOLED_NESTED)
    above = stage.upstream()
    assert list(above)[:3] == ["members.0", "members.1", "members.2"]
    assert {name: each for name, each in above.items() if name.startswith("compared")} == {
        f"compared.{n}.{fold}": stage.compared()[n][fold] for n in range(3) for fold in range(4)
    }
    assert list(selection().upstream()) == ["members.0", "members.1", "members.2"]
    assert identity_of(stage, DIGESTS)["upstream"]["compared.2.3"] == fingerprint(stage.compared()[2][3], DIGESTS)
    assert from_config(json.loads(json.dumps(to_config(stage)))) == stage
    scaled = Scale("toy", 1, {"Sessions": {"sessions": 20}}).apply(stage)
    assert {each.features for each in scaled.chain() if isinstance(each, Told)} == {Sessions(sessions=20)}
    changed = stage.with_upstream({"members.1": Told(name="other")}, seed=4)
    assert {each.seed for each in changed.chain() if isinstance(each, Told)} == {4}
    assert changed.compared()[1][0].name == "other"


def test_a_whole_nested_cross_validation_scores_everyone_once(tmp_path):
    runner = Runner(tmp_path)
    weighted = Fusion(members=CANDIDATES[:2], rule="weighted", protocol=DAIC_OFFICIAL)
    first = selection(TWO_BY_TWO, members=(SOUND, weighted))
    whole = CrossValidation(folds=tuple(first.with_upstream({}, fold=number) for number in range(2)))
    table = read(runner.run(whole))
    assert sorted(table["unit"]) == [f"s{number:03d}" for number in range(40)]
    assert len(runner.executed) == len(set(whole.chain())), "every distinct stage once"


def test_with_shuffled_labels_the_choice_is_by_permuted_classes_too(tmp_path):
    runner = Runner(tmp_path)
    plain, shuffled = (told(runner.run(selection(shuffled_labels=value)), "chosen") for value in (False, True))
    assert plain["development"] != shuffled["development"]
    assert {member.shuffled_labels for member in selection(shuffled_labels=True).members} == {True}


@pytest.mark.parametrize("protocol", [SPEAKERS_70_30, DAIC_DEV_AS_TEST], ids=lambda protocol: protocol.name)
def test_a_protocol_with_nothing_to_choose_on_is_refused_before_anything_is_computed(protocol):
    with pytest.raises(UserError, match=f"'{protocol.name}' has neither a development set nor inner folds"):
        selection(protocol)


def test_a_criterion_that_the_task_does_not_have_is_refused():
    emotions = LogMelFeatures(corpus="iemocap", unit="utterance")
    members = tuple(EmotionClassifier(features=emotions, task="emotion4", protocol=IEMOCAP_5_SESSIONS, width=w) for w in (1, 2))
    with pytest.raises(ValidationError, match="'f1_positive' is of two classes"):
        NestedSelection(members=members)
    assert [member.inner for member in NestedSelection(members=members, criterion="uar").members] == [0, 0], "they choose an epoch"


def test_a_candidate_without_development_predictions_is_named(tmp_path):
    stage = selection(members=(SOUND, Told(name="silent", silent=True)))
    runner = Runner(tmp_path)
    results = {member: runner.run(member) for member in stage.members}
    with pytest.raises(UserError, match=r"the told has no predictions_dev\.parquet to choose it by"):
        stage.run(FakeContext(tmp_path / "result", results))
