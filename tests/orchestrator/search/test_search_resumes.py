"""A search goes on from its history as if it had never been killed: the same points, the same decisions, nothing twice."""

from __future__ import annotations

from types import SimpleNamespace

import optuna
import pytest

from orchestrator.artifacts import ArtifactStore
from orchestrator.search.asha import RefilledAsha
from orchestrator.search.history import History, SearchTrial
from tests.orchestrator.search.toy_search import SEARCH, Driven, Killed, score, toy_plan

optuna.logging.set_verbosity(optuna.logging.WARNING)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    driven = Driven(toy_plan(tmp_path_factory.mktemp("whole")))
    return driven, driven.run()


def test_the_search_finds_what_is_better_than_the_papers_point_and_stops_poor_trials_early(whole):
    _, trials = whole
    assert trials[0].point == SEARCH.paper
    values = {trial.number: trial.value for trial in trials if trial.state == "complete"}
    assert max(values.values()) > score(**SEARCH.paper) + 0.3
    pruned = [trial for trial in trials if trial.state == "pruned"]
    assert len(pruned) >= 6
    assert all(len(trial.rungs) < 3 and trial.value is None for trial in pruned)
    assert all(list(trial.rungs) == [2, 4, 8] for trial in trials if trial.state == "complete")


@pytest.mark.parametrize("documents", [1, 2, 5, 13, 30, 47])
def test_killed_at_any_document_and_run_again_it_ends_in_the_same_history(tmp_path, whole, documents):
    killed = Driven(toy_plan(tmp_path), documents)
    with pytest.raises(Killed):
        killed.run()
    plan = toy_plan(tmp_path)
    assert len(plan.told) + len(plan.unfinished) <= 24
    again = Driven(plan)
    assert again.run() == whole[1]
    told = {trial.number for trial in plan.told}
    assert not told & {number for number, _ in again.scored}, "told trials are not run again"


def test_killed_again_and_again_it_still_ends_in_the_same_history(tmp_path, whole):
    for _ in range(100):
        try:
            assert Driven(toy_plan(tmp_path), documents=3).run() == whole[1]
            return
        except Killed:
            continue
    pytest.fail("it never came to its end")


def test_a_finished_search_has_nothing_to_do_and_a_longer_one_goes_on_with_it(tmp_path, whole):
    first = Driven(toy_plan(tmp_path, trials=10)).run()
    assert toy_plan(tmp_path, trials=10).missing == 0
    assert Driven(toy_plan(tmp_path, trials=24)).run() == whole[1]
    assert whole[1][:10] == first


def test_another_search_seed_draws_other_points_and_the_same_paper_point(tmp_path, whole):
    other = Driven(toy_plan(tmp_path, trials=3, search_seed=1)).run()
    assert other[0].point == SEARCH.paper
    assert {str(trial.point) for trial in other[1:]}.isdisjoint(str(trial.point) for trial in whole[1])


def test_unfinished_trials_go_first_with_the_very_same_points(tmp_path):
    plan = toy_plan(tmp_path)
    history = History(ArtifactStore(tmp_path), plan.key)
    history.write(SearchTrial(number=0, point={"x": 0.5, "k": 2}, rungs={2: 0.4}, state="pruned", code=plan.code))
    history.write(SearchTrial(number=1, point={"x": 0.123456789012345, "k": 7}, rungs={2: 0.5}, code=plan.code))
    history.write(SearchTrial(number=2, point={"x": 0.7, "k": 3}))
    searcher = Driven(toy_plan(tmp_path)).searcher
    assert searcher.suggest("a") == {"number": 1, "point": {"x": 0.123456789012345, "k": 7}}
    assert searcher.suggest("b") == {"number": 2, "point": {"x": 0.7, "k": 3}}
    assert searcher.suggest("c")["number"] == 3


def test_optuna_told_the_history_knows_finished_pruned_and_failed_trials_and_suggests_none_of_them(tmp_path, whole):
    plan = toy_plan(tmp_path, trials=40)
    history = History(ArtifactStore(tmp_path), plan.key)
    failed = SearchTrial(number=24, point={"x": 0.3, "k": 4}, state="failed", story="out of luck")
    for trial in (*whole[1], failed):
        history.write(trial)
    searcher = Driven(toy_plan(tmp_path, trials=40)).searcher
    known = searcher._ot_study.get_trials()
    states = {"complete": "COMPLETE", "pruned": "PRUNED", "failed": "FAIL"}
    assert [trial.state.name for trial in known] == [states[trial.state] for trial in (*whole[1], failed)]
    for mine, theirs in zip(whole[1], known, strict=False):
        assert theirs.intermediate_values == dict(enumerate(mine.rungs.values()))
        assert mine.state != "complete" or theirs.value == mine.value
    suggested = {str(searcher.suggest(str(number))["point"]) for number in range(15)}
    assert len(suggested) == 15
    assert suggested.isdisjoint(str(trial.point) for trial in (*whole[1], failed))


def test_every_trial_says_which_code_scored_it(whole):
    driven, trials = whole
    assert set(driven.plan.code) == {"Climb", "Grade"}
    assert all(trial.code == driven.plan.code for trial in trials)


def ray_trial(number):
    return SimpleNamespace(trial_id=f"ray-{number}", config={"number": number})


def test_asha_refilled_from_the_history_decides_as_one_that_saw_the_results(whole):
    driven, trials = whole
    live, refilled = driven.asha, RefilledAsha(driven.plan.rungs, trials)
    for rung in range(2):
        assert sorted(live._brackets[0]._rungs[rung][1].values()) == sorted(refilled._brackets[0]._rungs[rung][1].values())
    verdicts = {}
    for step in range(40):
        for epoch in (2, 4):
            result = {"epoch": epoch, "score": step / 40}
            answers = []
            for number, asha in enumerate((RefilledAsha(driven.plan.rungs, trials), RefilledAsha(driven.plan.rungs, trials))):
                asha._brackets[0]._rungs = [(e, dict(s)) for e, s in (live, refilled)[number]._brackets[0]._rungs]
                asha.on_trial_add(None, ray_trial(99))
                answers.append(asha.on_trial_result(None, ray_trial(99), result))
            assert answers[0] == answers[1]
            verdicts.setdefault(epoch, set()).add(answers[0])
    assert all(answers == {"STOP", "CONTINUE"} for answers in verdicts.values())


def test_a_trial_below_the_median_of_its_rung_is_stopped_but_never_after_the_last_rung():
    told = [SearchTrial(number=n, point={}, rungs={2: 0.5 + n / 10, 4: 0.5, 8: 0.9}, state="complete") for n in range(3)]
    asha = RefilledAsha((2, 4, 8), told)
    asha.on_trial_add(None, ray_trial(3))
    assert asha.on_trial_result(None, ray_trial(3), {"epoch": 2, "score": 0.59}) == "STOP"
    asha.on_trial_add(None, ray_trial(4))
    assert asha.on_trial_result(None, ray_trial(4), {"epoch": 2, "score": 0.61}) == "CONTINUE"
    assert asha.on_trial_result(None, ray_trial(4), {"epoch": 4, "score": 0.5}) == "CONTINUE"
    assert asha.on_trial_result(None, ray_trial(4), {"epoch": 8, "score": 0.0}) == "CONTINUE"


def test_a_trial_that_goes_on_is_not_judged_twice_at_one_rung():
    told = [SearchTrial(number=n, point={}, rungs={2: 0.8}, state="pruned") for n in range(3)]
    asha = RefilledAsha((2, 4, 8), [*told, SearchTrial(number=3, point={}, rungs={2: 0.1})])
    asha.on_trial_add(None, ray_trial(3))
    assert asha.on_trial_result(None, ray_trial(3), {"epoch": 2, "score": 0.1}) == "CONTINUE"
    assert len(asha._brackets[0]._rungs[-1][1]) == 4


def test_a_trial_whose_driver_was_stopped_or_died_is_unfinished_and_a_failed_one_is_told_with_its_story(tmp_path):
    driven = Driven(toy_plan(tmp_path, trials=3))
    for name in "abc":
        driven.searcher.suggest(name)
    driven.searcher.on_trial_complete("a", {"state": "stopped", "score": float("nan")})
    driven.searcher.on_trial_complete("b", error=True)
    driven.searcher.on_trial_complete("c", {"state": "failed", "score": float("nan"), "story": "a zebra"})
    plan = toy_plan(tmp_path, trials=3)
    assert [trial.number for trial in plan.unfinished] == [0, 1]
    assert [(trial.number, trial.state, trial.story) for trial in plan.told] == [(2, "failed", "a zebra")]
