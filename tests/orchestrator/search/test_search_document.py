"""A search is told as sweeps are: its points as trials, while it grows, when it is stopped, and once it is over."""

from __future__ import annotations

import io
from datetime import UTC, datetime

import pytest
from rich.console import Console

from orchestrator.artifacts import ArtifactStore
from orchestrator.collecting import survey
from orchestrator.execution.failures import Failure
from orchestrator.search.document import SearchDocument
from orchestrator.search.history import SearchTrial
from orchestrator.status_costs import estimate
from orchestrator.status_facts import Cost, Facts
from orchestrator.status_page import status_page
from orchestrator.status_sweeps import Sweeps
from orchestrator.status_terminal import terminal
from orchestrator.status_trials import Living, Stand, sweep_state
from orchestrator.status_writer import status_written
from orchestrator.sweep_documents import read_plans, write_plan, write_status
from tests.orchestrator.search.toy_search import toy_plan
from tests.orchestrator.told_sweeps import NOW, running, status_of

WHOLE = SearchTrial(number=0, point={"x": 0.9, "k": 9}, rungs={2: 0.1, 4: 0.2, 8: 0.3}, value=0.731, state="complete")
EARLY = SearchTrial(number=1, point={"x": 0.5, "k": 1}, rungs={2: 0.05}, state="pruned")
CLIMBING = SearchTrial(number=2, point={"x": 0.2, "k": 3}, rungs={2: 0.5})


@pytest.fixture
def plan(tmp_path):
    """A search that draws four points, three of which it has drawn."""
    return toy_plan(tmp_path / "store", trials=4).knowing([WHOLE, EARLY, CLIMBING])


def state_of(document, **facts):
    status = status_of(key=document.key)
    return sweep_state(document, status, True, Living(), Facts(**facts), NOW)


def names(plan, trial):
    return [plan.setting.fingerprint(stage) for stage in plan.search.stages(trial.point, plan.scale, plan.seeds)]


def test_points_that_have_ended_are_done_whatever_the_store_has_and_one_that_was_stopped_early_lacks_nothing(plan):
    state = state_of(SearchDocument().of(plan))
    assert [each.stand for each in state.trials] == [Stand.done, Stand.done, Stand.waiting]
    assert (state.total, state.undrawn, state.is_complete) == (4, 1, False)
    assert state.needed == set(names(plan, CLIMBING))
    early = state.plan.chain(state.plan.trials[1])
    assert sorted(name.partition("/")[0] for name in early) == ["Climb", "Grade"]  # up to the first rung


def test_a_search_is_over_when_all_points_have_ended_failed_ones_too(plan):
    failed = CLIMBING.model_copy(update={"state": "failed", "story": "a zebra"})
    document = SearchDocument().of(toy_plan(plan.setting.store, trials=3).knowing([WHOLE, EARLY, failed]))
    assert state_of(document, failures={document.trials[2].fingerprint: Failure(error="a zebra")}).is_complete
    assert not state_of(document).is_complete


def test_the_document_is_made_again_only_when_there_is_news(plan):
    document = SearchDocument()
    first = document.of(plan)
    assert document.of(plan.knowing(plan.told + plan.unfinished)) is first
    further = CLIMBING.model_copy(update={"rungs": {2: 0.5, 4: 0.6}, "state": "pruned"})
    grown = document.of(plan.knowing([WHOLE, EARLY, further]))
    assert grown.trials[:2] == first.trials[:2]
    assert (grown.trials[2].ended, grown.rows["2"]) == (True, "2 · stopped early, after epoch 4 · x=0.2 k=3")


def test_what_is_left_is_estimated_with_the_points_that_are_not_drawn_yet(plan):
    costs = {name: Cost(10.0, 10.0, 0.0) for trial in (WHOLE, EARLY) for name in names(plan, trial)}
    document = SearchDocument().of(plan)
    took = [10.0 * len(document.chain(trial)) for trial in document.trials[:2]]
    told = estimate(state_of(document, done=frozenset(costs)), costs)
    assert told.seconds == 10.0 * len(names(plan, CLIMBING)) + sum(took) / 2
    assert "1 point not drawn yet at 50 s each, the mean of 2 finished" in told.rests
    assert estimate(state_of(document), {}).seconds is None


def test_a_growing_search_is_seen_on_the_terminal_and_on_the_page(plan):
    store, document, now = ArtifactStore(plan.setting.store), SearchDocument(), datetime.now(UTC)
    write_plan(store, document.of(plan.knowing([WHOLE])))
    sweeps = Sweeps(store, "toy_search")
    assert len(sweeps.look()[0].state.trials) == 1
    write_plan(store, document.of(plan))
    runs = {names(plan, CLIMBING)[-1]: running(sweep=f"{plan.key}-abc")}
    write_status(store, status_of(key=plan.key, study="toy_search", seen=now, started=now, running=runs))
    views, console = sweeps.look(), Console(width=120, record=True, file=io.StringIO())
    console.print(terminal(views, whole=True), highlight=False)
    for told in (" ".join(console.export_text().split()), status_page(views, now)):
        assert "2/4" in told
        assert "2 of 4 done (points), 1 running, 1 not drawn yet" in told
    assert "0 · f1_macro 0.731 · x=0.9 k=9" in status_page(views, now)


def test_the_plan_is_written_again_when_it_has_grown(plan):
    store, document = ArtifactStore(plan.setting.store), SearchDocument()
    with status_written(store, document.of(plan.knowing([WHOLE])), "here") as status:
        assert len(read_plans(store)[plan.key].trials) == 1
        status.plan, status.state = document.of(plan), "finished"
    assert len(read_plans(store)[plan.key].trials) == 3


def test_what_a_search_tells_of_itself_gives_no_result_free(plan, tmp_path):
    store, now = ArtifactStore(plan.setting.store), datetime.now(UTC).timestamp() + 10**6
    folder = tmp_path / "made"
    folder.mkdir()
    (folder / "metrics.json").write_text("{}")
    store.publish(names(plan, WHOLE)[0], folder)
    store.write_document(f"searches/{plan.key}/trial-0000.json", WHOLE.model_dump_json())
    write_plan(store, SearchDocument().of(plan))
    assert survey(store, now=now).items == ()
