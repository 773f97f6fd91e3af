"""A small overlay of one's own, a cluster that a test tells, and the command line."""

import io
import json
import os
import shutil
from types import SimpleNamespace

import pytest
from rich.console import Console

from orchestrator import connection, launch, sweep
from orchestrator.deployment import following
from tests.orchestrator.deployment.fake_kubectl import FakeKubectl

OVERLAY = """
apiVersion: v1
kind: Service
metadata: {name: mlflow}
spec: {ports: [{port: 5000}]}
---
apiVersion: ray.io/v1
kind: RayJob
metadata: {name: sweep, annotations: {kept: "yes"}}
spec:
  suspend: true
  entrypoint: python -m orchestrator.sweep STUDY --address auto --store /store --results /results
  shutdownAfterJobFinishes: true
  rayClusterSpec:
    rayVersion: 2.60.0
    enableInTreeAutoscaling: true
    authOptions: {mode: token}
    headGroupSpec:
      rayStartParams: {}
      resources: {CPU: "0"}
      template:
        spec:
          containers:
            - name: head
              image: speech-orchestrator
              env: [{name: PASSWORD, valueFrom: {secretKeyRef: {name: database, key: password}}}]
              resources: {limits: {cpu: "2"}}
              volumeMounts: [{name: store, mountPath: /store}, {name: results, mountPath: /results}, {name: tmp, mountPath: /tmp}]
          volumes:
            - {name: store, persistentVolumeClaim: {claimName: store}}
            - {name: results, persistentVolumeClaim: {claimName: results}}
            - {name: tmp, emptyDir: {}}
    workerGroupSpecs:
      - groupName: workers
        replicas: 0
        minReplicas: 0
        maxReplicas: 2
        rayStartParams: {}
        template:
          spec:
            containers: [{name: worker, image: speech-orchestrator, resources: {limits: {cpu: 1500m, nvidia.com/gpu: 1}}}]
"""


@pytest.fixture
def overlay(tmp_path):
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed: nothing renders an overlay")
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "objects.yaml").write_text(OVERLAY)
    rules = {"resources": ["objects.yaml"], "namespace": "speech", "images": [{"name": "speech-orchestrator", "newTag": "1"}]}
    (folder / "kustomization.yaml").write_text(json.dumps(rules))
    return folder


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    """A cluster that has all that is needed, and no RayJob yet."""
    fake = FakeKubectl(tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(following, "_LOOK_SECONDS", 0.0)
    monkeypatch.setattr(connection, "_PAUSES", (0.0,))
    fake.answer("api-resources", "pods\nrayclusters.ray.io\nrayjobs.ray.io\n")
    fake.answer("auth can-i", "yes\n")
    fake.answer("get secret", "secret/database\n")
    fake.answer("^(--context \\S+ )?(apply|create|delete|exec) ", "")
    fake.answer("^get -f", (1, "Error from server (NotFound)"))
    fake.answer("get pods", json.dumps({"items": []}))
    fake.answer("get rayjob ", (1, 'Error from server (NotFound): rayjobs.ray.io "x" not found'))
    return fake


@pytest.fixture
def launched(overlay, monkeypatch):
    """The command line: its exit code and what it told."""

    def run(*arguments):
        told = io.StringIO()
        monkeypatch.setattr(sweep, "console", Console(file=told, width=200))
        code = launch.command()(["reclr_lambda", f"--overlay={overlay}", *arguments], standalone_mode=False)
        return SimpleNamespace(code=code, told=told.getvalue())

    return run


def job(deployment="Running", status="RUNNING", **more):
    """A RayJob as the operator writes it."""
    told = {"jobDeploymentStatus": deployment, "jobStatus": status, "jobId": "j1", "rayClusterName": "c1"} | more
    cluster = {"headGroupSpec": {"template": {"spec": {"containers": [{"image": "speech-orchestrator:1"}]}}}}
    cluster["authOptions"] = {"mode": "token"}
    return json.dumps({"metadata": {"name": "x", "namespace": "speech"}, "spec": {"rayClusterSpec": cluster}, "status": told})
