"""Every table and curve there is, from its command to its files, on tiny corpora (the searches need Ray: test_ray_search)."""

import re
from pathlib import Path

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
from trainables.cross_validation import CrossValidation
from trainables.errors import UserError
from trainables.representation_map import RepresentationMap
from trainables.split_comparison import SplitComparison
from trainables.tasks import TASKS

TABLES = [name for name in study_names() if find_search(name) is None]
CURVES = [name for name in TABLES if hasattr(study_module(name), "CURVE")]
SLOW = {
    "reclr_top_k",
    "reclr_temperature",
    "reclr_iemocap",
    "supcon_cross_corpus",
    "supcon_corpora",
    "supcon_temperature",
    "supcon_iemocap",
    "supcon_alpha",
    "supcon_margin",
    "supcon_own_encoder",
    "supcon_cpc_encoder",
    "cpc_own_encoder",
    "cpc_iemocap",
    "cpc_representation",
    "cpc_negatives",
    "cpc_steps",
    "cpc_unlabelled",
    "cpc_weights",
    "climate_emotion_models",
    "cbam_tasks",
    "cbam_attention",
    "cbam_gender",
    "cbam_severity",
    "cbam_own_speech",
}
"""More sweeps of one setting of the stages of a study that stays: reclr_lambda, supcon_similarity, cpc_msp_podcast or
climate_emotion_features; the rows of reclr_mosei, cpc_msp_podcast and cbam_algorithms in folds, of four classes, as pictures, or
once more for each of many cells; and tables on an encoder of their own, with epochs that the study sets and no scale can lower."""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Runs a study at smoke scale, all of them on one store; returns its folder of files and what was printed."""
    folder = tmp_path_factory.mktemp("every")
    corpora, results = write_tiny_corpora(folder / "corpora"), folder / "results"

    def conduct_study(name, curve):
        seeds = 2 if (name, curve) == ("reclr_lambda", False) else 1
        options = Options(name, curve=curve, corpora=str(corpora), scale="smoke", seeds=seeds, results=results, local=True)
        console = Console(record=True, width=120)
        with pytest.MonkeyPatch.context() as patch:
            patch.delenv("MLFLOW_TRACKING_URI", raising=False)
            assert conduct(options, console) == COMPLETE
        return results / "tables" / load_study(name, curve).name, console.export_text()

    return conduct_study


def _drawn(name, row):
    """The pictures of a row's last stage."""
    last = load_study(name).chains[row](0)
    if isinstance(last, RepresentationMap):
        return {"map"}
    fold = last.folds[0] if isinstance(last, CrossValidation) else last
    if not isinstance(fold, SplitComparison) and getattr(fold.exposure().features, "unit", None) != "segment":
        return set()
    return {"confusion", "roc"} if len(TASKS[fold.task].classes) == 2 else {"confusion"}


def _bars(spec):
    """The pictures of grouped bars."""
    named = {row.params[spec.bars.picture].lower() for row in spec.rows} if spec.bars else set()
    return {f"bars_{name}.{form}" for name in named for form in ("png", "svg")}


@pytest.mark.parametrize(
    ("name", "curve"),
    [pytest.param(name, False, marks=pytest.mark.slow) if name in SLOW else (name, False) for name in TABLES]
    + [(name, True) for name in CURVES],
)
def test_a_study_runs_from_its_command_to_its_table(run, name, curve):
    folder, printed = run(name, curve)
    spec = load_study(name, curve).table
    pictures = {"table.png"} | ({"curve.png"} if spec.curve else set()) | _bars(spec)
    drawn = set() if curve else {f"{row.key}_{picture}.png" for row in spec.rows for picture in _drawn(name, row.key)}
    assert {file.name for file in folder.glob("figures/*")} == drawn
    folders = {"figures"} if drawn else set()
    assert {file.name for file in folder.iterdir()} == {"table.md", "table.tex", "table.csv", "table.html"} | pictures | folders
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
    """As those of the sweeps that have been run until here, one at least; pictures that stages have left are not made again."""
    before = run(TABLES[0], False)[0].parent
    outcome = CliRunner().invoke(app, ["--all", "--results", str(before.parent), "--output", str(tmp_path)])
    assert outcome.exit_code == 0, outcome.output
    files = ([file for file in out.rglob("*.*") if file.parent.name != "figures"] for out in (before, tmp_path))
    made, again = (
        {file.relative_to(out): file.read_bytes() for file in each} for out, each in zip((before, tmp_path), files, strict=True)
    )
    assert again.keys() - made.keys() <= {Path("index.html")}
    assert made == {name: again.get(name) for name in made}
