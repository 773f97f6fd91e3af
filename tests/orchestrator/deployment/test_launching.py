"""Launching: one command is one RayJob, which is made, followed, stopped or found done; every refusal is told in words."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.conductor import COMPLETE, INCOMPLETE, INTERRUPTED
from orchestrator.deployment import following
from tests.orchestrator.deployment.conftest import job
from trainables.errors import UserError

DONE = job("Complete", "SUCCEEDED")
CHANGING = ("apply", "delete", "create", "exec")
LOG = "2026-01-01T00:00:00.1Z the table\n"


def changes(cluster):
    return [call[0] for call in cluster.calls() if call[0] in CHANGING]


def test_a_first_launch_applies_what_the_sweep_needs_makes_its_job_and_follows_it_to_the_end(launched, cluster):
    cluster.answer("get rayjob ", (1, "Error (NotFound)"), job("Initializing", ""), job(), DONE)
    cluster.answer("^logs", LOG)
    done = launched("--seeds", "3")
    assert done.code == COMPLETE, done.told
    (applied,), (made,) = cluster.inputs("apply"), cluster.inputs("create")[-1:]
    assert "--server-side" in cluster.calls("apply")[0]
    assert re.findall(r"^kind: (\w+)", applied, re.M) == ["Service"]
    assert re.findall(r"^kind: (\w+)", made, re.M) == ["RayJob"]
    assert done.told.count("the table\n") == 1
    assert "port-forward service/mlflow --namespace=speech 5000:5000" in done.told
    assert "port-forward service/c1-head-svc --namespace=speech 8265:8265" in done.told
    assert "get secret c1 --namespace=speech" in done.told  # the token of the dashboard: how to get it, not what it is


def test_the_same_command_follows_the_job_that_runs_and_makes_no_other(launched, cluster):
    cluster.answer("get rayjob ", job(), job(), DONE)
    cluster.answer("^logs", LOG)
    done = launched()
    assert done.code == COMPLETE
    assert changes(cluster) == []
    assert "runs already in namespace speech" in done.told


def test_another_image_than_the_running_ones_is_told(launched, cluster):
    cluster.answer("get rayjob ", job(), DONE)
    cluster.answer("^logs", LOG)
    done = launched("--image", "speech-orchestrator:2")
    assert "It runs speech-orchestrator:1. To run speech-orchestrator:2, stop it first" in done.told


@pytest.mark.parametrize(
    "ended", [job("Failed", "FAILED", message="head lost"), job("Complete", "STOPPED"), job("ValidationFailed", "")]
)
def test_a_job_that_ended_without_its_table_is_deleted_with_its_pods_and_made_anew(launched, cluster, ended):
    cluster.answer("get rayjob ", ended, DONE)
    cluster.answer("^logs", LOG)
    assert launched().code == COMPLETE
    assert changes(cluster) == ["apply", "delete", "create"]
    assert "--cascade=foreground" in cluster.calls("delete")[-1]


def test_a_job_that_has_succeeded_is_told_so_and_nothing_is_changed(launched, cluster):
    cluster.answer("get rayjob ", DONE)
    done = launched()
    assert done.code == COMPLETE
    assert "was completed" in done.told
    assert changes(cluster) == []


def test_a_job_that_is_being_deleted_is_waited_for(launched, cluster):
    going = json.loads(job())
    going["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    cluster.answer("get rayjob ", json.dumps(going), DONE)
    cluster.answer("^logs", LOG)
    assert launched().code == COMPLETE
    assert changes(cluster) == ["delete", "apply", "create"]


def test_whoever_is_second_follows_the_others_job(launched, cluster):
    cluster.answer("get rayjob ", (1, "Error (NotFound)"), DONE)
    cluster.answer("^create", (1, 'Error from server (AlreadyExists): rayjobs.ray.io "x" already exists'))
    cluster.answer("^logs", LOG)
    done = launched()
    assert done.code == COMPLETE
    assert "Somebody else just launched" in done.told


def test_a_detached_launch_returns_at_once_and_says_how_to_go_on(launched, cluster):
    done = launched("--detach", "--seeds", "3")
    assert done.code == COMPLETE
    assert not cluster.calls("logs")
    assert re.search(r"To follow it:\n  python -m orchestrator\.launch reclr_lambda --seeds=3 --overlay=\S+\n", done.told)


def test_control_c_detaches(launched, cluster, monkeypatch):
    def interrupt(self):
        raise KeyboardInterrupt

    monkeypatch.setattr(following.Follower, "follow", interrupt)
    done = launched()
    assert done.code == INTERRUPTED
    assert "The job goes on" in done.told
    assert changes(cluster) == ["apply", "create"]


@pytest.mark.parametrize(
    ("ended", "code"),
    [
        (job("Complete", "STOPPED"), INTERRUPTED),
        (job("Failed", "FAILED", message="Job entrypoint command failed with exit code 2, last available logs"), 2),
        (job("Failed", "FAILED", reason="DeadlineExceeded"), INCOMPLETE),
        (job("ValidationFailed", "", message="the operator says no"), INCOMPLETE),
    ],
)
def test_the_exit_code_is_the_sweeps_as_far_as_kuberay_tells_it(launched, cluster, ended, code):
    cluster.answer("get rayjob ", job(), ended)
    cluster.answer("^logs", LOG)
    assert launched().code == code


def test_a_running_job_is_stopped_inside_its_head_and_followed_to_its_end(launched, cluster):
    cluster.answer("get rayjob ", job(), job(), job("Complete", "STOPPED"))
    cluster.answer("get pods", json.dumps({"items": [{"metadata": {"name": "head-pod"}}]}))
    cluster.answer("^logs", LOG)
    done = launched("--stop")
    assert done.code == INTERRUPTED
    (call,) = cluster.calls("exec")
    assert call[1] == "head-pod"
    assert call[call.index("--") + 1 :] == ["ray", "job", "stop", "--no-wait", "--address=http://127.0.0.1:8265", "j1"]
    assert changes(cluster) == ["exec"]


def test_a_job_that_has_not_begun_is_stopped_by_deleting_it(launched, cluster):
    cluster.answer("get rayjob ", job("Suspended", ""))
    done = launched("--stop")
    assert (done.code, "had not begun" in done.told) == (COMPLETE, True)
    assert changes(cluster) == ["delete"]


def test_stopping_what_does_not_run_tells_what_does(launched, cluster):
    cluster.answer("get rayjobs ", "a-1  Running  launch a --seeds=3\nb-2  Complete  launch b\n")
    with pytest.raises(UserError, match=r"(?s)no job of this very command.*a-1 \(Running\): launch a --seeds=3$"):
        launched("--stop")


def test_all_that_a_cluster_lacks_is_told_together_before_anything_is_changed(launched, cluster, overlay):
    cluster.answer("api-resources", "pods\n")
    cluster.answer("get secret", "")
    objects = overlay / "objects.yaml"
    objects.write_text(objects.read_text().replace("{name: sweep,", "{name: sweep, labels: {kueue.x-k8s.io/queue-name: gpus},"))
    with pytest.raises(UserError) as caught:
        launched("--scale", "dem")
    message = str(caught.value)
    parts = ("'demo'", "no objects of ray.io: install KubeRay", "no objects of kueue.x-k8s.io", "there is no secret database")
    for part in (*parts, "--from-literal=password=..."):
        assert part in message, message
    assert changes(cluster) == []


def test_rights_that_are_lacking_are_told_together(launched, cluster):
    cluster.answer("auth can-i (create|delete)", "no\n")
    with pytest.raises(UserError, match=r"may not create rayjobs\.ray\.io, delete rayjobs\.ray\.io in namespace speech"):
        launched()


def test_what_else_the_overlay_holds_is_left_as_it_is_where_it_is_there(launched, cluster):
    cluster.answer("get rayjob ", (1, "Error (NotFound)"), DONE)
    cluster.answer("^get -f", "service/mlflow\n")
    cluster.answer("^logs", LOG)
    assert launched().code == COMPLETE
    assert changes(cluster) == ["create"]


def test_who_may_not_make_it_is_told_whom_to_ask(launched, cluster):
    cluster.answer("^apply", (1, 'Error from server (Forbidden): services "mlflow" is forbidden: User "me" cannot patch'))
    with pytest.raises(UserError, match=r'User "me" cannot patch.*ask those who run the cluster'):
        launched()


@pytest.mark.parametrize(
    ("error", "told"),
    [
        ("error: current-context is not set", "kubectl config use-context"),
        ('error: context "x" does not exist', "get-contexts"),
        ("The connection to the server localhost:8080 was refused - did you specify the right host or port?", "use-context"),
        ("Unable to connect to the server: dial tcp: lookup x: no such host", "Is the cluster up"),
        ("error: You must be logged in to the server (Unauthorized)", "log in to it again"),
    ],
)
def test_a_cluster_that_cannot_be_asked_is_told_with_the_way_out(launched, cluster, error, told):
    cluster.answer("api-resources", (1, error))
    with pytest.raises(UserError, match=re.escape(told)):
        launched("--context", "x")
    assert all(call[:2] == ["--context", "x"] for call in cluster.calls())


def test_every_call_is_one_that_kubectl_understands(launched, cluster):
    cluster.answer("get rayjob ", job(), job(), job("Complete", "STOPPED"))
    cluster.answer("get pods", json.dumps({"items": [{"metadata": {"name": "head-pod"}}]}))
    cluster.answer("^logs", LOG)
    launched("--stop")
    cluster.answer("get rayjob ", job("Failed", "FAILED"), job(), DONE)
    cluster.answer("get rayjobs ", "")
    launched()
    cluster.answer("get rayjob ", (1, "Error (NotFound)"))
    with pytest.raises(UserError):
        launched("--stop")
    real = [folder for folder in os.environ["PATH"].split(os.pathsep) if (Path(folder) / "kubectl").exists()][1]
    for call in {tuple(call): call for call in cluster.calls()}.values():
        nobody = [f"{real}/kubectl", "--server=http://127.0.0.1:1", *call]
        done = subprocess.run(nobody, input="apiVersion: v1\nkind: Pod\nmetadata: {name: x}\n", capture_output=True, text=True)
        assert "127.0.0.1:1 was refused" in done.stderr or "connection refused" in done.stderr, (call, done.stderr)


def test_without_kubectl_one_is_told_to_install_it(tmp_path):
    script = [sys.executable, "-m", "orchestrator.launch", "reclr_lambda", "--dry-run", "--overlay", str(tmp_path)]
    (tmp_path / "kustomization.yaml").write_text("")
    done = subprocess.run(script, capture_output=True, text=True, timeout=120, env={"PATH": str(tmp_path), "HOME": str(tmp_path)})
    assert (done.returncode, done.stdout, "Traceback" in done.stderr) == (2, "", False), done.stderr
    assert "kubectl is not on the PATH" in done.stderr
