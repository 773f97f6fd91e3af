"""What a search is at every scale, what its key depends on, and that the test split is opened once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrator.artifacts import ArtifactStore
from orchestrator.plan import Redo
from orchestrator.provenance import stage_code
from orchestrator.search.history import History, SearchTrial
from orchestrator.search.plan import plan_search, prepare_search, search_sentence
from search_spaces.scale import Scale
from tests.orchestrator.search.toy_search import SEARCH, SEEDS, Climb, toy_plan
from tests.toys import CORPORA, toy_setting
from trainables.errors import UserError


def told(store, values, plan=None, **states):
    """Write trials with these values; those named ``n3='failed'`` have that state instead."""
    plan = plan or toy_plan(store)
    history = History(ArtifactStore(store), plan.key)
    for number, value in enumerate(values):
        state = states.get(f"n{number}", "complete")
        complete = state == "complete"
        story = "a zebra" if state == "failed" else None
        point = {"x": 0.1 + number / 100, "k": 1}
        value = value if complete else None
        history.write(SearchTrial(number=number, point=point, value=value, state=state, story=story, code=plan.code))
    return history


def test_a_document_is_read_as_it_was_written_whatever_the_numbers(tmp_path):
    history = History(ArtifactStore(tmp_path), "key")
    point, rungs = {"x": 0.1 + 0.2, "k": 1, "y": 1.0}, {50: 1 / 3, 100: 2 / 3}
    trial = SearchTrial(number=3, point=point, rungs=rungs, value=1e-17, state="complete")
    history.write(trial)
    history.write(trial)
    assert history.trials() == (trial,)
    assert isinstance(history.trials()[0].point["y"], float)
    assert [file.name for file in (tmp_path / "searches/key").iterdir()] == ["trial-0003.json"]


def test_a_document_half_written_by_a_killed_process_does_not_exist(tmp_path):
    history = History(ArtifactStore(tmp_path), "key")
    history.write(SearchTrial(number=0, point={}))
    (tmp_path / "searches/key/trial-0001.json.abc").write_text('{"number": 1, "poi')
    assert [trial.number for trial in history.trials()] == [0]


def test_the_history_lives_on_a_remote_store_too():
    history = History(ArtifactStore("memory://searches-test"), "key")
    trials = tuple(SearchTrial(number=number, point={"x": 0.5}) for number in range(2))
    for trial in trials:
        history.write(trial)
    history.write(changed := trials[0].model_copy(update={"state": "pruned"}))
    assert history.trials() == (changed, trials[1])
    assert history.opened() is None


def test_the_key_depends_on_what_decides_the_search_and_on_nothing_else(tmp_path):
    key = toy_plan(tmp_path / "a").key
    assert toy_plan(tmp_path / "b", trials=7).key == key
    scale, setting = Scale("paper", seeds=2), toy_setting(tmp_path)
    relabelled = toy_setting(tmp_path, corpora=CORPORA | {"mdd": CORPORA["mdd"].model_copy(update={"digest": "f" * 16})})
    others = [
        toy_plan(tmp_path, search_seed=1),
        plan_search(SEARCH, scale, (0, 1, 2), setting),
        plan_search(SEARCH, scale, SEEDS, relabelled),
        plan_search(SEARCH, Scale("paper", seeds=2, overlay={"Climb": {"epochs": 16}}), SEEDS, setting),
    ]
    keys = {plan.key for plan in others}
    assert len(keys) == 4
    assert key not in keys


def test_the_rungs_are_distinct_whole_epochs_that_end_with_the_last():
    def rungs(epochs):
        return SEARCH.rung_epochs(Scale("paper", seeds=1, overlay={"Climb": {"epochs": epochs}}))

    assert [rungs(epochs) for epochs in (1, 2, 3, 4, 200)] == [(1,), (1, 2), (1, 2, 3), (1, 2, 4), (50, 100, 200)]


def test_the_last_rung_is_the_pretraining_that_the_table_uses():
    scale = Scale("paper", seeds=1)
    setting = toy_setting("store")
    last, whole = SEARCH.ladder({"x": 0.5, "k": 2}, scale)[-1], Climb(x=0.5, k=2)
    assert last.resume is not None
    assert setting.fingerprint(last) == setting.fingerprint(whole)


def test_the_best_trial_is_the_first_of_equals_among_the_complete_ones(tmp_path):
    told(tmp_path, [0.4, 0.9, 0.7, 0.7], n1="pruned")
    assert toy_plan(tmp_path, trials=4).best.number == 2


def test_without_a_complete_trial_there_is_no_best_and_the_reason_is_told(tmp_path):
    told(tmp_path, [0.4, 0.5], n0="pruned", n1="failed")
    with pytest.raises(UserError, match=r"none of the 2 trials.*trial 1 failed:\na zebra"):
        _ = toy_plan(tmp_path, trials=2).best


def test_the_test_split_stays_closed_until_every_trial_is_told(tmp_path):
    told(tmp_path, [0.4, 0.5, 0.6], n2="running")
    with pytest.raises(UserError, match="1 of 3 trials are not told yet; the test split stays closed"):
        toy_plan(tmp_path, trials=3).open_test()
    assert toy_plan(tmp_path).opened is None


def test_the_test_split_is_opened_once_with_the_best_point_and_no_trial_comes_after(tmp_path):
    history = told(tmp_path, [0.4, 0.6, 0.5])
    study = toy_plan(tmp_path, trials=3).open_test()
    assert study.table.rows[0].params == {"x": 0.11, "k": 1}
    opened = history.opened()
    assert (opened.trials, opened.best.number, opened.earlier) == (3, 1, ())
    with pytest.raises(UserError, match=r"--trials 4: the test split was opened at .* after 3 trials"):
        toy_plan(tmp_path, trials=4)
    again = toy_plan(tmp_path, trials=None)
    assert again.missing == 0, "the scale's own number is more, and is not asked for"
    assert again.open_test().table == study.table
    assert history.opened() == opened, "it was not opened anew"


def test_after_the_test_split_was_opened_failed_trials_are_not_tried_again(tmp_path):
    told(tmp_path, [0.4, 0.6], n0="failed")
    toy_plan(tmp_path, trials=2).open_test()
    assert toy_plan(tmp_path, trials=2, redo=Redo.retry).missing == 0


def test_another_search_on_the_same_store_says_everywhere_that_the_test_split_was_opened_before(tmp_path):
    told(tmp_path, [0.4])
    first = toy_plan(tmp_path, trials=1)
    assert first.open_test().protocol == "toy"
    second = toy_plan(tmp_path, trials=1, search_seed=5)
    told(tmp_path, [0.5], second)
    caveat = f"the test split had been opened before by 1 other search: {first.key}"
    assert second.refreshed().open_test().protocol == f"toy; {caveat}"
    reopened = toy_plan(tmp_path, trials=1, search_seed=5)
    assert reopened.opened.earlier == (first.key,)
    assert reopened.open_test().protocol == f"toy; {caveat}"
    assert reopened.opened.summary.endswith(f"after 1 trials, with the point of trial 0; {caveat}")
    assert reopened.opened.summary in search_sentence(reopened)
    assert toy_plan(tmp_path, trials=1).open_test().protocol == "toy", "the first was the first"


def test_retry_runs_failed_trials_again_with_their_points_and_forgets_their_failures(tmp_path):
    told(tmp_path, [0.4, 0.5], n1="failed")
    store = ArtifactStore(tmp_path)
    plan = toy_plan(tmp_path, trials=2, redo=Redo.retry)
    broken = plan.setting.fingerprint(Climb(**plan.unfinished[0].point))
    store.mark_failed(broken, "a zebra")
    assert toy_plan(tmp_path, trials=2).missing == 0
    assert (plan.missing, [trial.number for trial in plan.unfinished]) == (1, [1])
    assert toy_plan(tmp_path, trials=2).missing == 0, "to plan changes nothing"
    ready = prepare_search(plan)
    assert store.failure(broken) is None
    assert toy_plan(tmp_path, trials=2).missing == ready.missing == 1
    History(store, plan.key).write(ready.unfinished[0].model_copy(update={"state": "failed", "story": "again"}))
    assert ready.refreshed().missing == 0, "a trial is tried again once"


def test_what_another_process_did_since_the_plan_was_made_is_seen_before_it_is_run(tmp_path):
    plan = toy_plan(tmp_path, trials=2, redo=Redo.retry)
    told(tmp_path, [0.4, 0.5], n1="failed")
    assert [trial.number for trial in prepare_search(plan).unfinished] == [1]
    told(tmp_path, [0.4, 0.5])
    assert prepare_search(plan).missing == 0
    toy_plan(tmp_path, trials=2).open_test()
    assert prepare_search(plan).opened


@pytest.mark.parametrize("redo", [Redo.force, Redo.read_only])
def test_force_and_read_only_are_refused_until_the_test_split_is_open_and_then_concern_the_table_alone(tmp_path, redo):
    matches = {Redo.force: r"--redo force: .* --search-seed", Redo.read_only: "--redo read-only computes nothing and opens nothing"}
    with pytest.raises(UserError, match=matches[redo]):
        toy_plan(tmp_path, redo=redo)
    told(tmp_path, [0.4, 0.6])
    with pytest.raises(UserError, match=matches[redo]):
        toy_plan(tmp_path, trials=2, redo=redo)
    assert toy_plan(tmp_path, trials=2).opened is None
    study = toy_plan(tmp_path, trials=2).open_test()
    assert toy_plan(tmp_path, trials=2, redo=redo).open_test().table == study.table


def test_a_search_does_not_go_on_with_trials_that_other_code_scored(tmp_path, monkeypatch):
    plan = toy_plan(tmp_path, trials=3)
    told(tmp_path, [0.4, 0.6, 0.0], n2="failed")
    monkeypatch.setattr("orchestrator.search.plan.stage_code", lambda kind: "new" if kind is Climb else stage_code(kind))
    with pytest.raises(UserError, match=r"the code of Climb has changed since trials 0, 1 were scored.*--search-seed"):
        toy_plan(tmp_path, trials=3, redo=Redo.retry)
    with pytest.raises(UserError, match="the code of Climb has changed"):
        prepare_search(replace(plan, trials=4))
    toy_plan(tmp_path, trials=3).open_test()
    assert toy_plan(tmp_path, trials=3).opened, "what is all told is compared with nothing to come"


def test_a_trial_that_failed_before_it_was_scored_is_tried_again_with_mended_code(tmp_path, monkeypatch):
    told(tmp_path, [0.0], n0="failed")
    monkeypatch.setattr("orchestrator.search.plan.stage_code", lambda kind: "mended")
    assert toy_plan(tmp_path, trials=1, redo=Redo.retry).missing == 1


def test_the_sentence_says_where_the_search_stands(tmp_path):
    told(tmp_path, [0.4, 0.5, 0.6], n1="pruned", n2="running")
    sentence = search_sentence(toy_plan(tmp_path, trials=5))
    assert "5 trials over 2 settings, probed after epochs 2, 4, 8" in sentence
    assert "Told: 1 complete, 1 pruned; unfinished: 1; to run: 3." in sentence
    assert "closed until all are told" in sentence
