"""Rendering: the template becomes one sweep, nothing else changes, and what cannot be is told before any cluster is asked."""

import subprocess
import sys

import pytest
import yaml

from tests.deploy.kuberay_schema import schema_faults
from trainables.errors import UserError

SERVER = """---
apiVersion: v1
kind: Pod
metadata: {name: mlflow}
spec: {containers: [{name: mlflow, image: speech-orchestrator}]}
"""


@pytest.fixture
def printed(launched, capsys):
    def run(*arguments):
        done = launched("--dry-run", *arguments)
        assert (done.code, done.told) == (0, "")
        return list(yaml.safe_load_all(capsys.readouterr().out))

    return run


def job_of(documents):
    return next(each for each in documents if each["kind"] == "RayJob")


def test_a_dry_run_prints_yaml_alone_and_asks_no_cluster(printed, cluster):
    assert {each["kind"] for each in printed()} == {"Service", "RayJob"}
    assert cluster.calls() == []


def test_a_dry_run_imports_neither_torch_nor_ray_nor_mlflow(overlay):
    script = (
        "import sys; from orchestrator.launch import command\n"
        f"try: command()(['reclr_lambda', '--dry-run', '--overlay={overlay}'])\n"
        "except SystemExit as end: assert not end.code\n"
        "heavy = {'torch', 'ray', 'mlflow', 'pandas', 'librosa'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("apiVersion: ")


def test_the_template_becomes_one_sweep_and_nothing_else_changes(printed, overlay):
    found = job_of(printed("--seeds", "3"))
    template = job_of(yaml.safe_load_all((overlay / "objects.yaml").read_text()))
    assert found["metadata"]["name"].startswith("reclr-lambda-")
    assert found["metadata"]["annotations"]["kept"] == "yes"
    assert "--seeds=3" in found["metadata"]["annotations"]["sweep-command"]
    assert found["spec"].pop("entrypoint").endswith("reclr_lambda --address auto --store /store --results /results --seeds=3")
    assert found["spec"].pop("suspend") is False
    for group in (found, template):
        for each in ("headGroupSpec", "workerGroupSpecs"):
            part = group["spec"]["rayClusterSpec"][each]
            part = part if each == "headGroupSpec" else part[0]
            part["template"]["spec"]["containers"][0].pop("image")
    left = {key: value for key, value in template["spec"].items() if key not in ("entrypoint", "suspend")}
    assert found["spec"] == left


def test_the_namespace_is_the_commands_and_the_image_is_that_of_the_sweep_alone(printed, overlay):
    objects = overlay / "objects.yaml"
    objects.write_text(objects.read_text() + SERVER)
    documents = printed("--namespace", "lab", "--image", "registry/speech:2")
    assert {each["metadata"]["namespace"] for each in documents} == {"lab"}
    spec = job_of(documents)["spec"]["rayClusterSpec"]
    images = [group["template"]["spec"]["containers"][0]["image"] for group in (spec["headGroupSpec"], *spec["workerGroupSpecs"])]
    assert images == ["registry/speech:2"] * 2
    (server,) = [each for each in documents if each["kind"] == "Pod"]
    assert server["spec"]["containers"][0]["image"] == "speech-orchestrator:1"


def test_a_job_for_a_queue_stays_suspended_until_its_turn(printed, overlay):
    objects = overlay / "objects.yaml"
    objects.write_text(objects.read_text().replace("{name: sweep,", "{name: sweep, labels: {kueue.x-k8s.io/queue-name: gpus},"))
    assert job_of(printed())["spec"]["suspend"] is True


@pytest.mark.parametrize("overlay_name", ["laptop", "gpu", "spot", "kueue"])
def test_every_overlay_of_the_project_can_be_launched(launched, capsys, overlay_name):
    assert launched("--dry-run", "--overlay", overlay_name, "--workers", "2").code == 0
    found = job_of(yaml.safe_load_all(capsys.readouterr().out))
    assert "STUDY" not in found["spec"]["entrypoint"]
    assert schema_faults(found) == []


@pytest.mark.parametrize(
    ("arguments", "numbers"),
    [
        ([], (0, 0, 2)),  # what the overlay allows
        (["--workers", "4"], (0, 0, 4)),  # one GPU a pod
        (["--workers", "2", "--cpus-per-worker", "2"], (0, 0, 2)),  # Ray counts 1500m as 2
        (["--per-stage", "ContrastivePretraining.workers=4"], (0, 0, 4)),
        (["--replicas", "1"], (0, 0, 1)),
    ],
)
def test_the_pods_are_as_many_as_the_workers_need(printed, arguments, numbers):
    group = job_of(printed(*arguments))["spec"]["rayClusterSpec"]["workerGroupSpecs"][0]
    assert tuple(group[each] for each in ("replicas", "minReplicas", "maxReplicas")) == numbers


def test_without_an_autoscaler_all_pods_are_there_from_the_start(printed, overlay):
    objects = overlay / "objects.yaml"
    objects.write_text(objects.read_text().replace("enableInTreeAutoscaling: true", "enableInTreeAutoscaling: false"))
    group = job_of(printed("--workers", "4"))["spec"]["rayClusterSpec"]["workerGroupSpecs"][0]
    assert [group[each] for each in ("replicas", "minReplicas", "maxReplicas")] == [4, 4, 4]


def test_what_the_pods_can_never_give_is_told_with_everything_else(launched, cluster):
    with pytest.raises(UserError) as caught:
        launched("--workers", "4", "--replicas", "2", "--results", "/tmp/x", "--corpora", "/corpora/corpora.toml", "--dry-run")
    message = str(caught.value)
    for part in ("4 workers x 1 GPU", "--results /tmp/x: no lasting volume", "--corpora /corpora/corpora.toml: no lasting volume"):
        assert part in message, message


def test_an_operators_rule_that_the_overlay_breaks_is_told(launched, overlay):
    objects = overlay / "objects.yaml"
    objects.write_text(objects.read_text().replace("shutdownAfterJobFinishes: true", "backoffLimit: -1"))
    with pytest.raises(UserError, match="RayJob reclr-lambda"):
        launched("--dry-run")


def test_an_overlay_that_is_none_is_refused_with_those_there_are(launched, tmp_path):
    with pytest.raises(UserError, match=r"--overlay none: .*no kustomization\.yaml|--overlay none: .*has none"):
        launched("--overlay", "none", "--dry-run")
    with pytest.raises(UserError, match=r"--overlay .*nowhere"):
        launched("--overlay", str(tmp_path / "nowhere"), "--dry-run")


def test_an_overlay_without_the_template_is_refused(launched, overlay):
    (overlay / "objects.yaml").write_text("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n")
    with pytest.raises(UserError, match="expected one RayJob, 'sweep'"):
        launched("--dry-run")


def test_what_kustomize_refuses_is_told_in_its_words(launched, overlay):
    (overlay / "kustomization.yaml").write_text("resources: [missing.yaml]\n")
    with pytest.raises(UserError, match=r"kubectl kustomize: .*missing\.yaml"):
        launched("--dry-run")
