"""Runs of stages where MLflow is asked less than it was told: what it lacks then would be found by nobody."""

import pytest
from sqlalchemy import create_engine, text

from orchestrator.tracking import default_artifacts, default_uri
from orchestrator.tracking.stages import StageRuns
from orchestrator.tracking.store import Store
from tests.recorded import SHARED


@pytest.fixture
def store(results) -> Store:
    return Store(default_uri(results), default_artifacts(default_uri(results), results))


def runs(store):
    return store.search(store.find_experiment("stages"), "")


def end(stages, status="FINISHED"):
    stages.ended(SHARED.fingerprint, status, {"loss": 0.5}, {"code": "p1"}, {}, 1000)


@pytest.mark.parametrize("over", [False, True])
def test_a_stage_that_was_over_before_its_beginning_was_written_has_its_settings_all_the_same(store, over):
    stages = StageRuns(store, "sweep1")
    stages.started(SHARED, executing=True, over=over)
    end(stages)
    (run,) = runs(store)
    assert (run.info.status, run.data.params, run.data.metrics) == ("FINISHED", {"lr": "0.1"}, {"result/loss": 0.5})


@pytest.mark.parametrize("over", [False, True])
def test_a_stage_that_another_sweep_was_killed_at_goes_on_in_the_same_run(store, over):
    """It may have begun later than the one that takes the stage over."""
    later = StageRuns(store, "sweep2")
    killed = StageRuns(store, "sweep1")
    killed.started(SHARED, executing=True)
    end(killed, "KILLED")
    later.started(SHARED, executing=True, over=over)
    end(later)
    (run,) = runs(store)
    assert (run.info.status, run.data.params, run.data.tags["sweep"]) == ("FINISHED", {"lr": "0.1"}, "sweep2")


def test_a_stage_of_another_sweep_is_found_although_the_server_was_away_at_the_first_look(store, monkeypatch):
    other, later = StageRuns(store, "sweep1"), StageRuns(store, "sweep2")
    other.started(SHARED, executing=True)
    end(other)

    def away(*asked):
        raise ConnectionError("away")

    with monkeypatch.context() as patch:
        patch.setattr(store, "holds", away)
        with pytest.raises(ConnectionError):
            later.started(SHARED, executing=False)
    later.started(SHARED, executing=False)
    end(later)
    assert len(runs(store)) == 1


def test_a_stage_that_is_tried_again_by_the_same_sweep_goes_on_in_the_same_run(store):
    stages = StageRuns(store, "sweep1")
    for status in ("KILLED", "FINISHED"):
        stages.started(SHARED, executing=True)
        end(stages, status)
    assert [run.info.status for run in runs(store)] == ["FINISHED"]


def test_a_sqlite_store_waits_for_its_disk_once_less_in_a_transaction(store):
    with create_engine(store.uri).connect() as connection:
        assert connection.execute(text("PRAGMA synchronous")).scalar() == 1  # NORMAL; FULL is 2
