"""Every table and curve there is, from its command to its files, on tiny corpora (the searches need Ray: test_ray_search)."""

import re

import pytest
from rich.console import Console
from typer.testing import CliRunner

from orchestrator.cases import app as cases
from orchestrator.checks import Options
from orchestrator.command import console
from orchestrator.conductor import COMPLETE, conduct
from orchestrator.table import app
from search_spaces.search import find_search
from search_spaces.study import load_study, study_module, study_names
from tests.tiny_corpora import write_tiny_corpora
from trainables.errors import UserError

TABLES = [name for name in study_names() if find_search(name) is None]
CURVES = [name for name in TABLES if hasattr(study_module(name), "CURVE")]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Runs a study at smoke scale, all of them on one store; returns its folder of files and what was printed."""
    folder = tmp_path_factory.mktemp("every")
    corpora, results = write_tiny_corpora(folder / "corpora"), folder / "results"

    def conduct_study(name, curve):
        seeds = 1 if name.startswith("climate") else 2  # their rows are many
        options = Options(name, curve=curve, corpora=str(corpora), scale="smoke", seeds=seeds, results=results, local=True)
        console = Console(record=True, width=120)
        with pytest.MonkeyPatch.context() as patch:
            patch.delenv("MLFLOW_TRACKING_URI", raising=False)
            assert conduct(options, console) == COMPLETE
        return results / "tables" / load_study(name, curve).name, console.export_text()

    return conduct_study


def _bars(spec):
    """The pictures of grouped bars."""
    named = {row.params[spec.bars.picture].lower() for row in spec.rows} if spec.bars else set()
    return {f"bars_{name}.{form}" for name in named for form in ("png", "svg")}


@pytest.mark.parametrize(("name", "curve"), [(name, False) for name in TABLES] + [(name, True) for name in CURVES])
def test_a_study_runs_from_its_command_to_its_table(run, name, curve):
    folder, printed = run(name, curve)
    spec = load_study(name, curve).table
    pictures = {"table.png"} | ({"curve.png"} if spec.curve else set()) | _bars(spec)
    assert {file.name for file in folder.iterdir()} == {"table.md", "table.tex", "table.csv", "table.html"} | pictures
    lines = (folder / "table.csv").read_text().splitlines()
    assert len(lines) == 1 + len(spec.rows) * len(spec.columns)
    for row in spec.rows:
        assert row.label[-1] in printed


def test_a_participants_emotions_are_shown_from_the_store_by_modality_with_the_turns_to_listen_to(run):
    results = run("climate_emotion_analysis", False)[0].parents[1]
    options = ["--corpora", str(results.parent / "corpora/corpora.toml"), "--scale", "smoke", "--results", str(results)]
    with pytest.MonkeyPatch.context() as patch, console.capture() as printed:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        outcome = CliRunner().invoke(cases, ["p03", "p04", *options], catch_exceptions=False)
    assert outcome.exit_code == 0
    told = printed.get()
    assert re.search("Participant p03, depressed", told)
    assert re.search("Participant p04, healthy", told)
    for model in ("iemocap", "mosei"):
        for modality in ("audio", "text", "both"):
            assert re.search(rf"{model} +│ {modality} +│ \w+ +│ +\d+%", told)
    assert "p03.wav" in told
    with pytest.raises(UserError, match="no participant p99; the corpus has p00, p01"):
        CliRunner().invoke(cases, ["p99", *options], catch_exceptions=False)


def test_made_again_from_mlflow_alone_every_table_has_the_same_bytes(run, tmp_path):
    folder, _ = run(TABLES[0], False)
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    results = folder.parents[1]
    for output in (tmp_path / "one", tmp_path / "two"):
        outcome = CliRunner().invoke(app, ["--all", "--results", str(results), "--output", str(output)])
        assert outcome.exit_code == 0, outcome.output
    one, two = (
        {file.relative_to(out): file.read_bytes() for file in out.rglob("*.*")} for out in (tmp_path / "one", tmp_path / "two")
    )
    assert one == two
    assert {file.name: file.read_bytes() for file in (tmp_path / "one" / folder.name).iterdir()} == before
