"""A whole study through the command line on a Ray cluster: each stage once, and the bytes that it has without Ray, although it was
interrupted; what kills it is in ``tests/cluster/test_chaos.py``. One sweep starts a cluster of its own; the others join the one
that is there.
"""

import contextlib
import json
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.tiny_corpora import write_tiny_corpora

pytestmark = [pytest.mark.ray, pytest.mark.timeout(900)]
STAGES, TRIALS = 20, 8  # of reclr_lambda with one seed


@pytest.fixture(scope="module")
def corpora(tmp_path_factory):
    return write_tiny_corpora(tmp_path_factory.mktemp("corpora"))


def start(corpora, results, *options, head=None):
    """The command; on a cluster of its own, or else on the one given, whose GPU is only pretended."""
    command = [sys.executable, "-m", "orchestrator.sweep", "reclr_lambda", "--corpora", str(corpora), "--scale", "smoke"]
    command += ["--seeds", "1", "--results", str(results), *options]
    environment = {name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"}
    if head:
        command += ["--address", head.address, "--gpus-per-worker", "0"]
        environment |= head.environment
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)


@contextlib.contextmanager
def begun(corpora, results):
    """A sweep that is killed at the end, also where the test fails meanwhile."""
    sweep = start(corpora, results)
    try:
        yield sweep
    finally:
        sweep.kill()


def finish(process, seconds=300):
    output, _ = process.communicate(timeout=seconds)
    return process.returncode, output


@pytest.fixture(scope="module")
def undisturbed(corpora, empty_store, tmp_path_factory):
    """The same sweep without Ray, in one go."""
    results = tmp_path_factory.mktemp("undisturbed")
    shutil.copy(empty_store, results / "mlflow.db")
    code, output = finish(start(corpora, results, "--local"))
    assert code == 0, output
    return results


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


def computed():
    """Seconds of computing of all processes that this one has waited for."""
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


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


def wait_for_stages(sweep, results, number):
    """Until so many are finished."""
    wait_for(lambda: sweep.poll() is not None or len(finished(results)) >= number)
    assert sweep.poll() is None, sweep.stdout.read()


@pytest.fixture(scope="module")
def disturbed(corpora, ray_head, empty_store, tmp_path_factory):
    """A sweep that was interrupted at a random moment on a cluster of its own, then run to its end on another: its results, what
    the interrupted run left, what was finished by then, and what the last one printed."""
    results, moments = tmp_path_factory.mktemp("disturbed"), random.Random(int(os.environ.get("STOP_SEED", "0")))
    shutil.copy(empty_store, results / "mlflow.db")

    with begun(corpora, results) as sweep:
        wait_for_stages(sweep, results, moments.randint(1, 12))
        processes = tree(sweep.pid)
        sweep.send_signal(signal.SIGINT)
        interrupted = (*finish(sweep), {run.info.status for name in ("reclr_lambda", "stages") for run in runs(results, name)})
    wait_for(lambda: not any(map(alive, processes)), 30)

    done_before = finished(results)
    code, output = finish(start(corpora, results, head=ray_head))
    assert code == 0, output
    return results, interrupted, done_before, output


def test_interrupted_it_ends_in_good_order_and_says_how_to_go_on(disturbed):
    _, (code, output, states), _, _ = disturbed
    assert code == 130, output
    assert "the same command goes on from here" in output
    assert "RUNNING" not in states


def test_interrupted_at_a_random_moment_the_same_command_ends_in_the_bytes_of_a_sweep_without_ray(disturbed, undisturbed):
    results, _, done_before, _ = disturbed
    assert table(results) == table(undisturbed)
    assert done_before.items() <= finished(results).items(), "what was finished was not computed again"


def test_every_distinct_stage_runs_exactly_once_and_the_table_is_printed(disturbed):
    results, _, _, output = disturbed
    assert f"sharing leaves {STAGES} distinct stages" in output
    assert len(finished(results)) == STAGES
    assert Counter(run.info.status for run in runs(results, "stages")) == {"FINISHED": STAGES}
    assert f"{TRIALS} of {TRIALS} trials finished" in output
    assert re.search(r"ReCLR \(λ = 0\.4\).*77\.90", output)


def test_the_sweep_its_cells_and_its_trials_are_nested_and_finished(disturbed):
    found = runs(disturbed[0], "reclr_lambda")
    assert Counter(run.data.tags["kind"] for run in found) == {"sweep": 1, "cell": 8, "trial": TRIALS}
    assert {run.info.status for run in found} == {"FINISHED"}


def test_a_second_run_computes_nothing_and_answers_in_seconds(disturbed, corpora):
    results = disturbed[0]
    before, bytes_before, begin = finished(results), table(results), computed()
    code, output = finish(start(corpora, results))  # no cluster is needed for it
    assert (code, computed() - begin < 20) == (0, True), output  # of computing, because tests share their machine
    assert (finished(results), table(results)) == (before, bytes_before)


# One row twice on the cluster with a pretended GPU: with two workers that want none, then with one that reserves a share of it.
ONE_ROW = """
import dataclasses, sys
from pathlib import Path
from orchestrator.checks import Options
from orchestrator.execution.environment import set_environment
from orchestrator.execution.resources import ResourceRequest
from tests.planned import plan_for

corpora, address, machine = sys.argv[1], sys.argv[3], {"CPU": 2.0, "GPU": 1.0}
set_environment(address)
from orchestrator.execution.cluster import joined
from orchestrator.execution.ray_sweep import RaySweep

def run(results, request):
    plan = plan_for(Options("reclr_lambda", corpora=corpora, scale="smoke", seeds=1, results=results, machine=machine))
    plan = dataclasses.replace(plan, trials=tuple(trial for trial in plan.trials if trial.record.row == "simclr"))
    print(RaySweep(plan, request, f"sqlite:///{results}/mlflow.db", results / "artifacts").run())

with joined(address, machine):
    run(Path(sys.argv[2]) / "two", ResourceRequest(2, 1, 0.0))
    run(Path(sys.argv[2]) / "gpu", ResourceRequest(1, 1, 0.5))
"""


@pytest.fixture(scope="module")
def one_row(corpora, ray_head, empty_store, tmp_path_factory):
    results = tmp_path_factory.mktemp("row")
    for name in ("two", "gpu"):
        (results / name).mkdir()
        shutil.copy(empty_store, results / name / "mlflow.db")
    command = [sys.executable, "-c", ONE_ROW, str(corpora), str(results), ray_head.address]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=os.environ | ray_head.environment)
    assert done.stdout.count("FINISHED") == 2, done.stdout + done.stderr
    return results


def test_two_workers_pretrain_what_one_worker_does(undisturbed, one_row):
    """Rounding apart: sums over two halves are not the sum over the whole to the last bit."""
    from numpy.testing import assert_allclose
    from safetensors.numpy import load_file

    (two,) = (one_row / "two/store").glob("results/Contrastive*/*/encoder.safetensors")
    one = undisturbed / two.relative_to(one_row / "two")  # the number of workers is not part of the identity
    assert json.loads((two.parent / "provenance.json").read_text())["workers"] == 2
    for name, weights in load_file(two).items():
        assert_allclose(weights, load_file(one)[name], rtol=1e-4, atol=1e-5, err_msg=name)


def test_a_reserved_gpu_without_a_usable_device_is_an_error_and_never_a_silent_run_on_the_cpu(one_row):
    """A pretended GPU shows both: accelerated stages reserve their share of it, the others hold none."""
    results = one_row / "gpu"
    failures = [json.loads(file.read_text())["error"] for file in (results / "store" / "failures").rglob("*.json")]
    assert len(failures) == 1
    assert "reserved a GPU, but torch finds no CUDA device" in failures[0]
    assert {marker.parent.name for marker in finished(results)} == {"LogMelFeatures"}


def rays_own(actor):
    """The coordinator that the first data-parallel training on a cluster starts for all jobs on it."""
    return actor["ray_namespace"] == "AutoscalingCoordinator"


def test_when_the_sweeps_on_a_cluster_have_ended_no_actor_placement_group_or_worker_is_left(disturbed, one_row, ray_head):
    """By success or with failures."""
    limit = time.monotonic() + 90
    own = {actor["pid"] for actor in ray_head.living("actors") if rays_own(actor)}
    for kind in ("actors", "placement_groups", "workers"):
        while (left := [each for each in ray_head.living(kind) if each.get("pid") not in own]) and time.monotonic() < limit:
            time.sleep(0.5)
        assert left == []
