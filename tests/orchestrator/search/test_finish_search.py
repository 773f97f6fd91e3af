"""From what a search has told to its study: one process at a time, MLflow left true, pictures that cost nothing."""

from __future__ import annotations

import io
import shutil
import threading
from datetime import UTC, datetime

import pytest
from mlflow import MlflowClient
from rich.console import Console, Group

from orchestrator.artifacts import ArtifactStore
from orchestrator.checks import Options
from orchestrator.execution.ray_search import RaySearch
from orchestrator.execution.resources import ResourceRequest
from orchestrator.progress import live
from orchestrator.search.claim import Claim, Holder
from orchestrator.search.history import History, SearchTrial
from orchestrator.searching import finish_search
from orchestrator.status_sweeps import Sweeps
from orchestrator.sweep_documents import read_statuses
from tests.orchestrator.search.toy_search import toy_plan
from trainables.errors import UserError


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr("orchestrator.search.claim._SETTLE_SECONDS", 0.0)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.fixture
def search_of(tmp_path, empty_store):
    """A search of one trial, which has come to this end, with the options that it was begun with."""
    shutil.copy(empty_store, tmp_path / "mlflow.db")

    def begin(state):
        options = Options("toy_search", results=tmp_path, trials=1)
        plan = toy_plan(options.store_root, trials=1)
        value, story = (0.5, None) if state == "complete" else (None, "a zebra")
        trial = SearchTrial(number=0, point={"x": 0.5, "k": 1}, value=value, state=state, story=story, code=plan.code)
        History(ArtifactStore(options.store_root), plan.key).write(trial)
        return plan, options

    return begin


def another(plan):
    """Another process claims the search."""
    holder = Holder(id="other", host="elsewhere", pid=1, time=datetime.now(UTC))
    ArtifactStore(plan.setting.store).write_document(f"searches/{plan.key}/claim.json", holder.model_dump_json())


def test_the_test_split_is_not_opened_while_another_process_runs_the_search(search_of):
    plan, options = search_of("complete")
    another(plan)
    with pytest.raises(UserError, match="being run by process 1 on elsewhere"):
        finish_search(plan, options, Console(file=io.StringIO()))
    assert plan.refreshed().opened is None


def test_an_opened_search_gives_its_table_whoever_has_the_claim(search_of):
    plan, options = search_of("complete")
    first = finish_search(plan, options, Console(file=io.StringIO()))
    another(plan)
    assert finish_search(plan.refreshed(), options, Console(file=io.StringIO())).table == first.table


def test_what_is_printed_and_what_mlflow_has_say_that_the_test_split_was_opened_before(search_of):
    plan, options = search_of("complete")
    history = History(ArtifactStore(options.store_root), "earlier")
    finish_search(plan, options, Console(file=io.StringIO()))
    history.write_opened(plan.refreshed().opened)
    other = toy_plan(options.store_root, trials=1, search_seed=1)
    History(ArtifactStore(options.store_root), other.key).write(plan.refreshed().told[0])
    console = Console(record=True, width=400)
    study = finish_search(other, options, console)
    caveat = f"the test split had been opened before by 2 other searches: {', '.join(sorted((plan.key, 'earlier')))}"
    assert study.protocol.endswith(caveat)
    assert caveat in console.export_text()
    runs = {run.data.tags["sweep"]: run for run in search_runs(options)}
    assert runs[other.key].data.tags["test_split_opened"].endswith(caveat)
    assert "before" not in runs[plan.key].data.tags["test_split_opened"]


def test_a_search_that_has_ended_is_told_with_its_points(search_of):
    plan, options = search_of("complete")
    finish_search(plan, options, Console(file=io.StringIO()))
    (view,) = Sweeps(ArtifactStore(options.store_root), "toy_search").look()
    assert (view.state.status.state, view.state.is_complete, list(view.state.rows)) == ("finished", True, ["0"])


def test_without_a_whole_trial_the_search_has_failed_in_mlflow_and_in_its_status_too(search_of):
    plan, options = search_of("failed")
    with pytest.raises(UserError, match="trial 0 failed:\na zebra"):
        finish_search(plan, options, Console(file=io.StringIO()))
    assert [run.info.status for run in search_runs(options)] == ["FAILED"]
    assert read_statuses(ArtifactStore(options.store_root))[plan.key].state == "failed"
    assert plan.refreshed().opened is None


def search_runs(options):
    client = MlflowClient(f"sqlite:///{options.results}/mlflow.db")
    return client.search_runs([client.get_experiment_by_name("toy_search").experiment_id], "tags.kind = 'search'")


@pytest.fixture
def running(tmp_path, monkeypatch):
    """A search on no cluster, its claim, and a list that grows when it is stopped."""
    stops = []
    for name in ("make_ledger", "make_tracker"):
        monkeypatch.setattr(f"orchestrator.execution.ray_session.{name}", lambda *arguments: None)
    monkeypatch.setattr(RaySearch, "track", lambda *arguments: None)
    monkeypatch.setattr(RaySearch, "stop", lambda search: stops.append(search))
    plan = toy_plan(tmp_path)
    claim = Claim(ArtifactStore(tmp_path), plan.key, "toy_search")
    claim.take()
    return RaySearch(plan, claim, ResourceRequest(), "", None), stops


def test_a_search_that_lost_its_claim_writes_nothing_more_and_stops(running):
    search, stops = running
    trial = SearchTrial(number=0, point={"x": 0.5, "k": 1})
    search._remember(trial)
    another(search.now())
    search._remember(trial.model_copy(update={"rungs": {2: 0.5}}))
    assert stops == [search]
    assert search.now().refreshed().unfinished == (trial,)


def test_the_picture_of_a_search_is_drawn_from_memory(running, monkeypatch):
    search, _ = running
    told = SearchTrial(number=1, point={"x": 0.5, "k": 1}, value=0.5, state="complete")
    search._remember(told)
    monkeypatch.setattr(ArtifactStore, "_read", None)
    assert (search.now().told, search.now().unfinished) == ((told,), ())


@pytest.mark.parametrize("fails", [OSError, None])
def test_a_picture_that_cannot_be_drawn_stops_nothing_not_even_the_last(tmp_path, fails):
    drawn = threading.Event()

    def picture():
        drawn.set()
        if fails:
            raise fails("the store is away")
        return Group()

    with live(Console(file=io.StringIO()), picture, tmp_path / "sweep.log"):
        assert drawn.wait(10)
        drawn.clear()
    assert drawn.is_set(), "there is a last picture"
