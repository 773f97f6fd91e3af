"""MLflow away for a while: everything is told later, once, and nobody waits for it."""

from __future__ import annotations

import logging
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from orchestrator.tracking import Tracker, default_uri, read_sweep
from orchestrator.tracking import lanes as lanes_module
from tests.load import logged, put_under_load
from tests.mlflow_server import end, serve, wait_until_healthy
from tests.postgres import free_port
from tests.recorded import SCORES, SHARED, everything, record_all, record_stage, runs, sweep, tracker_of, trial

WRITES = ("create_run", "update_run", "log_batch", "set_terminated", "delete_run", "create_experiment")
READS = ("search_runs", "get_run", "get_experiment_by_name", "get_metric_history")


@pytest.fixture
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes_module, "_FIRST_PAUSE", 0.002)
    monkeypatch.setattr(lanes_module, "_LONGEST_PAUSE", 0.01)


@contextmanager
def broken_often(seed: int) -> Iterator[list[str]]:
    """Every third call of MLflow fails, by a seed: before it has its effect, or after, so that its answer is lost. Yields which."""
    from mlflow import MlflowClient

    chance, broken = random.Random(seed), []

    def unreliable(name: str, method: Callable) -> Callable:
        def call(self: MlflowClient, *args: object, **kwargs: object) -> object:
            fate = chance.choice(["before", "after", *["well"] * 4])
            if fate == "before":
                broken.append(name)
                raise ConnectionError(f"{name} did not get through")
            answer = method(self, *args, **kwargs)
            if fate == "after":
                broken.append(name)
                raise ConnectionError(f"the answer of {name} was lost")
            return answer

        return call

    with pytest.MonkeyPatch.context() as patch:
        for name in (*WRITES, *READS):
            patch.setattr(MlflowClient, name, unreliable(name, getattr(MlflowClient, name)))
        yield broken


def same(found: list) -> list:
    """What :func:`tests.recorded.everything` tells, without the ids that every store gives anew."""
    told = [(status, metrics, params, {k: v for k, v in tags.items() if k in ("kind", "row", "seed", "stage.02", "statistics")})
            for _, status, metrics, params, tags in found]  # fmt: skip
    return sorted(map(repr, told))


@pytest.mark.parametrize("seed", range(2))
def test_whatever_call_fails_before_or_after_its_effect_the_store_is_as_if_none_had(
    results: Path, tmp_path_factory: pytest.TempPathFactory, empty_store: Path, quickly: None, seed: int
) -> None:
    undisturbed = tmp_path_factory.mktemp("undisturbed")
    (undisturbed / "mlflow.db").write_bytes(empty_store.read_bytes())
    record_all(tracker_of(undisturbed))
    with broken_often(seed) as broken:
        tracker = tracker_of(results)
        tracker.open_sweep(sweep())
        record_stage(tracker)
        for (row, number), score in SCORES.items():
            tracker.trial_ended(trial(row, number), "FINISHED", {"f1": score})
        assert tracker.flush()
    assert {"create_run", "log_batch"} <= set(broken)
    record_all(tracker_of(results))  # the same command again, undisturbed
    assert same(everything(results)) == same(everything(undisturbed))


def test_what_was_told_during_an_outage_is_there_after_it_in_the_same_process(
    results: Path, quickly: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from mlflow import MlflowClient

    def refuse(*_: object, **__: object) -> None:
        raise ConnectionError("no route to host")

    tracker = tracker_of(results)
    tracker.open_sweep(sweep())
    with monkeypatch.context() as away, caplog.at_level(logging.WARNING):
        for name in (*WRITES, *READS):
            away.setattr(MlflowClient, name, refuse)
        began = time.monotonic()
        record_stage(tracker, executing=True)
        for (row, seed), score in SCORES.items():
            tracker.trial_ended(trial(row, seed), "FINISHED", {"f1": score})
        assert time.monotonic() - began < 1.0
        assert not tracker.flush(patience=0.1)
        assert "no route to host" in tracker.problem
    assert tracker.flush()
    assert tracker.healthy
    told = [record.getMessage() for record in caplog.records]
    assert ["does not answer" in told[0], "answers again" in told[1], len(told)] == [True, True, 2]
    assert {(t.row, t.seed): t.metrics["f1"] for t in read_sweep(default_uri(results), "toy").trials} == SCORES
    assert [run.info.status for run in runs(results, "stages")] == ["FINISHED"]


def test_what_finds_no_room_during_an_outage_is_delivered_by_the_next_run(
    results: Path, quickly: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    monkeypatch.setattr("orchestrator.tracking.tracker._ROOM", 5000)
    tracker = tracker_of(results)
    tracker.open_sweep(sweep())
    with monkeypatch.context() as away:
        away.setattr(MlflowClient, "search_runs", lambda *_, **__: (_ for _ in ()).throw(ConnectionError("away")))
        record_stage(tracker)
        tracker.flush(patience=0.05)
        for row, seed in SCORES:
            tracker.trial_ended(trial(row, seed), "FINISHED", {"f1": 0.5})
    assert not tracker.flush()
    assert "not sent" in tracker.problem
    tracker.leave()
    monkeypatch.setattr("orchestrator.tracking.tracker._ROOM", 10**6)
    record_all(tracker_of(results))
    assert len(read_sweep(default_uri(results), "toy").trials) == 4


def test_doubled_runs_of_a_trial_are_one_when_the_sweep_is_opened_again(results: Path) -> None:
    record_all(tracker_of(results))
    one, other = tracker_of(results), tracker_of(results)
    for each in (one, other):
        each.open_sweep(sweep("sweep2"))  # the same command in two processes
    for each in (one, other):
        each.trial_ended(trial("a", 0), "FINISHED", {"f1": 0.5})
        each.leave()
    assert len(runs(results, condition="tags.sweep = 'sweep2' and tags.kind = 'trial'")) == 2
    tracker_of(results).open_sweep(sweep("sweep2"))
    assert len(runs(results, condition="tags.sweep = 'sweep2' and tags.kind = 'trial'")) == 1


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_server_killed_under_load_and_started_again_loses_no_point_and_doubles_no_run(results: Path) -> None:
    """`pytest -m slow tests/orchestrator/tracking/test_outages.py`; a minute."""
    port = free_port()
    store = f"sqlite:///{results / 'mlflow.db'}"
    servers = [serve(port, results, store)]

    def kill_and_restart() -> None:
        os.killpg(servers[0].pid, signal.SIGKILL)
        time.sleep(3)
        servers.append(serve(port, results, store))

    try:
        wait_until_healthy(f"http://127.0.0.1:{port}")
        tracker = Tracker(f"http://127.0.0.1:{port}", None)
        tracker.open_sweep(sweep())
        threading.Timer(3.0, kill_and_restart).start()
        load = put_under_load(tracker, 8, 50, seconds=8)
        tracker.trial_ended(trial("a", 0), "FINISHED", {"f1": 0.5})
        record_stage(tracker)
        tracker.close_sweep("FINISHED")
        assert tracker.healthy
        assert load.slowest < 1.0
    finally:
        for server in servers:
            end(server)
    found = logged(default_uri(results))
    found.pop(SHARED.fingerprint)
    assert found == load.told
    assert {run.info.status for run in runs(results)} <= {"FINISHED", "FAILED"}
