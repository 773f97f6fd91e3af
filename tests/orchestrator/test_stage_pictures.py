"""Pictures that stages leave in their results: with the stage's run in MLflow once, and beside the table of whom they belong to."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest
from matplotlib.figure import Figure
from rich.console import Console

import search_spaces.reclr_lambda
from orchestrator.artifacts import ArtifactStore
from orchestrator.checks import Options
from orchestrator.conductor import COMPLETE, conduct
from orchestrator.delivery import deliver_stage
from orchestrator.execution.local import LocalExecutor
from orchestrator.execution.setting import Setting
from orchestrator.tracking import Tracker
from orchestrator.tracking.store import Store
from search_spaces.study import study
from tests.planned import plan_for
from tests.recorded import by_name, everything, runs, sweep, tracker_of
from tests.tiny_corpora import write_tiny_corpora
from tests.toys import Number, toy_setting
from trainables.chance import ChanceClassifier
from trainables.pictures import FIGURES, save_picture
from trainables.stage import Context, Stage


class Drawing(Stage):
    """Draws a picture of its word."""

    draws: ClassVar[bool] = True
    label: ClassVar[str] = "drawing"
    word: str = "a"

    def run(self, context: Context) -> None:
        save_picture(context.directory, "word", figure(self.word))
        (context.directory / "metrics.json").write_text(json.dumps({"loss": 1.0}))


def figure(word: str) -> Figure:
    drawn = Figure(figsize=(1, 1))
    drawn.suptitle(word)
    return drawn


@pytest.fixture
def results(tmp_path: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    return tmp_path


@pytest.fixture
def setting(tmp_path: Path) -> Setting:
    return toy_setting(tmp_path / "store")


@pytest.fixture
def uploads(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Names of the files that MLflow is given, in order."""
    found: list[str] = []
    plain = Store.keep

    def keep(self: Store, run_id: str, paths: list[Path], folder: str | None = None) -> bool:
        found.extend(path.name for path in paths)
        return plain(self, run_id, paths, folder)

    monkeypatch.setattr(Store, "keep", keep)
    return found


def opened(results: Path) -> Tracker:
    tracker = tracker_of(results)
    tracker.open_sweep(sweep())
    return tracker


def run(tracker: Tracker, setting: Setting, *stages: Stage) -> None:
    for stage in stages:
        LocalExecutor(setting, lambda method, *given: getattr(tracker, method)(*given)).finish_chain(stage)
    tracker.flush(patience=0.1)


def deliver(tracker: Tracker, setting: Setting, stage: Stage) -> None:
    """As the end of every sweep does, for all of its stages."""
    store = ArtifactStore(setting.store)
    deliver_stage(lambda method, *given: getattr(tracker, method)(*given), stage, setting.fingerprint(stage), store)
    tracker.flush()


def kept(results: Path) -> dict[str, bytes]:
    """The pictures that lie with the runs of stages, by run and name."""
    place = results / "mlflow-artifacts" / "stages"
    return {str(file.relative_to(place)): file.read_bytes() for file in place.rglob("*") if file.is_file()}


def test_a_picture_lies_with_its_stages_run(results: Path, setting: Setting) -> None:
    run(opened(results), setting, Drawing())
    (found,) = runs(results, "stages")
    ((place, content),) = kept(results).items()
    assert place == f"{found.info.run_id}/artifacts/{FIGURES}/word.png"
    assert content == (ArtifactStore(setting.store).path(setting.fingerprint(Drawing())) / FIGURES / "word.png").read_bytes()
    assert found.info.status == "FINISHED"


def test_it_is_logged_once_however_many_trials_share_the_stage_and_however_often_it_is_delivered(
    results: Path, setting: Setting, uploads: list[str]
) -> None:
    tracker = opened(results)
    run(tracker, setting, Drawing(), Drawing())
    before = everything(results)
    deliver(tracker, setting, Drawing())
    later = opened(results)
    deliver(later, setting, Drawing())
    assert uploads == ["word.png"]
    assert everything(results) == before
    assert tracker.healthy
    assert later.healthy


def test_a_stage_without_pictures_leaves_no_trace_of_any(results: Path, setting: Setting, uploads: list[str]) -> None:
    run(opened(results), setting, Number())
    (found,) = runs(results, "stages")
    assert (uploads, kept(results)) == ([], {})
    assert FIGURES not in found.data.tags


def test_what_mlflow_missed_while_it_was_away_is_delivered_later(results: Path, setting: Setting) -> None:
    away = Tracker("sqlite:////proc/none/mlflow.db", None)
    away.open_sweep(sweep())
    run(away, setting, Drawing())
    assert not away.healthy
    deliver(opened(results), setting, Drawing())
    assert len(kept(results)) == 1


def test_a_server_that_takes_no_artifacts_gets_all_numbers_and_the_pictures_as_soon_as_it_takes_them(
    results: Path, setting: Setting, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*given: object) -> None:
        raise OSError("no such bucket")

    with monkeypatch.context() as broken, caplog.at_level(logging.WARNING):
        tracker = opened(results)
        broken.setattr("mlflow.MlflowClient.log_artifact", refuse)
        run(tracker, setting, Drawing(), Drawing(word="b"))
    assert tracker.healthy
    assert [found.data.metrics["result/loss"] for found in runs(results, "stages")] == [1.0, 1.0]
    assert {found.info.status for found in runs(results, "stages")} == {"FINISHED"}
    (warning,) = [entry.getMessage() for entry in caplog.records]
    assert "takes no artifacts (no such bucket); figures and tables stay in the results" in warning
    before = {found.info.run_id for found in runs(results, "stages")}
    later = opened(results)
    deliver(later, setting, Drawing())
    deliver(later, setting, Drawing(word="b"))
    assert {found.info.run_id for found in runs(results, "stages")} == before
    assert len(kept(results)) == 2


def test_a_stage_that_is_computed_again_has_its_new_picture(
    results: Path, setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(opened(results), setting, Drawing())
    (old,) = runs(results, "stages")
    store = ArtifactStore(setting.store)
    store.remove(setting.fingerprint(Drawing()))
    monkeypatch.setattr(f"{__name__}.figure", lambda word, plain=figure: plain("another"))
    run(opened(results), setting, Drawing())
    (new,) = runs(results, "stages")
    assert new.info.run_id != old.info.run_id
    (content,) = (content for place, content in kept(results).items() if place.startswith(new.info.run_id))
    assert content == store.pictures(setting.fingerprint(Drawing()))["word.png"]


def test_a_table_has_the_pictures_of_every_rows_last_stage_at_its_lowest_seed_beside_it(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, plain = search_spaces.reclr_lambda.STUDY, ChanceClassifier.run
    rows = [(row, whole.chains[row.key]) for row in whole.table.rows if row.key in ("chance", "majority")]
    short = study(whole.table.model_copy(update={"baseline": "majority"}), rows, whole.protocol)
    monkeypatch.setattr(search_spaces.reclr_lambda, "STUDY", short)

    def draw_too(stage: ChanceClassifier, context: Context) -> None:
        plain(stage, context)
        if stage.strategy == "uniform":
            save_picture(context.directory, "drawn", figure(f"seed {stage.seed}"))

    monkeypatch.setattr(ChanceClassifier, "run", draw_too)
    monkeypatch.setattr(ChanceClassifier, "draws", True)
    corpora = write_tiny_corpora(results / "corpora")
    options = Options("reclr_lambda", corpora=str(corpora), scale="smoke", seeds=2, results=results, local=True)
    assert conduct(options, Console(record=True)) == COMPLETE
    place = results / "tables" / "reclr_lambda" / FIGURES
    store, plan = ArtifactStore(options.store_root), plan_for(options)
    by_seed = {trial.record.seed: trial.record.fingerprint for trial in plan.trials if trial.record.row == "chance"}
    first, second = (store.pictures(by_seed[seed])["drawn.png"] for seed in range(2))
    assert first != second
    assert {file.name: file.read_bytes() for file in place.iterdir()} == {"chance_drawn.png": first}, "majority has none"
    (sweep_run,) = (found for found in by_name(results, "reclr_lambda").values() if found.data.tags["kind"] == "sweep")
    artifacts = results / "mlflow-artifacts" / "reclr_lambda" / sweep_run.info.run_id / "artifacts"
    assert [file.name for file in (artifacts / FIGURES).iterdir()] == ["chance_drawn.png"]
    assert (artifacts / "table.png").exists()
