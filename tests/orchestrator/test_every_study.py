"""Every table and curve there is, from its command to its files, on tiny corpora (the searches need Ray: test_ray_search)."""

import pytest
from rich.console import Console
from typer.testing import CliRunner

from orchestrator.checks import Options
from orchestrator.conductor import COMPLETE, conduct
from orchestrator.table import app
from search_spaces.search import find_search
from search_spaces.study import load_study, study_module, study_names
from tests.tiny_corpora import write_tiny_corpora

TABLES = [name for name in study_names() if find_search(name) is None]
CURVES = [name for name in TABLES if hasattr(study_module(name), "CURVE")]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Runs a study at smoke scale, all of them on one store; returns its folder of files and what was printed."""
    folder = tmp_path_factory.mktemp("every")
    corpora, results = write_tiny_corpora(folder / "corpora"), folder / "results"

    def conduct_study(name, curve):
        options = Options(name, curve=curve, corpora=str(corpora), scale="smoke", seeds=2, results=results, local=True)
        console = Console(record=True, width=120)
        with pytest.MonkeyPatch.context() as patch:
            patch.delenv("MLFLOW_TRACKING_URI", raising=False)
            assert conduct(options, console) == COMPLETE
        return results / "tables" / load_study(name, curve).name, console.export_text()

    return conduct_study


@pytest.mark.parametrize(("name", "curve"), [(name, False) for name in TABLES] + [(name, True) for name in CURVES])
def test_a_study_runs_from_its_command_to_its_table(run, name, curve):
    folder, printed = run(name, curve)
    spec = load_study(name, curve).table
    pictures = {"table.png"} | ({"curve.png"} if spec.curve else set())
    assert {file.name for file in folder.iterdir()} == {"table.md", "table.tex", "table.csv", "table.html"} | pictures
    lines = (folder / "table.csv").read_text().splitlines()
    assert len(lines) == 1 + len(spec.rows) * len(spec.columns)
    for row in spec.rows:
        assert row.label[-1] in printed


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
