"""A search on a local Ray cluster: stopped and killed midway, it goes on from its history; the test labels change nothing."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter

import pandas as pd
import pytest
from mlflow import MlflowClient

from orchestrator.artifacts import ArtifactStore
from orchestrator.search.history import History
from search_spaces.reclr_search import HOLDOUT
from tests.tiny_corpora import write_tiny_corpora
from trainables.protocols import hold_out
from trainables.tasks import TASKS
from trainables.units import read_units

pytestmark = [pytest.mark.ray, pytest.mark.timeout(300)]
TRIALS = 4

# What the command does, as far as the search goes; with one CPU its trials come one after the other, so that two searches compare.
SCRIPT = """
import signal, sys
from pathlib import Path
from orchestrator.execution.environment import set_environment
from orchestrator.execution.resources import ResourceRequest
from orchestrator.execution.setting import Setting
from orchestrator.provenance import code_version
from orchestrator.search.plan import plan_search
from search_spaces.reclr_search import SEARCH
from search_spaces.scale import find_scale
from trainables.corpora.registry import open_corpora

corpora, results, seed = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
opened = open_corpora(corpora, results, SEARCH.roles())
setting = Setting(corpora=opened, store=str(results / "store"), code=code_version())
plan = plan_search(SEARCH, find_scale("smoke"), (0, 1), setting, search_seed=seed)
print("KEY", plan.key, flush=True)
set_environment(None)
from orchestrator.execution.cluster import joined
from orchestrator.execution.ray_search import RaySearch
with joined(None, {"CPU": 1.0, "GPU": 0.0}):
    search = RaySearch(plan, ResourceRequest(), f"sqlite:///{results}/mlflow.db", results / "artifacts")
    signal.signal(signal.SIGINT, lambda number, frame: search.stop())
    print("OUTCOME", search.run())
"""


def start(corpora, results, seed=0):
    results.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-c", SCRIPT, str(corpora), str(results), str(seed)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def finish(process, seconds=200):
    output, _ = process.communicate(timeout=seconds)
    assert process.returncode == 0, output
    return output


def trials(results):
    (folder,) = (results / "store/searches").iterdir()
    return History(ArtifactStore(results / "store"), folder.name).trials()


def told(results):
    return [trial for trial in trials(results) if trial.told] if (results / "store/searches").exists() else []


def finished(results):
    return {marker.parent: marker.stat().st_mtime_ns for marker in (results / "store/results").rglob("_SUCCESS")}


def wait_for(condition, process, seconds=120.0):
    limit = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < limit, "waited in vain"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def corpora(tmp_path_factory):
    return write_tiny_corpora(tmp_path_factory.mktemp("corpora"))


@pytest.fixture(scope="module")
def interrupted(corpora, tmp_path_factory):
    """A search that was stopped, then killed, then run to its end: its results, and what was told and stored at either break."""
    results, breaks = tmp_path_factory.mktemp("interrupted"), []
    for interrupt in (signal.SIGINT, signal.SIGKILL):
        known = len(told(results))
        search = start(corpora, results)
        wait_for(lambda known=known: len(told(results)) > known, search)
        search.send_signal(interrupt)
        output, _ = search.communicate(timeout=200)
        assert interrupt is signal.SIGKILL or "OUTCOME KILLED" in output, output
        breaks.append((told(results), finished(results)))
    assert "OUTCOME FINISHED" in finish(start(corpora, results))
    return results, breaks


@pytest.fixture(scope="module")
def relabelled(interrupted, corpora, tmp_path_factory):
    """A search that ran through, on the same corpus with every test speaker's label turned round."""
    folder = tmp_path_factory.mktemp("relabelled")
    shutil.copytree(corpora.parent, folder / "corpora")
    table = pd.read_csv(corpora.parent / "mdd/metadata.csv")
    sessions = table["session"].isin(table.loc[table["speaker"].isin(held_out(interrupted[0])), "session"])
    assert 0 < sessions.sum() < len(table)
    table.loc[sessions, "depressed"] = 1 - table.loc[sessions, "depressed"]
    table.to_csv(folder / "corpora/mdd/metadata.csv", index=False)
    assert "OUTCOME FINISHED" in finish(start(folder / "corpora" / corpora.name, folder / "results"))
    return folder / "results"


def held_out(results):
    """The test speakers."""
    tables = (file.parent for file in (results / "store/results/LogMelFeatures").glob("*/segments.parquet"))
    (features,) = (folder for folder in tables if "depressed" in pd.read_parquet(folder / "segments.parquet").columns)
    return set(hold_out(read_units(features, TASKS["depression"]), 0.3, HOLDOUT)["test"].table["speaker"])


def test_stopped_and_killed_it_ends_with_every_trial_told_and_none_told_twice(interrupted):
    results, breaks = interrupted
    found = trials(results)
    assert [trial.number for trial in found] == list(range(TRIALS))
    states = Counter(trial.state for trial in found)
    assert states["complete"] >= 1
    assert states["running"] == states["failed"] == 0
    for told_before, stored_before in breaks:
        assert 0 < len(told_before) < TRIALS
        assert [found[trial.number] for trial in told_before] == told_before
        assert stored_before.items() <= finished(results).items(), "what was finished was not computed again"


def test_mlflow_has_each_trials_run_with_the_probes_curve(interrupted):
    client = MlflowClient(f"sqlite:///{interrupted[0]}/mlflow.db")
    runs = client.search_runs([client.get_experiment_by_name("reclr_search").experiment_id], "tags.kind = 'point'")
    assert sorted(int(run.data.tags["number"]) for run in runs) == list(range(TRIALS))
    for run in runs:
        trial = trials(interrupted[0])[int(run.data.tags["number"])]
        curve = {point.step: point.value for point in client.get_metric_history(run.info.run_id, "probe")}
        assert (curve, run.data.tags["state"]) == (trial.rungs, trial.state)
        assert run.data.metrics.get("value") == trial.value


def test_a_trial_that_was_stopped_early_ran_nothing_afterwards(interrupted):
    """Every whole pretraining belongs to a trial that came to the last rung."""
    configs = (interrupted[0] / "store/results/ContrastivePretraining").glob("*/config.json")
    ends = Counter(json.loads(file.read_text())["stop_epoch"] for file in configs)
    climbed = Counter(epoch for trial in trials(interrupted[0]) for epoch in trial.rungs)
    assert ends == {1: climbed[1], None: climbed[2]}


def test_neither_interruptions_nor_the_labels_of_the_test_speakers_change_the_history(interrupted, relabelled):
    assert held_out(relabelled) == held_out(interrupted[0])
    assert trials(relabelled) == trials(interrupted[0])
