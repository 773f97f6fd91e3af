"""The command, the environment and the servers that the manifests declare, run for real: the RayJob that a launch would create
makes its table, on pods that are processes of this machine (:mod:`tests.deploy.local_pods`).

    python -m pytest -m slow tests/deploy/test_declared_command.py

Four minutes; it needs root, kubectl and PostgreSQL. What a pod has and these processes have not: an image of their own, limits of
memory and CPU, an API server and thereby KubeRay's autoscaler, seccomp, and policies for single ports.
"""

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests import postgres
from tests.cluster.hosts import ROOT, network
from tests.deploy import local_pods
from tests.deploy.local_cluster import LocalCluster
from tests.deploy.rendered import KUBERNETES
from tests.tiny_corpora import write_tiny_corpora


def why_not():
    if shutil.which("kubectl") is None:
        return "there is no kubectl to render the manifests"
    return postgres.missing() or local_pods.why_not()


pytestmark = [
    pytest.mark.ray,
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(bool(story := why_not()), reason=f"pods are processes of this machine: {story}"),
]
SWEEP = ("reclr_lambda", "--scale", "smoke", "--seeds", "1", "--corpora", "/corpora/corpora.toml")
RUNS = """
import json
from mlflow import MlflowClient

client = MlflowClient()
found = {each.name: client.search_runs([each.experiment_id], max_results=5000) for each in client.search_experiments()}
print("RUNS", json.dumps({name: [run.info.status for run in runs] for name, runs in found.items()}))
"""


def launched(folder, *components):
    """What a launch on a laptop prints, with more components; the overlay is written into a folder."""
    way = os.path.relpath(KUBERNETES.resolve(), folder.resolve())  # kustomize takes no absolute path
    listed = ", ".join(f"{way}/components/{name}" for name in components)
    (folder / "kustomization.yaml").write_text(f"resources: [{way}/overlays/laptop]\ncomponents: [{listed}]\n")
    command = [sys.executable, "-m", "orchestrator.launch", *SWEEP, "--overlay", str(folder), "--dry-run"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env={**os.environ, "KUBECONFIG": os.devnull})
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    objects = launched(tmp_path_factory.mktemp("overlay"), "corpora")
    with network() as net:
        made = LocalCluster(net, tmp_path_factory.mktemp("cluster"), objects)
        write_tiny_corpora(made.volume("corpora")).parent.chmod(0o755)
        made.begin()
        yield made


@pytest.fixture(scope="module")
def first(cluster):
    return submitted(cluster, "first")


def submitted(cluster, name):
    """What Ray tells of a job that has been followed to its end, and its log."""
    log = cluster.submit(name)
    return cluster.told(name), log


def computed(cluster):
    """Every stage that was run, and every result with the time at which it was published."""
    tasks = [task["task_id"] for task in cluster.state("tasks") if task["name"] == "_train_locally"]
    markers = {str(marker): marker.stat().st_mtime_ns for marker in (cluster.volume("store") / "results").rglob("_SUCCESS")}
    return sorted(tasks), markers


@pytest.fixture(scope="module")
def second(cluster, first):
    """The same of a second submission, with what was computed before and after it."""
    before = computed(cluster)
    return *submitted(cluster, "second"), before, computed(cluster)


def test_the_command_of_the_rayjob_ends_well_and_its_log_holds_the_table(cluster, first):
    job, log = first
    assert (job["status"], job["driver_exit_code"]) == ("SUCCEEDED", 0), log
    assert job["entrypoint"] == cluster.job["spec"]["entrypoint"]
    assert "8 of 8 trials finished" in log
    assert re.search(r"^fixed +ReCLR \(λ = 0\.2\) ", log, re.MULTILINE)


def test_the_table_lies_on_the_volume_of_results(cluster, first):
    folder = cluster.volume("results") / "tables" / "reclr_lambda"
    assert {file.suffix for file in folder.iterdir()} >= {".md", ".tex", ".csv", ".html", ".png"}
    assert "Table as Markdown, LaTeX, CSV, HTML and picture:  /results/tables/reclr_lambda" in first[1]


def test_mlflow_has_the_finished_runs_behind_its_service_and_keeps_them_in_postgresql(cluster, first):
    import psycopg2

    answer = cluster.head.ask(["python", "-c", RUNS])  # by MLFLOW_TRACKING_URI of the manifests
    runs = json.loads(re.search(r"^RUNS (.*)$", answer, re.MULTILINE)[1])
    statuses = [status for found in runs.values() for status in found]
    assert len(runs["reclr_lambda"]) >= 8
    assert set(statuses) == {"FINISHED"}
    who = {"host": cluster.database.host.address, "user": "mlflow", "dbname": "mlflow", "password": cluster.password}
    with contextlib.closing(psycopg2.connect(**who)) as database, database.cursor() as cursor:
        cursor.execute("SELECT status, count(*) FROM runs GROUP BY status")
        assert cursor.fetchall() == [("FINISHED", len(statuses))]


def test_drivers_of_trials_tracker_and_ledger_run_on_the_head_and_stages_on_the_worker(cluster, first):
    (head,) = [node["node_id"] for node in cluster.state("nodes") if node["is_head_node"]]
    (worker,) = [node["node_id"] for node in cluster.state("nodes") if not node["is_head_node"]]
    places = {}
    for actor in cluster.state("actors"):
        places.setdefault(actor["class_name"], set()).add(actor["node_id"])
    stages = {task["node_id"] for task in cluster.state("tasks") if task["name"] == "_train_locally"}
    for actor in ("ImplicitFunc", "TrackerActor", "LedgerActor"):
        assert places[actor] == {head}
    assert stages == {worker}


def test_all_this_went_without_connections_that_the_policies_forbid(cluster):
    def connects(pod, name, port):
        reach = f"import socket; socket.create_connection(('{name}', {port}), 5); print('connected')"
        return "connected" in pod.ask(["python", "-c", reach])

    assert connects(cluster.head, "mlflow", 5000)
    assert not connects(cluster.worker, "mlflow", 5000)
    assert not connects(cluster.head, "postgresql", 5432)


def processes(pod):
    """Status, command line and mounts of each process of a pod; without those that end meanwhile."""
    for pid in pod.host.processes():
        with contextlib.suppress(OSError):
            yield tuple(Path(f"/proc/{pid}/{name}").read_text() for name in ("status", "cmdline", "mounts"))


def writable(mounts):
    """Where a process may write to, the kernel's own file systems apart."""
    told = [line.split() for line in mounts.splitlines()]
    kernels = ("/proc", "/sys", "/dev")
    return {place for _, place, _, options, *_ in told if not place.startswith(kernels) and "rw" in options.split(",")}


def test_nobody_is_root_and_nothing_but_the_declared_volumes_can_be_written_to(cluster, first):
    for pod in (cluster.database, cluster.mlflow, cluster.head, cluster.worker):
        volumes = {os.path.realpath(each["mountPath"]) for each in pod.container["volumeMounts"] if not each.get("readOnly")}
        found, user = list(processes(pod)), pod.pod.spec["securityContext"]["runAsUser"]
        assert found, pod.name
        for status, command, mounts in found:
            assert re.search(rf"^Uid:(\t{user}){{4}}$", status, re.MULTILINE), command
            assert re.search(r"^CapBnd:\t0+$", status, re.MULTILINE), command
            assert re.search(r"^NoNewPrivs:\t1$", status, re.MULTILINE), command
            assert writable(mounts) == {place for place in volumes if not place.startswith("/dev")}, command


def test_the_password_of_the_database_is_in_no_command_line_and_no_log(cluster, first):
    commands = "".join(command for pod in cluster.pods for _, command, _ in processes(pod))
    assert "postgresql+psycopg2://mlflow@postgresql:5432/mlflow" in commands
    logs = "".join(pod.log.read_text() for pod in cluster.pods if pod.log.exists())
    assert cluster.password not in commands + logs


def test_a_second_submission_prints_the_table_and_computes_nothing(first, second):
    job, log, before, after = second
    assert (job["status"], job["driver_exit_code"]) == ("SUCCEEDED", 0), log
    assert "8 of 8 trials finished" in log
    assert "✓" in first[1]
    assert "✓" not in log
    assert before == after
    assert before[0]
