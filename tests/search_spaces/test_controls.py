"""Shortcut controls beside a study: which rows, on which division, what is left out and told; all of it run on tiny corpora."""

from __future__ import annotations

import csv
import shutil

import pytest
from rich.console import Console
from typer.testing import CliRunner

from orchestrator.checks import Options
from orchestrator.conductor import COMPLETE, conduct
from orchestrator.table import app
from search_spaces.controls import TITLES, control_role, missing_controls, with_controls
from search_spaces.reclr_lambda import CURVE
from search_spaces.search import find_search
from search_spaces.study import Study, load_study, study, study_names
from search_spaces.table import Row
from tests.divided_toys import Sessions, Told
from tests.short_table import shorten
from tests.tiny_corpora import write_tiny_corpora
from trainables.corpora.registry import open_corpora
from trainables.cross_validation import CrossValidation
from trainables.divided import DividedStage
from trainables.errors import UserError
from trainables.fusion import Fusion
from trainables.nested_selection import NestedSelection
from trainables.protocols import find_protocol
from trainables.protocols.catalogue import DAIC_OFFICIAL
from trainables.shortcut_classifier import ShortcutClassifier

DIVISION = ("protocol", "fold", "inner", "scored_on", "seed")


def found(name: str) -> Study:
    search = find_search(name)
    return search.study(search.paper) if search else load_study(name)


STUDIES = [*map(found, study_names()), CURVE]
SEGMENTS = "cbam_"  # tables of pieces of sessions, which no shortcut of a whole session stands beside
DEPRESSION = [each for each in STUDIES if each.title.startswith("Depression") and not each.name.startswith(SEGMENTS)]


def division(stage: DividedStage) -> dict:
    return {field: getattr(stage, field) for field in DIVISION}


def control_rows(of: Study) -> list[str]:
    return [row.key for row in of.table.rows if row.control]


@pytest.mark.parametrize("plain", DEPRESSION, ids=lambda each: each.name)
def test_every_table_of_depression_can_have_all_controls_at_its_end_and_they_are_no_hypotheses(plain):
    controlled = with_controls(plain, {})
    added = [f"control_{name}" for name in TITLES]
    assert list(controlled.chains) == [*plain.chains, *added]
    assert control_rows(controlled) == ["majority", *added]
    assert not any(row.compared for row in controlled.table.rows if row.control)
    for row in controlled.table.rows[-len(added) :]:
        assert len(row.label) == len(plain.table.row_titles)
        assert row.label[-1] == TITLES[row.key.removeprefix("control_")]
    assert controlled.roles() == plain.roles()
    assert not control_rows(plain)


def test_a_table_of_something_else_refuses_them():
    others = [each for each in STUDIES if each not in DEPRESSION]
    assert others
    for other in others:
        with pytest.raises(UserError, match=f"--controls: '{other.name}' (is no table of depression in|has no baseline row)"):
            control_role(other)


def test_a_table_without_a_baseline_refuses_them():
    plain = STUDIES[study_names().index("reclr_lambda")]
    bare = Study(plain.table.model_copy(update={"baseline": None}), plain.chains, plain.protocol)
    with pytest.raises(UserError, match="no baseline row that a protocol divides"):
        with_controls(bare, {})


@pytest.mark.parametrize("plain", DEPRESSION, ids=lambda each: each.name)
@pytest.mark.parametrize("seed", [0, 3])
def test_a_control_is_divided_as_the_baseline_is(plain, seed):
    controlled, baseline = with_controls(plain, {}), plain.chains[plain.table.baseline](seed)
    for name in TITLES:
        assert division(controlled.chains[f"control_{name}"](seed)) == division(baseline)
    assert controlled.chains["control_shuffled"](seed) == baseline.model_copy(update={"shuffled_labels": True})


def told(**features: object) -> Told:
    return Told(features=Sessions(**features), protocol=DAIC_OFFICIAL)


@pytest.mark.parametrize(
    "baseline",
    [
        lambda seed, **features: told(**features).with_upstream({}, seed=seed),
        lambda seed, **features: Fusion(members=(told(**features), told(**features)), rule="weighted", seed=seed),
        lambda seed, **features: NestedSelection(members=(told(**features), told(**features)), seed=seed),
    ],
    ids=["turn features", "fusion", "nested selection"],
)
def test_any_features_of_sessions_will_do_and_so_will_predictions_that_are_put_together(baseline):
    rows = [(Row(key="own", label=("own",)), baseline)]
    spec = load_study("reclr_lambda").table.model_copy(update={"study": "toy", "row_titles": ("row",), "baseline": "own"})
    plain = study(spec, rows, "")
    assert control_role(plain) == "mdd"
    controlled = with_controls(plain, {})
    for name in TITLES:
        assert division(controlled.chains[f"control_{name}"](2)) == division(baseline(2))
    shuffled = [stage for stage in controlled.chains["control_shuffled"](2).chain() if isinstance(stage, DividedStage)]
    assert all(stage.shuffled_labels for stage in shuffled), "every member is trained on them, not the last stage alone"
    utterances = study(spec, [(rows[0][0], lambda seed: baseline(seed, unit="utterance"))], "")
    with pytest.raises(UserError, match="'toy' is no table of depression in sessions"):
        control_role(utterances)


def test_controls_follow_a_protocol_that_is_asked_for_also_one_with_folds():
    protocol = find_protocol("speakers-5-fold")
    chains = with_controls(load_study("reclr_lambda"), {}).under(protocol).chains
    for name in TITLES:
        folds = chains[f"control_{name}"](1)
        assert isinstance(folds, CrossValidation)
        assert [(stage.protocol, stage.fold, stage.seed) for stage in folds.folds] == [(protocol, n, 1) for n in range(5)]
        assert all(stage.shuffled_labels for stage in folds.folds) == (name == "shuffled")
        assert isinstance(folds.folds[0], ShortcutClassifier) == (name != "shuffled")


def test_controls_that_are_asked_for_after_the_folds_are_a_mistake_of_ours():
    with pytest.raises(ValueError, match="the controls first"):
        with_controls(load_study("reclr_lambda").under(find_protocol("speakers-5-fold")), {})


def test_a_control_that_the_corpus_cannot_give_is_left_out_and_told_with_the_reason():
    plain = load_study("reclr_lambda")
    controlled = with_controls(plain, {"interviewer": "no interviewer speaks"})
    assert control_rows(controlled) == ["majority", *(f"control_{name}" for name in TITLES if name != "interviewer")]
    assert controlled.protocol == f"{plain.protocol}; no control 'interviewer only': no interviewer speaks"
    assert with_controls(plain, {}).protocol == plain.protocol


def test_what_a_twin_cannot_give_is_known_before_it_is_made(tmp_path):
    twin = open_corpora("demo", tmp_path / "results", ("mdd",))["mdd"]
    assert missing_controls(twin) == {}
    assert not (tmp_path / "results").exists()


def test_what_a_corpus_cannot_give_is_read_off_its_manifest(tmp_path):
    corpora = open_corpora(str(write_tiny_corpora(tmp_path)), tmp_path / "results", ("mdd",))
    assert missing_controls(corpora["mdd"]) == {"gender": "the gender of some subjects is not known"}


def test_a_table_with_controls_comes_from_one_command_and_again_from_mlflow_alone(tmp_path, monkeypatch, empty_store):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    shorten(monkeypatch)
    corpora, results = write_tiny_corpora(tmp_path / "corpora"), tmp_path / "results"
    results.mkdir()
    shutil.copy(empty_store, results / "mlflow.db")
    options = Options("reclr_lambda", corpora=str(corpora), scale="smoke", seeds=2, results=results, local=True, controls=True)
    console = Console(record=True, width=120)
    assert conduct(options, console) == COMPLETE
    before, _, after = console.export_text().partition("nearest voice")
    assert "no control 'gender only': the gender of some subjects is not known" in before  # told before the sweep
    assert "Controls (majority, durations and silences only" in after
    folder = results / "tables" / "reclr_lambda--controls"
    lines = {line["row"]: line for line in csv.DictReader((folder / "table.csv").open()) if line["metric"] == "f1_macro"}
    controls = [f"control_{name}" for name in ("timing", "interviewer", "voice", "shuffled")]
    assert list(lines) == ["chance", "majority", "crnn_random", *controls]
    best = max(["majority", *controls], key=lambda row: float(lines[row]["mean"]))
    held = lines["crnn_random"]
    assert held["best_control"] == best
    assert float(held["control_difference"]) == pytest.approx(float(held["mean"]) - float(lines[best]["mean"]))
    assert (held["control_verdict"] == "better") == (float(held["control_low"]) > 0)
    again = tmp_path / "again"
    assert CliRunner().invoke(app, ["--all", "--results", str(results), "--output", str(again)]).exit_code == 0
    assert {file.name: file.read_bytes() for file in (again / "reclr_lambda--controls").iterdir()} == {
        file.name: file.read_bytes() for file in folder.iterdir()
    }
