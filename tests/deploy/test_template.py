"""What `orchestrator.launch`, Ray and MLflow take from the manifests."""

import re
import shlex
import tomllib

import pytest

from tests.deploy.rendered import KUBERNETES, OVERLAYS, named, pods, render

ROOT = KUBERNETES.parents[1]
WITH_JOB = pytest.mark.parametrize("overlay", [name for name in OVERLAYS if name != "cluster"])


def template(overlay):
    return named(render(overlay), "RayJob", "sweep")


@pytest.mark.parametrize("overlay", ["laptop", "gpu", "spot"])
def test_a_template_that_is_applied_as_it_is_starts_nothing_where_no_queue_ends_its_suspension(overlay):
    job = template(overlay)
    assert job["spec"]["suspend"]
    assert not [label for label in job["metadata"]["labels"] if "kueue" in label]


@WITH_JOB
def test_the_entrypoint_is_a_command_of_ours_and_its_folders_are_on_every_node(overlay):
    from typer.main import get_command

    from orchestrator.sweep import app

    entrypoint = template(overlay)["spec"]["entrypoint"]
    assert entrypoint == "python -m orchestrator.sweep STUDY --address auto --store /store --results /results"
    arguments = get_command(app).make_context("sweep", shlex.split(entrypoint)[3:]).params
    assert (arguments["study"], arguments["address"]) == ("STUDY", "auto")
    for pod in (pod for pod in pods(render(overlay)) if pod.is_ray):
        mounts = {mount["mountPath"] for mount in pod.spec["containers"][0]["volumeMounts"]}
        assert {arguments["store"], str(arguments["results"])} <= mounts


@WITH_JOB
def test_a_sweep_is_begun_again_after_the_loss_of_its_head_and_leaves_no_cluster_behind(overlay):
    spec = template(overlay)["spec"]
    assert spec["backoffLimit"] > 0
    assert spec["shutdownAfterJobFinishes"]
    assert spec["ttlSecondsAfterFinished"] > 0


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_cluster_asks_for_a_token_and_has_the_version_that_is_pinned(overlay):
    pinned = re.search(r"^ray==(.+)$", (ROOT / "deploy" / "constraints.txt").read_text(), re.MULTILINE)[1]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    clusters = [each["spec"].get("rayClusterSpec", each["spec"]) for each in render(overlay) if each["apiVersion"] == "ray.io/v1"]
    assert clusters
    for cluster in clusters:
        assert cluster["authOptions"] == {"mode": "token"}
        assert cluster["rayVersion"] == pinned
        assert cluster["headGroupSpec"]["template"]["spec"]["containers"][0]["image"] == f"speech-orchestrator:{project}"


def test_a_lasting_cluster_is_that_of_a_sweep():
    assert named(render("cluster"), "RayCluster")["spec"] == template("gpu")["spec"]["rayClusterSpec"]
    assert not [each for each in render("cluster") if each["kind"] == "RayJob"]


def server_options():
    arguments = named(render("gpu"), "Deployment")["spec"]["template"]["spec"]["containers"][0]["args"]
    return {name: value for name, _, value in (argument.partition("=") for argument in arguments)}


def test_mlflow_knows_every_option_that_it_is_started_with():
    from mlflow.cli import server

    known = {option for parameter in server.params for option in parameter.opts}
    assert server_options().keys() <= known


@pytest.mark.parametrize("host", ["mlflow:5000", "mlflow.speech.svc.cluster.local:5000", "localhost:5000", "localhost:8080"])
def test_mlflow_answers_to_its_names_in_the_cluster_and_through_a_forwarded_port(host):
    from mlflow.server.security_utils import is_allowed_host_header

    assert is_allowed_host_header(server_options()["--allowed-hosts"].split(","), host)


@pytest.mark.parametrize(
    "host", ["evil.example:5000", "mlflow.evil.example:5000", "mlflow.speech.evil.example:5000", "10.0.0.7:5000"]
)
def test_mlflow_answers_to_no_other_name(host):
    from mlflow.server.security_utils import is_allowed_host_header

    assert not is_allowed_host_header(server_options()["--allowed-hosts"].split(","), host)
