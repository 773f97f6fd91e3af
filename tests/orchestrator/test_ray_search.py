"""A search on a Ray cluster: stopped and killed midway, it goes on from its history; the test labels change nothing."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter

import pandas as pd
import pytest
from mlflow import MlflowClient
from rich.console import Console

from orchestrator.artifacts import ArtifactStore
from orchestrator.checks import Options
from orchestrator.conductor import COMPLETE, INTERRUPTED, conduct
from orchestrator.execution.resources import ResourceRequest, StageRequest
from orchestrator.status_sweeps import Sweeps
from orchestrator.status_trials import Stand
from tests.orchestrator.search.local_search import search_locally
from tests.orchestrator.search.local_search import trials as history
from tests.tiny_corpora import write_tiny_corpora
from trainables.errors import UserError
from trainables.protocols.catalogue import HELD_OUT_30
from trainables.protocols.draws import hold_out
from trainables.tasks import TASKS
from trainables.units import read_units

pytestmark = [pytest.mark.ray, pytest.mark.timeout(900)]
TRIALS = 4


# A pretraining takes the whole cluster, so that trials come one after the other, and two searches compare.
REQUEST = ResourceRequest(gpus_per_worker=0.0, stages={"ContrastivePretraining": StageRequest(cpus=2)})
ASKED = {"study": "reclr_search", "scale": "smoke", "seeds": 1, "request": REQUEST}
# Runs the command once for each line that it is sent; the process is not this one, where Ray may have been imported already.
COMMAND = f"""
import sys
from pathlib import Path
from rich.console import Console
from orchestrator.checks import Options
from orchestrator.conductor import conduct
from orchestrator.execution.resources import ResourceRequest, StageRequest
options = Options(**{ASKED}, corpora=sys.argv[1], results=Path(sys.argv[2]), address=sys.argv[3])
for _ in sys.stdin:
    print("EXIT", conduct(options, Console(width=400)), flush=True)
"""


def options(corpora, results, **changes):
    return Options(**ASKED, corpora=str(corpora), results=results, **changes)


def begin(corpora, results, head):
    """A process that runs the command."""
    environment = {name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"} | head.environment
    arguments = [sys.executable, "-c", COMMAND, str(corpora), str(results), head.address]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    process = subprocess.Popen(arguments, text=True, env=environment, bufsize=1, **pipes)
    process.stdin.write("begin\n")
    return process


@contextlib.contextmanager
def ended(process):
    """The process, which is killed if the test fails meanwhile: leaving it would wait for it, maybe for ever."""
    with process:
        try:
            yield process
        finally:
            process.kill()


def finish(process):
    """What the command prints, and its exit code."""
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith("EXIT"):
            return "".join(lines), int(line.split()[1])
    pytest.fail("".join(lines))


def trials(results):
    return history(results / "store")


def told(results):
    return [trial for trial in trials(results) if trial.told] if (results / "store/searches").exists() else []


def finished(results):
    return {marker.parent: marker.stat().st_mtime_ns for marker in (results / "store/results").rglob("_SUCCESS")}


def files(results):
    return {file.name: file.read_bytes() for file in (results / "tables/reclr_search").iterdir()}


def runs(results):
    client = MlflowClient(f"sqlite:///{results}/mlflow.db")
    return client.search_runs([client.get_experiment_by_name("reclr_search").experiment_id])


def wait_for_a_trial(results, process, known=0):
    """Until one more is told."""
    while len(told(results)) <= known:
        assert process.poll() is None, process.stdout.read()
        time.sleep(0.05)


@pytest.fixture(scope="module")
def corpora(tmp_path_factory):
    return write_tiny_corpora(tmp_path_factory.mktemp("corpora"))


@pytest.fixture(scope="module")
def interrupted(corpora, ray_head, empty_store, tmp_path_factory):
    """A search that was killed, then stopped, then run to its end and its table: its results, what was told and stored at either
    break, and what the last run printed."""
    results, breaks = tmp_path_factory.mktemp("interrupted"), []
    shutil.copy(empty_store, results / "mlflow.db")
    with ended(begin(corpora, results, ray_head)) as killed:
        wait_for_a_trial(results, killed)
        assert Sweeps(ArtifactStore(results / "store")).look()[0].state.lives
        killed.kill()
    breaks.append((told(results), finished(results)))
    with ended(begin(corpora, results, ray_head)) as process:
        wait_for_a_trial(results, process, len(breaks[0][0]))
        process.send_signal(signal.SIGINT)
        output, code = finish(process)
        assert (code, "The test split is closed until all are told" in output) == (INTERRUPTED, True), output
        breaks.append((told(results), finished(results)))
        process.stdin.write("again\n")
        output, code = finish(process)
        assert code == COMPLETE, output
        process.stdin.close()
    return results, breaks, output


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
    search_locally(options(folder / "corpora" / corpora.name, folder / "results"))
    return folder / "results"


def held_out(results):
    """The test speakers."""
    tables = (file.parent for file in (results / "store/results/LogMelFeatures").glob("*/segments.parquet"))
    (features,) = (folder for folder in tables if "depressed" in pd.read_parquet(folder / "segments.parquet").columns)
    return set(hold_out(read_units(features, TASKS["depression"]), 0.3, HELD_OUT_30.holdout_seed)["test"].table["speaker"])


def test_stopped_and_killed_it_ends_with_every_trial_told_and_none_told_twice(interrupted):
    results, breaks, _ = interrupted
    found = trials(results)
    assert [trial.number for trial in found] == list(range(TRIALS))
    states = Counter(trial.state for trial in found)
    assert states["complete"] >= 1
    assert states["running"] == states["failed"] == 0
    for told_before, stored_before in breaks:
        assert 0 < len(told_before) < TRIALS
        assert [found[trial.number] for trial in told_before] == told_before
        assert stored_before.items() <= finished(results).items(), "what was finished was not computed again"


def test_the_test_split_is_opened_once_with_every_trial_told_and_its_table_is_made(interrupted):
    results, _, output = interrupted
    opened = re.search(r"The test split was opened at (\S+, after 4 trials, with the point of trial \d)\.", output)[1]
    lines = (results / "tables/reclr_search/table.csv").read_text().splitlines()
    rows = dict.fromkeys(line["row"] for line in csv.DictReader(lines))
    assert list(rows) == ["chance", "majority", "coclr", "paper", "found"]
    found = Counter(run.data.tags["kind"] for run in runs(results))
    assert found == {"search": 1, "point": TRIALS, "sweep": 1, "cell": 5, "trial": 5}
    assert {run.info.status for run in runs(results)} == {"FINISHED"}
    (search,) = (run for run in runs(results) if run.data.tags["kind"] == "search")
    assert search.data.tags["test_split_opened"] == opened


def test_it_is_told_as_sweeps_are(interrupted):
    results, _, _ = interrupted
    (search,) = (view.state for view in Sweeps(ArtifactStore(results / "store"), "reclr_search").look() if view.state.plan.points)
    assert (search.status.state, search.counts[Stand.done], search.total) == ("finished", TRIALS, TRIALS)
    assert search.done >= {name for trial in search.plan.trials for name in search.plan.chain(trial)}


def test_run_again_it_computes_nothing_and_makes_the_same_table(interrupted, corpora, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    results = interrupted[0]
    before, table = finished(results), files(results)
    assert conduct(options(corpora, results), Console(record=True)) == COMPLETE
    assert (finished(results), files(results)) == (before, table)


def test_more_trials_are_refused_once_the_test_split_was_opened(interrupted, corpora):
    with pytest.raises(UserError, match=r"the test split was opened at .* after 4 trials"):
        conduct(options(corpora, interrupted[0], trials=TRIALS + 1), Console(record=True))


def test_mlflow_has_each_trials_run_with_the_probes_curve(interrupted):
    client = MlflowClient(f"sqlite:///{interrupted[0]}/mlflow.db")
    points = [run for run in runs(interrupted[0]) if run.data.tags["kind"] == "point"]
    assert sorted(int(run.data.tags["number"]) for run in points) == list(range(TRIALS))
    for run in points:
        trial = trials(interrupted[0])[int(run.data.tags["number"])]
        curve = {point.step: point.value for point in client.get_metric_history(run.info.run_id, "probe")}
        assert (curve, run.data.tags["state"]) == (trial.rungs, trial.state)
        assert run.data.metrics.get("value") == trial.value


def test_a_trial_that_was_stopped_early_ran_nothing_afterwards(interrupted):
    """Every whole pretraining of ReCLR belongs to a trial that came to the last rung; the table adds none."""
    configs = (interrupted[0] / "store/results/ContrastivePretraining").glob("*/config.json")
    found = [json.loads(file.read_text()) for file in configs]
    ends = Counter(config["stop_epoch"] for config in found if config["objective"] == "reclr")
    climbed = Counter(epoch for trial in trials(interrupted[0]) for epoch in trial.rungs)
    assert ends == {1: climbed[1], None: climbed[2]}


def test_neither_interruptions_nor_the_labels_of_the_test_speakers_change_the_history(interrupted, relabelled):
    assert held_out(relabelled) == held_out(interrupted[0])
    assert trials(relabelled) == trials(interrupted[0])
