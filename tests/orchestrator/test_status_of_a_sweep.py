"""A real sweep, without Ray, tells of itself while it runs and after it has ended."""

import shutil
import time
from datetime import UTC, datetime

from rich.console import Console

from orchestrator import status_writer
from orchestrator.artifacts import ArtifactStore
from orchestrator.checks import Options
from orchestrator.conductor import INCOMPLETE, conduct
from orchestrator.status_page import status_page
from orchestrator.status_sweeps import Sweeps
from orchestrator.status_text import full_reason
from orchestrator.status_trials import Stand
from tests.short_table import shorten
from tests.tiny_corpora import write_tiny_corpora
from trainables.chance import ChanceClassifier


def test_a_sweep_is_seen_at_work_and_afterwards_with_what_it_lacks(tmp_path, monkeypatch, empty_store):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr(status_writer, "EVERY_SECONDS", 0.02)
    shorten(monkeypatch)
    corpora, results = write_tiny_corpora(tmp_path / "corpora"), tmp_path / "results"
    results.mkdir()
    shutil.copy(empty_store, results / "mlflow.db")
    store, seen = ArtifactStore(results / "store"), []

    def look_and_fail(stage, context):
        limit = time.monotonic() + 20
        while not (view := Sweeps(store).look()[0]).state.running and time.monotonic() < limit:
            time.sleep(0.02)
        seen.append(view)
        raise ZeroDivisionError("303_P.wav")

    monkeypatch.setattr(ChanceClassifier, "run", look_and_fail)
    options = Options("reclr_lambda", corpora=str(corpora), scale="smoke", seeds=1, results=results, local=True)
    assert conduct(options, Console(record=True, width=120)) == INCOMPLETE

    at_work = seen[0].state
    assert at_work.lives
    assert [name.partition("/")[0] for name in at_work.running] == ["ChanceClassifier"]
    assert at_work.counts[Stand.running] == 1
    assert any("not begun" in reason.words for reason in at_work.reasons)

    view = Sweeps(store, "reclr_lambda").look()[0]
    assert (view.state.lives, view.state.status.state, view.state.running) == (False, "failed", {})
    assert view.state.counts == {Stand.done: 1, Stand.failed: 2}  # chance and majority
    assert all(reason.words.startswith("its own chance") for reason in view.state.reasons)
    assert all(full_reason(reason).endswith("ZeroDivisionError: 303_P.wav") for reason in view.state.reasons)
    assert view.hours.unknown == 0
    assert view.hours.cpu_saved > 0  # the features that all three rows read
    assert "303_P" not in status_page([view], datetime.now(UTC))
