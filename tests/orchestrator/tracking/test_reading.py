from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from orchestrator.records import CellStatistics, statistics_digest
from orchestrator.table import app
from orchestrator.tracking import default_uri, read_sweep, studies, study_page
from orchestrator.tracking.store import Store
from search_spaces.table import Row
from tests.recorded import (
    by_name,
    record_all,
    runs,
    sweep,
    tracker_of,
    trial,
)
from trainables.errors import UserError


def test_runs_are_found_by_mlflow_in_the_order_of_mean_and_of_p(results: Path) -> None:
    record_all(tracker_of(results))
    client, experiment = Store(default_uri(results))._client, Store(default_uri(results)).find_experiment("toy")

    def order(key: str) -> list[str]:
        found = client.search_runs([experiment], "tags.kind = 'cell'", order_by=[key])
        return [run.data.tags["row"] for run in found]

    assert order("metrics.f1_mean DESC") == ["b", "a"]
    assert order("metrics.f1_p_vs_baseline ASC") == ["a", "b"]  # what has no p comes last


def test_studies_are_those_with_a_sweep(results: Path) -> None:
    assert studies(default_uri(results)) == []
    record_all(tracker_of(results))
    assert studies(default_uri(results)) == ["toy"]


def test_a_row_and_a_sweep_have_a_link_to_their_run(results: Path) -> None:
    record_all(tracker_of(results))
    found, links = by_name(results), read_sweep(default_uri(results), "toy").links
    experiment = Store(default_uri(results)).find_experiment("toy")
    for key, name in (("", "toy demo 2 seeds"), ("b", "fixed · B")):
        assert links[key] == f"http://127.0.0.1:5000/#/experiments/{experiment}/runs/{found[name].info.run_id}"


def test_the_sweep_record_of_any_length_comes_back_from_tags_alone(results: Path) -> None:
    rows = tuple(
        Row(key=f"row{n}", label=("λ" * 100, f"row {n}"), params={"flag": True, "count": 1, "rate": 0.1}) for n in range(40)
    )
    record = sweep(table=sweep().table.model_copy(update={"rows": rows}))
    tracker_of(results).open_sweep(record)
    assert len(record.model_dump_json()) > 8000
    recorded = read_sweep(default_uri(results), "toy")
    assert (recorded.sweep, recorded.trials) == (record, ())


def test_a_table_is_printed_from_the_store_alone(results: Path) -> None:
    record_all(tracker_of(results))
    outcome = CliRunner().invoke(app, ["toy", "--format", "csv", "--results", str(results)])
    assert outcome.exit_code == 0
    assert outcome.stdout.splitlines()[1].startswith("a,fixed,A (λ = 0.2),f1,percent,2,60.0,")
    file = results / "tables" / "toy.md"
    again = CliRunner().invoke(app, ["toy", "--format", "markdown", "--output", str(file), "--results", str(results)])
    assert again.exit_code == 0
    assert re.search(r"\| fixed \| B \| \*\*\[62\.50 ± 3\.54 \(2\)\]\(http://127\.0\.0\.1:5000/#/\S+\)\*\* \|", file.read_text())


def test_a_file_that_cannot_be_written_is_told(results: Path) -> None:
    record_all(tracker_of(results))
    for path in ("/dev/null/x/t.md", str(results)):
        outcome = CliRunner().invoke(app, ["toy", "--output", path, "--results", str(results)])
        assert isinstance(outcome.exception, UserError)
        assert f"cannot write {path}: " in str(outcome.exception)


def test_the_page_of_a_study_is_that_of_its_experiment(results: Path) -> None:
    record_all(tracker_of(results))
    experiment = Store(default_uri(results)).find_experiment("toy")
    page = f"http://127.0.0.1:5000/#/experiments/{experiment}/runs?workflowType=machine_learning"
    assert study_page(default_uri(results), "toy") == page


def test_a_sweep_recorded_by_another_version_is_told_and_a_newer_one_is_read(results: Path) -> None:
    record_all(tracker_of(results))
    (run,) = runs(results, condition="tags.kind = 'sweep'")
    Store(default_uri(results)).write(run.info.run_id, tags={"record.00": '{"study": "toy", "colour": "red"}'})
    with pytest.raises(UserError, match="recorded by another version"):
        read_sweep(default_uri(results), "toy")
    record_all(tracker_of(results), sweep("sweep2"))
    assert read_sweep(default_uri(results), "toy").sweep == sweep("sweep2")


def test_an_incomplete_sweep_is_refused_unless_partial(results: Path) -> None:
    tracker = tracker_of(results)
    tracker.open_sweep(sweep())
    tracker.trial_ended(trial("a", 0), "FINISHED", {"f1": 0.5})
    tracker.flush()
    told_by = statistics_digest(read_sweep(default_uri(results), "toy").trials)
    tracker.write_statistics({"a": CellStatistics(n=1, mean=0.5).as_metrics("f1")}, told_by)
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
