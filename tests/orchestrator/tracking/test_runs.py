from __future__ import annotations

import logging
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import scipy.stats
from typer.testing import CliRunner

from orchestrator.records import StageRecord, SweepRecord, TrialRecord
from orchestrator.table import app
from orchestrator.tracking import Tracker, default_artifacts, default_uri, read_trials, study_page
from orchestrator.tracking.store import Store
from search_spaces.table import Column, Row, TableSpec
from trainables.errors import UserError

SHARED = StageRecord(
    fingerprint="Pretraining/objective=simclr-aaaabbbbcccc", name="Pretraining", title="pretraining", settings={"lr": 0.1}
)
CODE = {"Pretraining": "p1", "Classifier": "c1"}
SCORES = {("a", 0): 0.5, ("a", 1): 0.7, ("b", 0): 0.6, ("b", 1): 0.65}


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh store costs MLflow seconds of table making, so the tests copy one."""
    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    Store(f"sqlite:///{path}").experiments()
    return path


@pytest.fixture
def results(tmp_path: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    return tmp_path


def sweep(key: str = "sweep1", **changes) -> SweepRecord:
    table = TableSpec(
        study="toy",
        title="Toy {table}",
        source="A Paper, Table 1",
        row_titles=("Cnn10", "Method"),
        rows=(Row(key="a", label=("fixed", "A (λ = 0.2)"), params={"lambda_": 0.2}), Row(key="b", label=("fixed", "B"))),
        columns=(Column(metric="f1", title="F1", percent=True, higher_is_better=True),),
        headline="f1",
    )
    fields = {"study": "toy", "table": table, "seeds": (0, 1), "scale": "demo", "protocol": "70/30", "code": "abc"}
    return SweepRecord(key=key, corpora={"mdd": {"name": "twin-mdd", "digest": "d1", "twin": True}}, **{**fields, **changes})


def tracker_of(results: Path) -> Tracker:
    uri = default_uri(results)
    return Tracker(uri, default_artifacts(uri, results))


def trial(row: str, seed: int, version: str = "", code: dict[str, str] = CODE) -> TrialRecord:
    last = f"Classifier/{row}-{seed}{version}"
    return TrialRecord(key=f"{row}-seed{seed}", row=row, seed=seed, fingerprint=last, stages=(SHARED.fingerprint, last), code=code)


def record_stage(tracker: Tracker, executing: bool = False, loss: float = 0.2, code: str = "p1") -> None:
    tracker.stage_started(SHARED, executing)
    tracker.log_stage(SHARED.fingerprint, [("train/loss", 5 * loss / (step + 1), step, 1000 + step) for step in range(5)])
    tracker.stage_ended(SHARED.fingerprint, "FINISHED", {"loss": loss}, {"code": code, "wall_seconds": 1.5})


def record_all(tracker: Tracker, record: SweepRecord | None = None, **close) -> None:
    tracker.open_sweep(record or sweep())
    record_stage(tracker)
    for (row, seed), score in SCORES.items():
        tracker.trial_ended(trial(row, seed), "FINISHED", {"f1": score})
    tracker.close_sweep("FINISHED", **close)
    assert tracker.healthy


def runs(results: Path, experiment: str = "toy", condition: str = "") -> list:
    store = Store(default_uri(results))
    return store.search(store.find_experiment(experiment), condition)


def by_name(results: Path, experiment: str = "toy") -> dict:
    return {run.info.run_name: run for run in runs(results, experiment)}


def everything(results: Path) -> list:
    """All that the store holds, apart from the times at which runs were closed again."""
    found = [run for name in ("toy", "stages") for run in runs(results, name)]
    tags = [{name: value for name, value in run.data.tags.items() if name != "opened"} for run in found]
    facts = [
        (run.info.run_id, run.info.status, run.data.metrics, run.data.params, tag) for run, tag in zip(found, tags, strict=True)
    ]
    return sorted(facts, key=lambda fact: fact[0])


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


def test_a_cell_carries_mean_std_n_and_interval_as_metrics(results: Path) -> None:
    record_all(tracker_of(results))
    metrics = by_name(results)["fixed · A (λ = 0.2)"].data.metrics
    low, high = scipy.stats.t.interval(0.95, 1, loc=0.6, scale=scipy.stats.sem([0.5, 0.7]))
    expected = {"f1_mean": 0.6, "f1_std": 0.02**0.5, "f1_n": 2, "f1_ci_low": low, "f1_ci_high": high}
    assert metrics == pytest.approx(expected)


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
    before = {run.info.run_id for run in [*runs(results), *runs(results, "stages")]}
    record_all(tracker_of(results))
    after = [*runs(results), *runs(results, "stages")]
    assert before < {run.info.run_id for run in after}
    assert len(after) == 8
    assert {run.info.status for run in after} == {"FINISHED"}


def test_a_point_sent_twice_is_there_once(results: Path) -> None:
    killed = tracker_of(results)
    killed.open_sweep(sweep())
    killed.stage_started(SHARED)
    killed.log_stage(SHARED.fingerprint, [("train/loss", 1.0, 0, 1000), ("train/loss", 0.5, 1, 1001)])
    record_all(tracker_of(results))
    (stage,) = runs(results, "stages")
    history = Store(default_uri(results))._client.get_metric_history(stage.info.run_id, "train/loss")
    assert [(point.step, point.value) for point in sorted(history, key=lambda point: point.step)] == [
        (s, 1 / (s + 1)) for s in range(5)
    ]


def test_thousands_of_points_go_in_one_call(results: Path) -> None:
    tracker = tracker_of(results)
    tracker.open_sweep(sweep())
    tracker.stage_started(SHARED)
    tracker.log_stage(SHARED.fingerprint, [("train/loss", 0.1 * step, step, 1000 + step) for step in range(2500)])
    (stage,) = runs(results, "stages")
    assert len(Store(default_uri(results))._client.get_metric_history(stage.info.run_id, "train/loss")) == 2500


def test_a_failed_stage_that_is_run_again_has_two_runs(results: Path) -> None:
    tracker = tracker_of(results)
    tracker.open_sweep(sweep())
    tracker.stage_started(SHARED)
    tracker.stage_ended(SHARED.fingerprint, "FAILED", {}, {})
    record_stage(tracker)
    assert sorted(run.info.status for run in runs(results, "stages")) == ["FAILED", "FINISHED"]


def test_an_interrupted_sweep_has_only_killed_and_finished_runs(results: Path) -> None:
    tracker = tracker_of(results)
    tracker.open_sweep(sweep())
    tracker.stage_started(SHARED)
    tracker.trial_ended(trial("a", 0), "FINISHED", {"f1": 0.5})
    tracker_of(results).open_sweep(sweep())
    closing = tracker_of(results)
    closing.open_sweep(sweep())
    closing.close_sweep("KILLED")
    status = {run.info.run_name: run.info.status for run in [*runs(results), *runs(results, "stages")]}
    assert status.pop("seed 0") == "FINISHED"
    assert set(status.values()) == {"KILLED"}
    assert by_name(results)["fixed · A (λ = 0.2)"].data.metrics == {"f1_mean": 0.5, "f1_n": 1}


def test_a_trial_with_another_result_supersedes_the_old_one(results: Path) -> None:
    record_all(tracker_of(results))
    again = tracker_of(results)
    again.open_sweep(sweep())
    again.trial_ended(trial("a", 0, "x"), "FINISHED", {"f1": 0.9})
    again.close_sweep("FINISHED")
    _, trials = read_trials(default_uri(results), "toy")
    assert sorted(t.metrics["f1"] for t in trials if t.row == "a") == [0.7, 0.9]
    assert by_name(results)["fixed · A (λ = 0.2)"].data.metrics["f1_mean"] == pytest.approx(0.8)


def test_a_trial_computed_again_by_other_code_supersedes_the_old_one_even_with_equal_numbers(results: Path) -> None:
    record_all(tracker_of(results))
    again = tracker_of(results)
    again.open_sweep(sweep())
    newer = {"Pretraining": "p1", "Classifier": "c2"}
    again.trial_ended(trial("a", 0, code=newer), "FINISHED", {"f1": 0.5})
    again.close_sweep("FINISHED")
    _, trials = read_trials(default_uri(results), "toy")
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
    (stage,) = runs(results, "stages")
    loss = change.get("loss", 0.2)
    assert stage.info.status == "FINISHED"
    assert stage.data.metrics == {"train/loss": loss, "result/loss": loss}
    assert stage.data.tags["provenance.code"] == change.get("code", "p1")
    history = Store(default_uri(results))._client.get_metric_history(stage.info.run_id, "train/loss")
    assert len(history) == 5


def test_a_metric_that_is_not_a_number_gives_its_cell_no_statistics(results: Path, caplog: pytest.LogCaptureFixture) -> None:
    tracker = tracker_of(results)
    tracker.open_sweep(sweep())
    for row, seed in SCORES:
        tracker.trial_ended(trial(row, seed), "FINISHED", {"f1": float("nan") if (row, seed) == ("a", 1) else 0.5})
    tracker.close_sweep("FAILED")
    found = by_name(results)
    assert found["fixed · A (λ = 0.2)"].data.metrics == {}
    assert found["fixed · A (λ = 0.2)"].info.status == "FAILED"
    assert found["fixed · B"].info.status == "FINISHED"
    assert "f1 of a, seed 1" in caplog.text


def test_the_sweep_record_of_any_length_comes_back_from_tags_alone(results: Path) -> None:
    rows = tuple(
        Row(key=f"row{n}", label=("λ" * 100, f"row {n}"), params={"flag": True, "count": 1, "rate": 0.1}) for n in range(40)
    )
    record = sweep(table=sweep().table.model_copy(update={"rows": rows}))
    tracker_of(results).open_sweep(record)
    assert len(record.model_dump_json()) > 8000
    assert read_trials(default_uri(results), "toy") == (record, [])


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
    assert len(read_trials(default_uri(results), "toy")[1]) == 4


def test_a_table_is_printed_from_the_store_alone(results: Path) -> None:
    record_all(tracker_of(results))
    outcome = CliRunner().invoke(app, ["toy", "--format", "csv", "--results", str(results)])
    assert outcome.exit_code == 0
    assert outcome.stdout.splitlines()[1].startswith("a,fixed,A (λ = 0.2),f1,percent,60.0,")
    file = results / "tables" / "toy.md"
    again = CliRunner().invoke(app, ["toy", "--format", "markdown", "--output", str(file), "--results", str(results)])
    assert again.exit_code == 0
    assert "| fixed | B | **62.50 ± 3.54 (2)** |" in file.read_text()


def test_a_file_that_cannot_be_written_is_told(results: Path) -> None:
    record_all(tracker_of(results))
    for path in ("/dev/null/x/t.md", str(results)):
        outcome = CliRunner().invoke(app, ["toy", "--output", path, "--results", str(results)])
        assert isinstance(outcome.exception, UserError)
        assert f"cannot write {path}: " in str(outcome.exception)


def test_the_page_of_a_study_is_that_of_its_experiment(results: Path) -> None:
    record_all(tracker_of(results))
    experiment = Store(default_uri(results)).find_experiment("toy")
    assert study_page(default_uri(results), "toy") == f"#/experiments/{experiment}/runs?workflowType=machine_learning"


def test_a_sweep_recorded_by_another_version_is_told_and_a_newer_one_is_read(results: Path) -> None:
    record_all(tracker_of(results))
    (run,) = runs(results, condition="tags.kind = 'sweep'")
    Store(default_uri(results)).write(run.info.run_id, tags={"record.00": '{"study": "toy", "colour": "red"}'})
    with pytest.raises(UserError, match="recorded by another version"):
        read_trials(default_uri(results), "toy")
    record_all(tracker_of(results), sweep("sweep2"))
    assert read_trials(default_uri(results), "toy")[0] == sweep("sweep2")


def test_an_incomplete_sweep_is_refused_unless_partial(results: Path) -> None:
    tracker = tracker_of(results)
    tracker.open_sweep(sweep())
    tracker.trial_ended(trial("a", 0), "FINISHED", {"f1": 0.5})
    tracker.close_sweep("KILLED")
    refused = CliRunner().invoke(app, ["toy", "--results", str(results)])
    assert isinstance(refused.exception, UserError)
    assert "'b' lacks seeds 0, 1" in str(refused.exception)
    partial = CliRunner().invoke(app, ["toy", "--partial", "--results", str(results)])
    assert partial.exit_code == 0
    assert "PARTIAL TABLE" in " ".join(partial.stdout.split())


def test_an_unknown_study_is_answered_with_those_that_there_are(results: Path) -> None:
    record_all(tracker_of(results))
    outcome = CliRunner().invoke(app, ["tow", "--results", str(results)])
    assert isinstance(outcome.exception, UserError)
    assert "no sweep of the study 'tow'; studies there: toy" in str(outcome.exception)


def test_a_store_that_was_never_made_is_told_and_not_created(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    outcome = CliRunner().invoke(app, ["toy", "--results", str(tmp_path / "nowhere")])
    assert isinstance(outcome.exception, UserError)
    assert "no MLflow store" in str(outcome.exception)
    assert not (tmp_path / "nowhere").exists()
