from __future__ import annotations

import logging
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from orchestrator.records import CellStatistics
from orchestrator.tracking import Tracker, default_uri, read_sweep
from orchestrator.tracking.store import Store
from tests.recorded import (
    CODE,
    SCORES,
    SHARED,
    STATISTICS,
    by_name,
    everything,
    record_all,
    record_stage,
    runs,
    sweep,
    tracker_of,
    trial,
)


def test_importing_the_package_does_not_import_mlflow() -> None:
    code = "import sys, orchestrator.tracking, orchestrator.table; sys.exit('mlflow' in sys.modules or 'pandas' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_runs_are_nested_sweep_cell_trial_under_readable_names(results: Path) -> None:
    record_all(tracker_of(results))
    found = {run.info.run_id: run for run in runs(results)}
    path = {}
    for run in found.values():
        parent = found.get(run.data.tags.get("mlflow.parentRunId", ""))
        path.setdefault(parent.info.run_name if parent else None, set()).add(run.info.run_name)
    assert path == {
        None: {"toy demo 2 seeds"},
        "toy demo 2 seeds": {"fixed · A (λ = 0.2)", "fixed · B"},
        "fixed · A (λ = 0.2)": {"seed 0", "seed 1"},
        "fixed · B": {"seed 0", "seed 1"},
    }


def test_the_newest_first_order_of_the_ui_is_the_order_of_the_table(results: Path) -> None:
    record_all(tracker_of(results))
    names = [run.info.run_name for run in sorted(runs(results), key=lambda run: -run.info.start_time)]
    assert names[:3] == ["toy demo 2 seeds", "fixed · A (λ = 0.2)", "fixed · B"]
    assert names[3:] == ["seed 0", "seed 0", "seed 1", "seed 1"]


def test_a_cell_carries_its_statistics_as_metrics_and_gives_them_back(results: Path) -> None:
    record_all(tracker_of(results))
    assert by_name(results)["fixed · A (λ = 0.2)"].data.metrics.keys() == STATISTICS["a"].as_metrics("f1").keys()
    cells = read_sweep(default_uri(results), "toy").cells
    assert {row: CellStatistics.from_metrics("f1", metrics) for row, metrics in cells.items()} == STATISTICS


def test_a_statistic_that_is_known_no_more_is_gone(results: Path) -> None:
    record_all(tracker_of(results))
    again = tracker_of(results)
    again.open_sweep(sweep())
    again.write_statistics({"a": CellStatistics(n=2, mean=0.6).as_metrics("f1")}, "digest")
    again.close_sweep("FINISHED")
    assert CellStatistics.from_metrics("f1", read_sweep(default_uri(results), "toy").cells["a"]) == CellStatistics(n=2, mean=0.6)


def test_a_trial_carries_settings_identity_and_links_to_its_stages(results: Path) -> None:
    record_all(tracker_of(results))
    (run,) = runs(results, condition="tags.row = 'a' and tags.seed = '1' and tags.kind = 'trial'")
    (stage,) = runs(results, "stages")
    assert run.data.params == {"lambda_": "0.2", "seed": "1"}
    expected = {
        "fingerprint": "Classifier/a-1",
        "stage.01": SHARED.fingerprint,
        "corpus.mdd": "d1",
        "scale": "demo",
        "code.Pretraining": "p1",
        "code.Classifier": "c1",
    }
    assert expected.items() <= run.data.tags.items()
    assert (
        f"[pretraining aaaabbbb](#/experiments/{stage.info.experiment_id}/runs/{stage.info.run_id})"
        in run.data.tags["mlflow.note.content"]
    )


def test_writing_a_finished_sweep_again_changes_nothing(results: Path) -> None:
    record_all(tracker_of(results))
    before = everything(results)
    record_all(tracker_of(results))
    assert everything(results) == before


def test_two_sweeps_share_the_run_of_a_shared_stage(results: Path) -> None:
    for key in ("sweep1", "sweep2"):
        record_all(tracker_of(results), sweep(key))
    assert len(runs(results, "stages")) == 1
    assert len(runs(results)) == 14


def test_a_killed_sweep_goes_on_in_its_own_runs_and_leaves_none_running(results: Path) -> None:
    killed = tracker_of(results)
    killed.open_sweep(sweep())
    killed.stage_started(SHARED)
    killed.log_stage(SHARED.fingerprint, [("train/loss", 1.0, 0, 1000), ("train/loss", 0.5, 1, 1001)])
    killed.trial_ended(trial("b", 0), "FAILED", {})
    killed.leave()
    before = {run.info.run_id for run in [*runs(results), *runs(results, "stages")]}
    record_all(tracker_of(results))
    after = [*runs(results), *runs(results, "stages")]
    assert before < {run.info.run_id for run in after}
    assert len(after) == 8
    assert {run.info.status for run in after} == {"FINISHED"}


def test_a_point_sent_twice_is_there_once(results: Path) -> None:
    killed = tracker_of(results)
    killed.open_sweep(sweep())
    killed.stage_started(SHARED, executing=True)
    killed.log_stage(SHARED.fingerprint, [("train/loss", 1.0, 0, 1000), ("train/loss", 0.5, 1, 1001)])
    killed.leave()
    record_all(tracker_of(results))
    (stage,) = runs(results, "stages")
    history = Store(default_uri(results))._client.get_metric_history(stage.info.run_id, "train/loss")
    assert [(point.step, point.value) for point in sorted(history, key=lambda point: point.step)] == [
        (s, 1 / (s + 1)) for s in range(5)
    ]


def test_thousands_of_points_go_in_one_call(results: Path) -> None:
    tracker = tracker_of(results)
    tracker.open_sweep(sweep())
    tracker.stage_started(SHARED, executing=True)
    tracker.log_stage(SHARED.fingerprint, [("train/loss", 0.1 * step, step, 1000 + step) for step in range(2500)])
    tracker.flush()
    (stage,) = runs(results, "stages")
    assert len(Store(default_uri(results))._client.get_metric_history(stage.info.run_id, "train/loss")) == 2500


def test_a_failed_stage_that_is_run_again_has_two_runs(results: Path) -> None:
    tracker = tracker_of(results)
    tracker.open_sweep(sweep())
    tracker.stage_started(SHARED)
    tracker.stage_ended(SHARED.fingerprint, "FAILED", {}, {})
    record_stage(tracker)
    tracker.flush()
    assert sorted(run.info.status for run in runs(results, "stages")) == ["FAILED", "FINISHED"]


def test_an_interrupted_sweep_has_only_killed_and_finished_runs(results: Path) -> None:
    tracker = tracker_of(results)
    tracker.open_sweep(sweep())
    tracker.stage_started(SHARED)
    tracker.trial_ended(trial("a", 0), "FINISHED", {"f1": 0.5})
    tracker.leave()
    tracker_of(results).open_sweep(sweep())
    closing = tracker_of(results)
    closing.open_sweep(sweep())
    closing.close_sweep("KILLED")
    status = {run.info.run_name: run.info.status for run in [*runs(results), *runs(results, "stages")]}
    assert status.pop("seed 0") == "FINISHED"
    assert set(status.values()) == {"KILLED"}


def test_a_trial_with_another_result_supersedes_the_old_one(results: Path) -> None:
    record_all(tracker_of(results))
    again = tracker_of(results)
    again.open_sweep(sweep())
    again.trial_ended(trial("a", 0, "x"), "FINISHED", {"f1": 0.9})
    again.close_sweep("FINISHED")
    trials = read_sweep(default_uri(results), "toy").trials
    assert sorted(t.metrics["f1"] for t in trials if t.row == "a") == [0.7, 0.9]


def test_a_trial_computed_again_by_other_code_supersedes_the_old_one_even_with_equal_numbers(results: Path) -> None:
    record_all(tracker_of(results))
    again = tracker_of(results)
    again.open_sweep(sweep())
    newer = {"Pretraining": "p1", "Classifier": "c2"}
    again.trial_ended(trial("a", 0, code=newer), "FINISHED", {"f1": 0.5})
    again.close_sweep("FINISHED")
    trials = read_sweep(default_uri(results), "toy").trials
    assert len(trials) == 4
    assert [t.code for t in trials if (t.row, t.seed) == ("a", 0)] == [newer]
    assert [t.code for t in trials if (t.row, t.seed) != ("a", 0)] == [CODE] * 3


def test_a_trial_whose_upstream_results_were_cleared_away_keeps_what_is_known_of_its_code(results: Path) -> None:
    record_all(tracker_of(results))
    before = everything(results)
    again = tracker_of(results)
    again.open_sweep(sweep())
    again.trial_ended(trial("a", 0, code={"Classifier": "c1"}), "FINISHED", {"f1": 0.5})
    again.close_sweep("FINISHED")
    assert everything(results) == before


def test_a_stage_executed_again_supersedes_its_finished_run_and_its_trials_lead_to_the_new_one(results: Path) -> None:
    record_all(tracker_of(results))
    (old,) = runs(results, "stages")
    forced = tracker_of(results)
    forced.open_sweep(sweep())
    record_stage(forced, executing=True)
    record_all(forced)
    (new,) = runs(results, "stages")
    assert new.info.run_id != old.info.run_id
    assert new.info.status == "FINISHED"
    for run in runs(results, condition="tags.kind = 'trial'"):
        assert new.info.run_id in run.data.tags["mlflow.note.content"]
        assert old.info.run_id not in run.data.tags["mlflow.note.content"]


@pytest.mark.parametrize("change", [{"loss": 0.4}, {"code": "p2"}], ids=["other numbers", "other code"])
def test_a_delivered_result_that_is_not_the_recorded_one_supersedes_it_with_its_curves(results: Path, change: dict) -> None:
    record_all(tracker_of(results))
    again = tracker_of(results)
    again.open_sweep(sweep())
    record_stage(again, **change)
    again.flush()
    (stage,) = runs(results, "stages")
    loss = change.get("loss", 0.2)
    assert stage.info.status == "FINISHED"
    assert stage.data.metrics == {"train/loss": loss, "result/loss": loss}
    assert stage.data.tags["provenance.code"] == change.get("code", "p1")
    history = Store(default_uri(results))._client.get_metric_history(stage.info.run_id, "train/loss")
    assert len(history) == 5


def test_a_cell_with_a_metric_that_is_not_a_number_has_failed(results: Path) -> None:
    tracker = tracker_of(results)
    tracker.open_sweep(sweep())
    for row, seed in SCORES:
        tracker.trial_ended(trial(row, seed), "FINISHED", {"f1": float("nan") if (row, seed) == ("a", 1) else 0.5})
    tracker.close_sweep("FAILED")
    assert {name: by_name(results)[name].info.status for name in ("fixed · A (λ = 0.2)", "fixed · B")} == {
        "fixed · A (λ = 0.2)": "FAILED",
        "fixed · B": "FINISHED",
    }


def test_a_trial_tells_the_files_that_no_commit_held_until_they_are_committed(results: Path) -> None:
    tracker = tracker_of(results)
    tracker.open_sweep(sweep())
    tracker.trial_ended(trial("a", 0).model_copy(update={"dirty": ("trainables/crnn.py",)}), "FINISHED", {"f1": 0.5})
    tracker.flush()
    assert [t.dirty for t in read_sweep(default_uri(results), "toy").trials] == [("trainables/crnn.py",)]
    tracker.trial_ended(trial("a", 0), "FINISHED", {"f1": 0.5})
    tracker.flush()
    assert [t.dirty for t in read_sweep(default_uri(results), "toy").trials] == [()]


def test_files_and_note_of_the_sweep_lie_with_its_run(results: Path) -> None:
    file = results / "table.md"
    file.write_text("| a |")
    record_all(tracker_of(results), artifacts=[file], note="| a |")
    run = by_name(results)["toy demo 2 seeds"]
    assert run.data.tags["mlflow.note.content"] == "| a |"
    assert [path.read_text() for path in (results / "mlflow-artifacts").rglob("table.md")] == ["| a |"]


def test_an_absent_server_costs_seconds_and_one_warning_and_raises_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    started = time.monotonic()
    with caplog.at_level(logging.WARNING):
        tracker = Tracker(f"http://user:secret@127.0.0.1:{port}", None)
        tracker.open_sweep(sweep())
        record_stage(tracker)
        tracker.trial_ended(trial("a", 0), "FINISHED", {"f1": 0.5})
        tracker.close_sweep("FINISHED", [tmp_path / "absent.png"])
    assert time.monotonic() - started < 15  # measured 3 s; 4 minutes with MLflow's defaults
    assert not tracker.healthy
    (warning,) = [record.getMessage() for record in caplog.records]
    assert "does not answer" in tracker.problem
    assert tracker.problem in warning
    assert "secret" not in warning


def test_a_bug_of_the_tracker_is_told_as_a_bug_with_its_traceback_and_raises_nothing(
    results: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracker = tracker_of(results)
    tracker.open_sweep(sweep())
    assert tracker.problem is None
    monkeypatch.setattr(Store, "write", lambda *_, **__: {}["absent"])
    record_stage(tracker)
    tracker.close_sweep("FINISHED")
    (entry,) = caplog.records
    assert entry.levelno == logging.ERROR
    assert entry.exc_info[0] is KeyError
    assert not tracker.healthy
    assert "bug of this program" in tracker.problem
    assert "KeyError: 'absent'" in tracker.problem


def test_what_an_absent_store_missed_is_delivered_by_the_next_run(results: Path) -> None:
    away = Tracker("sqlite:////proc/none/mlflow.db", None)
    away.open_sweep(sweep())
    assert not away.healthy
    record_all(tracker_of(results))
    assert len(read_sweep(default_uri(results), "toy").trials) == 4
