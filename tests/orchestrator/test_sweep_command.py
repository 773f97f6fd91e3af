"""The sweep command: clear answers to wrong questions, all faults at once, before the first second of compute."""

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from filelock import FileLock
from rich.console import Console

from orchestrator.checks import Options
from orchestrator.conductor import COMPLETE, INCOMPLETE, conduct
from orchestrator.execution.resources import ResourceRequest
from orchestrator.plan import Redo, State
from tests.planned import plan_for
from tests.short_table import shorten
from tests.tiny_corpora import write_tiny_corpora
from trainables.chance import ChanceClassifier
from trainables.errors import UserError


def run(*arguments):
    command = [sys.executable, "-m", "orchestrator.sweep", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_a_misspelt_option_is_answered_with_the_nearest():
    done = run("reclr_lambda", "--sedes", "3")
    assert done.returncode == 2
    assert "--seeds" in done.stderr


def test_an_unknown_study_is_answered_with_the_nearest_and_no_traceback(tmp_path):
    done = run("reclr_lamda", "--dry-run", "--results", str(tmp_path))
    assert done.returncode == 2
    assert "Did you mean 'reclr_lambda'" in done.stderr
    assert "Traceback" not in done.stderr


def test_all_faults_of_a_command_are_told_at_once(tmp_path):
    (tmp_path / "corpora.toml").write_text('[mdd]\nroot = "nowhere"\n')
    options = Options(
        "reclr_lambda",
        corpora=str(tmp_path / "corpora.toml"),
        scale="dem",
        results=tmp_path,
        request=ResourceRequest(workers=64),
        machine={"CPU": 2.0, "GPU": 0.0},
    )
    with pytest.raises(UserError) as caught:
        plan_for(options)
    message = str(caught.value)
    for part in ("did you mean 'demo'", "nowhere", "mosei", "64 workers x 1 CPU"):
        assert part in message


def test_a_missing_column_and_a_missing_recording_are_told_together(tmp_path):
    corpora = write_tiny_corpora(tmp_path)
    file = tmp_path / "mdd" / "metadata.csv"
    file.write_text(file.read_text().replace("depressed", "mood"))
    (tmp_path / "mosei" / "u03.wav").unlink()
    with pytest.raises(UserError, match=r"(?s)depressed.*u03\.wav"):
        plan_for(Options("reclr_lambda", corpora=str(corpora), scale="smoke", results=tmp_path / "results"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"results": Path("/dev/null/results")}, "is not a folder that can be written to"),
        ({"address": "127.0.0.1:1"}, "nobody answers"),
        ({"local": True, "request": ResourceRequest(workers=2)}, "--local runs one worker"),
        ({"request": ResourceRequest(workers=3)}, "cannot be divided among 3 workers"),
    ],
)
def test_where_a_sweep_cannot_run_is_told_before_it_runs(tmp_path, changes, message):
    options = replace(Options("reclr_lambda", results=tmp_path / "results", machine={"CPU": 64.0, "GPU": 0.0}), **changes)
    with pytest.raises(UserError, match=message):
        plan_for(options)


def test_two_sweeps_on_the_same_results_do_not_run_at_once(tmp_path):
    corpora = write_tiny_corpora(tmp_path / "corpora")
    options = Options("reclr_lambda", corpora=str(corpora), scale="smoke", seeds=1, results=tmp_path / "results", local=True)
    options.results.mkdir()
    with FileLock(options.results / "sweep.lock"), pytest.raises(UserError, match="another sweep is running"):
        conduct(options, Console(record=True))


def test_a_dry_run_plans_and_writes_nothing(tmp_path):
    console = Console(record=True, width=120)
    assert conduct(Options("reclr_lambda", results=tmp_path / "results"), console, dry_run=True) == COMPLETE
    text = console.export_text()
    assert "24 trials (8 rows x 3 seeds) need 111 stage results; sharing leaves 36 distinct stages" in text
    assert not (tmp_path / "results").exists()


def test_a_local_sweep_prints_the_table_and_a_failed_stage_leaves_the_others_whole(tmp_path, monkeypatch, empty_store):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    shorten(monkeypatch)
    corpora = write_tiny_corpora(tmp_path / "corpora")
    (tmp_path / "results").mkdir()
    shutil.copy(empty_store, tmp_path / "results/mlflow.db")
    options = Options("reclr_lambda", corpora=str(corpora), scale="smoke", seeds=1, results=tmp_path / "results", local=True)
    with monkeypatch.context() as broken:
        broken.setattr(ChanceClassifier, "run", lambda self, context: 1 / 0)
        console = Console(record=True, width=120)
        assert conduct(options, console) == INCOMPLETE
    text = console.export_text()
    assert "ZeroDivisionError" in text
    assert "--redo retry" in text
    assert "no table" in text
    states = [stage.state for stage in plan_for(options).stages]
    assert (states.count(State.failed), states.count(State.missing)) == (2, 0)
    assert states.count(State.done) > 0

    console = Console(record=True, width=120)
    assert conduct(replace(options, redo=Redo.retry), console) == COMPLETE
    text = console.export_text()
    assert "Random" in text
    assert "mdd = mdd" in text


def test_without_mlflow_the_sweep_goes_on_and_the_next_run_delivers(tmp_path, monkeypatch, empty_store):
    shorten(monkeypatch)
    corpora = write_tiny_corpora(tmp_path / "corpora")
    options = Options("reclr_lambda", corpora=str(corpora), scale="smoke", seeds=1, results=tmp_path / "results", local=True)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    console = Console(record=True, width=120)
    assert conduct(options, console) == INCOMPLETE
    assert "The same command" in console.export_text()
    before = {stage.state for stage in plan_for(options).stages}
    assert before == {State.done}
    late = shutil.copy(empty_store, tmp_path / "late.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{late}")
    console = Console(record=True, width=120)
    assert conduct(options, console) == COMPLETE
    assert "Random" in console.export_text()
