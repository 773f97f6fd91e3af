"""A whole study through the command line on a local Ray cluster: once, the same bytes, whatever happens meanwhile."""

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.tiny_corpora import write_tiny_corpora

pytestmark = [pytest.mark.ray, pytest.mark.timeout(600)]
STAGES, TRIALS = 28, 16  # of reclr_lambda with two seeds


@pytest.fixture(scope="module")
def corpora(tmp_path_factory):
    return write_tiny_corpora(tmp_path_factory.mktemp("corpora"))


def start(corpora, results, *options):
    command = [sys.executable, "-m", "orchestrator.sweep", "reclr_lambda", "--corpora", str(corpora), "--scale", "smoke"]
    command += ["--results", str(results), *options]
    environment = {name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)


def finish(process, seconds=300):
    output, _ = process.communicate(timeout=seconds)
    return process.returncode, output


@pytest.fixture(scope="module")
def undisturbed(corpora, tmp_path_factory):
    results = tmp_path_factory.mktemp("undisturbed")
    code, output = finish(start(corpora, results))
    assert code == 0, output
    return results, output


def table(results):
    return (results / "tables" / "reclr_lambda" / "table.csv").read_bytes()


def finished(results):
    return {marker.parent: marker.stat().st_mtime_ns for marker in (results / "store" / "results").rglob("_SUCCESS")}


def runs(results, experiment):
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{results}/mlflow.db")
    return client.search_runs([client.get_experiment_by_name(experiment).experiment_id], max_results=1000)


def tree(pid):
    """The process and everything below it."""
    children = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True).stdout.split()
    return {pid}.union(*(tree(int(child)) for child in children))


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_for(condition, seconds=120.0):
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit, "waited in vain"
        time.sleep(0.1)


def test_every_distinct_stage_runs_exactly_once_and_the_table_is_printed(undisturbed):
    results, output = undisturbed
    assert f"sharing leaves {STAGES} distinct stages" in output
    assert len(finished(results)) == STAGES
    assert Counter(run.info.status for run in runs(results, "stages")) == {"FINISHED": STAGES}
    assert f"{TRIALS} of {TRIALS} trials finished" in output
    assert re.search(r"ReCLR \(λ = 0\.4\).*77\.90", output)


def test_the_sweep_its_cells_and_its_trials_are_nested_and_finished(undisturbed):
    found = runs(undisturbed[0], "reclr_lambda")
    assert Counter(run.data.tags["kind"] for run in found) == {"sweep": 1, "cell": 8, "trial": TRIALS}
    assert {run.info.status for run in found} == {"FINISHED"}


def test_a_second_run_computes_nothing_and_answers_in_seconds(undisturbed, corpora):
    results, _ = undisturbed
    before, bytes_before, clock = finished(results), table(results), time.monotonic()
    code, output = finish(start(corpora, results))
    assert (code, time.monotonic() - clock < 20) == (0, True), output  # 10 s on an idle machine; tests share theirs
    assert (finished(results), table(results)) == (before, bytes_before)


def test_interrupted_then_killed_at_random_moments_the_same_command_ends_in_the_same_bytes(undisturbed, corpora, tmp_path):
    moments = random.Random(int(os.environ.get("KILL_SEED", "0")))

    sweep = start(corpora, tmp_path)
    wait_for(lambda: len(finished(tmp_path)) >= moments.randint(1, 8))
    processes = tree(sweep.pid)
    sweep.send_signal(signal.SIGINT)
    code, output = finish(sweep)
    assert code == 130, output
    assert "the same command goes on from here" in output
    assert "RUNNING" not in {run.info.status for name in ("reclr_lambda", "stages") for run in runs(tmp_path, name)}
    wait_for(lambda: not any(map(alive, processes)), 30)

    sweep = start(corpora, tmp_path)
    wait_for(lambda: len(finished(tmp_path)) >= moments.randint(12, 22))
    sweep.kill()  # and no waiting for Ray's orphans, as a user would not
    sweep.wait()

    done_before = finished(tmp_path)
    code, output = finish(start(corpora, tmp_path))
    assert code == 0, output
    assert table(tmp_path) == table(undisturbed[0])
    assert done_before.items() <= finished(tmp_path).items(), "what was finished was not computed again"
    assert Counter(run.info.status for run in runs(tmp_path, "stages")) == {"FINISHED": STAGES}
    assert Counter(run.info.status for run in runs(tmp_path, "reclr_lambda")) == {"FINISHED": 1 + 8 + TRIALS}


ONE_ROW = """
import dataclasses, sys
from pathlib import Path
from orchestrator.checks import Options
from orchestrator.execution.environment import set_environment
from orchestrator.execution.resources import ResourceRequest
from tests.planned import plan_for

corpora, results, workers, gpus = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
machine = {"CPU": 2.0, "GPU": 1.0 if gpus else 0.0}
options = Options("reclr_lambda", corpora=corpora, scale="smoke", seeds=1, results=results, machine=machine)
plan = plan_for(options)
plan = dataclasses.replace(plan, trials=tuple(trial for trial in plan.trials if trial.record.row == "simclr"))
set_environment(None)
from orchestrator.execution.cluster import joined
from orchestrator.execution.ray_sweep import RaySweep
with joined(None, options.machine):
    print(RaySweep(plan, ResourceRequest(workers, 1, gpus), f"sqlite:///{results}/mlflow.db", results / "artifacts").run())
"""


def run_one_row(corpora, results, workers, gpus=0.0):
    results.mkdir(exist_ok=True)
    command = [sys.executable, "-c", ONE_ROW, str(corpora), str(results), str(workers), str(gpus)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=Path(__file__).parents[2])
    assert "FINISHED" in done.stdout, done.stdout + done.stderr


def test_two_workers_pretrain_what_one_worker_does(undisturbed, corpora, tmp_path):
    """Rounding apart: sums over two halves are not the sum over the whole to the last bit."""
    from numpy.testing import assert_allclose
    from safetensors.numpy import load_file

    run_one_row(corpora, tmp_path, workers=2)
    (two,) = (tmp_path / "store").glob("results/Contrastive*/*/encoder.safetensors")
    one = undisturbed[0] / two.relative_to(tmp_path)  # the number of workers is not part of the identity
    assert json.loads((two.parent / "provenance.json").read_text())["workers"] == 2
    for name, weights in load_file(two).items():
        assert_allclose(weights, load_file(one)[name], rtol=1e-4, atol=1e-5, err_msg=name)


def test_a_reserved_gpu_without_a_usable_device_is_an_error_and_never_a_silent_run_on_the_cpu(corpora, tmp_path):
    """A pretended GPU shows both: accelerated stages reserve their share of it, the others hold none."""
    run_one_row(corpora, tmp_path, workers=1, gpus=0.5)
    failures = [json.loads(file.read_text())["error"] for file in (tmp_path / "store" / "failures").rglob("*.json")]
    assert len(failures) == 1
    assert "reserved a GPU, but torch finds no CUDA device" in failures[0]
    assert {marker.parent.name for marker in finished(tmp_path)} == {"LogMelFeatures"}
