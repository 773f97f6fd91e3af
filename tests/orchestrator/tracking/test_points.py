"""A search in MLflow: one run for it, one below it for each point, told again without harm."""

from __future__ import annotations

from pathlib import Path

from orchestrator.records import SearchRecord
from orchestrator.tracking import default_uri
from orchestrator.tracking.store import Store
from tests.recorded import SHARED, runs, tracker_of

SEARCH = SearchRecord(
    study="toy", key="search1", title="Best of toys", source="A Paper", scale="demo", seeds=(0, 1), trials=2, protocol="p (1)"
)
POINT = {"lambda_": 0.3, "top_k": 7}


def tell_all(results: Path) -> None:
    tracker = tracker_of(results)
    tracker.open_search(SEARCH)
    tracker.point_told(0, POINT, {1: 0.5, 2: 0.6}, 0.7, "complete")
    tracker.point_told(1, POINT, {1: 0.4}, None, "pruned")
    tracker.close_search("FINISHED", "today, after 2 trials")
    assert tracker.healthy


def facts(results: Path) -> list:
    return sorted((run.info.run_name, run.info.status, run.data.metrics, run.data.params) for run in runs(results))


def test_a_point_has_its_parameters_its_probe_over_epochs_and_its_value(results: Path) -> None:
    tell_all(results)
    parameters = {"lambda_": "0.3", "top_k": "7"}
    assert facts(results)[:2] == [
        ("point 0 (complete)", "FINISHED", {"probe": 0.6, "value": 0.7}, parameters),
        ("point 1 (pruned)", "FINISHED", {"probe": 0.4}, parameters),
    ]
    (run,) = runs(results, condition="tags.number = '0'")
    history = Store(default_uri(results))._client.get_metric_history(run.info.run_id, "probe")
    assert sorted((point.step, point.value) for point in history) == [(1, 0.5), (2, 0.6)]


def test_a_search_told_again_changes_nothing(results: Path) -> None:
    tell_all(results)
    before = facts(results)
    tell_all(results)
    assert facts(results) == before


def test_a_killed_search_goes_on_in_its_own_runs(results: Path) -> None:
    tracker = tracker_of(results)
    tracker.open_search(SEARCH)
    tracker.stage_started(SHARED)
    tracker.point_told(0, POINT, {1: 0.5}, None, "running")
    tracker.leave()
    tell_all(results)
    assert [name for name, *_ in facts(results)] == ["point 0 (complete)", "point 1 (pruned)", "search of toy demo"]
    assert [run.info.status for run in runs(results, "stages")] == ["KILLED"]


def test_the_opening_of_the_test_split_is_logged_on_the_search(results: Path) -> None:
    tell_all(results)
    (run,) = runs(results, condition="tags.kind = 'search'")
    assert run.data.tags["test_split_opened"] == "today, after 2 trials"


def test_every_run_of_a_search_bears_its_protocol(results: Path) -> None:
    tell_all(results)
    assert {run.data.tags["protocol"] for run in runs(results)} == {"p (1)"}
