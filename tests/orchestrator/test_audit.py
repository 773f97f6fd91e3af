"""The leakage audit before a sweep: leaks stop it; allowed, they are on its runs and in its caption, as what is stated is."""

import shutil
from dataclasses import replace

import pandas as pd
import pytest
from rich.console import Console

from orchestrator.audit import ImpossibleDivisions, audit
from orchestrator.checks import Options, check, plan_study
from orchestrator.conductor import COMPLETE, INTERRUPTED, conduct
from orchestrator.records import SearchRecord
from orchestrator.tables.caption import caption
from orchestrator.tables.cells import make_table
from tests.orchestrator.tables.recorded import recorded
from tests.recorded import record_all, runs, tracker_of
from tests.recorded import sweep as toy_sweep
from tests.short_table import shorten
from tests.tiny_corpora import write_tiny_corpora
from tests.trainables.leakage.manifests import scored
from trainables.errors import UserError
from trainables.log_mel_features import LogMelFeatures
from trainables.protocols.catalogue import SPEAKERS_5_FOLD

LEAK = "mdd, speakers-70-30: audio content"


@pytest.fixture
def results(tmp_path, empty_store, monkeypatch):
    """A folder of results with a store of runs that is still empty."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    (tmp_path / "results").mkdir()
    shutil.copy(empty_store, tmp_path / "results/mlflow.db")
    return tmp_path / "results"


def options(folder, **changes):
    corpora = folder / "corpora" / "corpora.toml"
    if not corpora.exists():
        write_tiny_corpora(folder / "corpora")
    settings = {"corpora": str(corpora), "scale": "smoke", "seeds": 1, "results": folder / "results", "local": True}
    return Options(**{"study": "reclr_lambda", **settings, **changes})


def copy_recordings(folder):
    """One recording under every name but four: whoever is tested, a copy was trained on."""
    sound = (folder / "corpora/mdd/s00.wav").read_bytes()
    for number in range(1, 8):
        (folder / f"corpora/mdd/s{number:02d}.wav").write_bytes(sound)
    table = pd.read_csv(folder / "corpora/mdd/metadata.csv")
    table["start"] = table.groupby("session").cumcount() * 5.0
    table["end"] = table["start"] + 4.5
    table.to_csv(folder / "corpora/mdd/metadata.csv", index=False)


def findings(asked):
    checked = check(asked)
    plan = plan_study(checked, checked.question, asked)
    return audit((trial.target for trial in plan.trials), plan.setting.corpora, asked.results)


@pytest.mark.parametrize("study", ["reclr_lambda", "reclr_iemocap", "reclr_mosei"])
def test_clean_corpora_have_no_leak_and_pretraining_is_stated_where_it_hears_who_is_tested(tmp_path, study):
    found = findings(options(tmp_path, study=study, seeds=4))
    assert found.leaks == ()
    assert any("without labels" in sentence for sentence in found.stated) is (study == "reclr_lambda")


def test_a_leak_stops_the_sweep_before_anything_is_computed_and_says_what_to_do(tmp_path):
    asked = options(tmp_path)
    copy_recordings(tmp_path)
    for dry_run in (True, False):
        with pytest.raises(UserError, match=r"(?s)1 leak was found.*byte for byte.*--allow-leaks") as caught:
            conduct(asked, Console(record=True), dry_run=dry_run)
        assert [message for message in caught.value.messages if message.startswith(LEAK)]
    assert not (tmp_path / "results/mlflow.db").exists()
    assert not list((tmp_path / "results").glob("store/*"))


def test_an_allowed_leak_is_on_every_run_and_under_the_table(tmp_path, results, monkeypatch):
    rows = len(shorten(monkeypatch).table.rows)
    asked = options(tmp_path, allow_leaks=True)
    copy_recordings(tmp_path)
    console = Console(record=True, width=200)
    assert conduct(asked, console) == COMPLETE
    assert "leak, allowed" in console.export_text()
    tags = [run.data.tags for run in runs(results, "reclr_lambda")]
    assert len(tags) == 1 + rows + rows
    assert all(tag["leaks"].startswith(LEAK) for tag in tags)
    text = (results / "tables/reclr_lambda/table.md").read_text()
    assert "LEAKS were found and allowed" in text
    assert "byte for byte" in text
    with pytest.raises(UserError, match="1 leak was found"):
        conduct(replace(asked, allow_leaks=False), Console(record=True))


def test_an_impossible_division_is_a_fault_of_every_seed_before_any_compute(tmp_path):
    asked = options(tmp_path, seeds=3)
    table = pd.read_csv(tmp_path / "corpora/mdd/metadata.csv")
    table = table[~table["session"].isin([f"s{number:02d}" for number in (5, 7, 9, 11)])]
    table.to_csv(tmp_path / "corpora/mdd/metadata.csv", index=False)
    found = findings(asked)
    assert found.leaks == ()
    with pytest.raises(UserError) as caught:
        findings(replace(asked, protocol="iemocap-5-sessions"))
    (message,) = caught.value.messages
    assert message.startswith("mdd, iemocap-5-sessions, in 15 of 15 divisions: "), "three seeds of five folds, one fault"
    assert "conversations" in message
    with pytest.raises(UserError, match="iemocap-5-sessions"):
        conduct(replace(asked, protocol="iemocap-5-sessions"), Console(record=True), dry_run=True)


def test_a_rating_that_is_missing_is_told_before_any_compute(tmp_path):
    asked = options(tmp_path, study="cpc_weights")
    table = pd.read_csv(tmp_path / "corpora/iemocap/metadata.csv")
    table.loc[5, "dominance"] = None
    table.to_csv(tmp_path / "corpora/iemocap/metadata.csv", index=False)
    with pytest.raises(UserError, match=r"label 'dominance' is missing for 'e05.wav'; fill it in or delete them"):
        findings(asked)


def test_a_fault_of_one_division_names_it_and_faults_of_different_roles_stay_apart():
    faults = ImpossibleDivisions()
    for fold in range(3):
        faults.possible("mdd", scored("depression", SPEAKERS_5_FOLD, fold=fold))
    faults.add("mdd", scored("depression", SPEAKERS_5_FOLD, fold=3, inner=1), UserError("no class"))
    for fold in (3, 4):
        faults.add("sre", scored("depression", SPEAKERS_5_FOLD, fold=fold), UserError("no class"))
    with pytest.raises(UserError) as caught:
        faults.raise_if_any()
    assert caught.value.messages == (
        "mdd, speakers-5-fold, seed 0, fold 3, inner fold 1: no class",
        "sre, speakers-5-fold, in 2 of 2 divisions: no class",
    )


def test_a_last_stage_that_is_scored_on_nobody_stops_the_sweep():
    found = audit([LogMelFeatures(corpus="mdd", unit="session")] * 2, {}, None)
    assert len(found.leaks) == 1
    assert "LogMelFeatures ends a chain, but does not say on whom it is scored" in found.leaks[0]


def test_a_search_that_goes_on_with_a_leak_is_tagged_with_it(tmp_path, results, monkeypatch):
    asked = options(tmp_path, study="reclr_search", local=False, allow_leaks=True, trials=1)
    copy_recordings(tmp_path)
    began = []
    monkeypatch.setattr("orchestrator.searching.finish_search", lambda plan, *rest: began.append(plan))
    assert conduct(asked, Console(record=True)) == INTERRUPTED
    (plan,) = began
    assert plan.record.leaks
    assert all("audio content" in leak for leak in plan.record.leaks)
    assert any("without labels" in sentence for sentence in plan.record.stated)
    assert plan.refreshed().record == plan.record
    tracker = tracker_of(results)
    tracker.open_search(plan.record)
    tracker.point_told(0, {"lambda_": 0.3}, {1: 0.5}, 0.7, "complete")
    tracker.flush()
    tags = {run.data.tags["kind"]: run.data.tags for run in runs(results, "reclr_search")}
    assert set(tags) == {"search", "point"}
    assert all("audio content" in tag["leaks"] for tag in tags.values())
    assert "without labels" in tags["search"]["stated"]
    with pytest.raises(UserError, match="byte for byte"):
        conduct(replace(asked, allow_leaks=False), Console(record=True))


def test_a_search_without_leaks_has_no_such_tag(results):
    tracker = tracker_of(results)
    tracker.open_search(
        SearchRecord(study="toy", key="key", title="Toys", source="A Paper", scale="demo", seeds=(0,), trials=1, protocol="p")
    )
    tracker.point_told(0, {"lambda_": 0.3}, {}, None, "running")
    tracker.flush()
    assert len(runs(results)) == 2
    assert not any({"leaks", "stated"} & set(run.data.tags) for run in runs(results))


def test_a_dry_run_without_the_twins_audits_what_is_there_and_makes_nothing(tmp_path):
    asked = Options("reclr_lambda", results=tmp_path / "results")
    assert conduct(asked, Console(record=True), dry_run=True) == COMPLETE
    assert not (tmp_path / "results").exists()


def test_what_is_stated_is_in_the_caption_once_and_leaks_are_its_footnote():
    told = recorded()
    clean = caption(make_table(told))
    assert "LEAK" not in clean
    audited = told.sweep.model_copy(update={"stated": ("mdd: heard before",), "leaks": ("mdd: speaker: 2 are shared",)})
    text = caption(make_table(told.model_copy(update={"sweep": audited})))
    assert text.count("mdd: heard before") == 1
    assert "Protocol: 70/30; mdd: heard before." in text
    assert text.endswith("LEAKS were found and allowed, so the numbers may be too good: mdd: speaker: 2 are shared.")


def test_runs_of_a_sweep_without_leaks_have_no_such_tag(results):
    record_all(tracker_of(results), toy_sweep())
    assert not any("leaks" in run.data.tags for run in runs(results))
    record_all(tracker_of(results), toy_sweep("sweep2", leaks=("mdd: speaker", "mdd: text" + "x" * 9000)))
    tagged = [run.data.tags["leaks"] for run in runs(results) if run.data.tags["sweep"] == "sweep2"]
    assert len(tagged) == 1 + 2 + 4, "the sweep, its rows and their trials"
    assert all(tag.startswith("mdd: speaker; mdd: text") for tag in tagged)
