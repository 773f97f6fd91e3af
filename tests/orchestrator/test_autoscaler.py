"""A real autoscaler, whose nodes are processes of this machine: its limits are known, and what needs its nodes waits for them.

Two minutes: ``pytest -m slow tests/orchestrator/test_autoscaler.py``.
"""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid
from dataclasses import dataclass
from pathlib import Path

import pytest

from orchestrator.execution.environment import WORKER_ENVIRONMENT
from tests.orchestrator.changing_cluster import ENVIRONMENT, ROOT
from tests.orchestrator.ray_head import free_ports
from tests.orchestrator.toy_driver import driven, marked, result_of

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(600)]


@dataclass(frozen=True)
class Growing:
    address: str
    dashboard: str

    def living(self, kind):
        with urllib.request.urlopen(f"{self.dashboard}/api/v0/{kind}?limit=10000", timeout=30) as answer:
            found = json.load(answer)["data"]["result"]["result"]
        return [each for each in found if each["state"] not in ("DEAD", "REMOVED")]


def config(address):
    """A head without resources, and up to two nodes of two CPUs and a pretended GPU each."""
    return {
        "cluster_name": "growing",
        "max_workers": 2,
        "upscaling_speed": 1.0,
        "idle_timeout_minutes": 5,
        "provider": {
            "type": "fake_multinode",
            "use_node_id_as_ip": True,
            "disable_node_updaters": True,
            "disable_launch_config_check": True,
            "gcs_address": address,
        },
        "auth": {},
        "docker": {},
        "head_node_type": "ray.head.default",
        "available_node_types": {
            "ray.head.default": {"resources": {"CPU": 0}, "node_config": {}, "max_workers": 0},
            "gpus": {"resources": {"CPU": 2, "GPU": 1}, "node_config": {}, "min_workers": 0, "max_workers": 2},
        },
        "file_mounts": {},
        "cluster_synced_files": [],
        "file_mounts_sync_continuously": False,
        "rsync_exclude": [],
        "rsync_filter": [],
        "initialization_commands": [],
        "setup_commands": [],
        "head_setup_commands": [],
        "worker_setup_commands": [],
        "head_start_ray_commands": [],
        "worker_start_ray_commands": [],
    }


@pytest.fixture(scope="module")
def growing():
    from ray.util import get_node_ip_address

    mark, (port, dashboard, client) = uuid.uuid4().hex, free_ports(3)
    with tempfile.TemporaryDirectory(prefix="ray", ignore_cleanup_errors=True) as name, tempfile.TemporaryFile() as output:
        folder, address = Path(name), f"{get_node_ip_address()}:{port}"
        (folder / "autoscaling.json").write_text(json.dumps(config(address)))
        own = {key: value for key, value in os.environ.items() if not key.startswith(("RAY_", "MLFLOW_"))}
        fake = {"RAY_FAKE_CLUSTER": "1", "AUTOSCALER_UPDATE_INTERVAL_S": "1", "SWEEP_MARK": mark}
        command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", "--num-cpus=0", f"--port={port}"]
        command += [f"--autoscaling-config={folder}/autoscaling.json", f"--temp-dir={folder}", f"--dashboard-port={dashboard}"]
        command += [f"--ray-client-server-port={client}", "--dashboard-agent-listen-port=0", f"--object-store-memory={80 * 2**20}"]
        environment = own | WORKER_ENVIRONMENT | ENVIRONMENT | fake
        process = subprocess.Popen(command, env=environment, cwd=ROOT, stdout=output, stderr=output)
        try:
            limit, started = time.monotonic() + 120, folder / "ray_current_cluster"
            while not (started.exists() and started.read_text()):
                output.seek(0)
                assert process.poll() is None, output.read().decode()
                assert time.monotonic() < limit, "the cluster does not start"
                time.sleep(0.2)
            output.seek(0)
            yield Growing(address, re.search(r"http://[\d.]+:\d+", output.read().decode())[0])
        finally:
            for pid in marked(mark):  # the nodes that the autoscaler has started are no children of ours
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            process.wait()


def run(growing, tmp_path, empty_store, **sweep):
    (tmp_path / "notes").mkdir()
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    content = {"kinds": ["GpuNap"], "seeds": 3, "cpus": 2, "workers": 2, "gpus": 1.0} | sweep
    with driven(growing, tmp_path, content, seconds=0.5) as driver:
        return result_of(driver)


def test_what_even_the_grown_cluster_has_not_is_refused_in_seconds(growing, tmp_path, empty_store):
    told = run(growing, tmp_path, empty_store, kinds=["GangNap", "GpuNap"], workers=3, gpus=1.0)
    (message,) = told["refused"]
    assert "3 workers x 2 CPU = 6 CPU, but there are 4 in all, those included that the autoscaler may add" in message
    assert told["seconds"] < 10


def test_what_needs_nodes_that_are_not_there_yet_waits_for_the_autoscaler_and_ends(growing, tmp_path, empty_store):
    assert run(growing, tmp_path, empty_store) == {"outcome": "FINISHED", "done": 3, "stages": 3, "failures": []}
