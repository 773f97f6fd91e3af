"""A real Ray cluster of one node for all tests that can join one, because each start of another costs ten seconds of computing."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from orchestrator.execution.environment import WORKER_ENVIRONMENT

_SECONDS = 240.0  # to start, on a machine that computes other things meanwhile
_ROOT = Path(__file__).parents[2]
_ENDED = {"actors": ("state", "DEAD"), "placement_groups": ("state", "REMOVED"), "workers": ("is_alive", False)}
"""In which field of each Ray's State API says so, and how."""


@dataclass(frozen=True)
class RayHead:
    """A running cluster with two CPUs and a pretended GPU.

    Attributes:
        address: For ``--address`` and ``ray.init``: ``host:port``. Ray takes this machine's own address for 127.0.0.1.
        dashboard: Of the dashboard and Ray's Jobs API: ``http://127.0.0.1:port``.
        environment: What a process needs besides its own environment to be let in.
        folder: Of Ray's sockets and logs.
    """

    address: str
    dashboard: str
    environment: dict[str, str]
    folder: Path

    def living(self, kind: str) -> list[dict[str, Any]]:
        """What has not ended of the actors, placement_groups or workers (drivers are some, too), as Ray's State API tells it."""
        question = urllib.request.Request(f"{self.dashboard}/api/v0/{kind}?limit=10000")
        question.add_header("Authorization", f"Bearer {self.environment['RAY_AUTH_TOKEN']}")
        with urllib.request.urlopen(question, timeout=30) as answer:
            known = json.load(answer)["data"]["result"]["result"]
        name, ended = _ENDED[kind]
        return [each for each in known if each[name] != ended]


@contextlib.contextmanager
def started_head() -> Iterator[RayHead]:
    """Start the cluster; at the end, also of a test run that fails, no process of it is left.

    It belongs to the process group of the caller, and its parts end with ``ray start``: what kills the caller's group ends it too.
    """
    client = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32), "OMP_NUM_THREADS": "1", "PYTHONPATH": str(_ROOT)}
    with tempfile.TemporaryDirectory(prefix="ray", ignore_cleanup_errors=True) as name, tempfile.TemporaryFile() as output:
        folder = Path(name)  # a short path: that of a socket may have 107 characters
        process = subprocess.Popen(_command(folder), cwd=_ROOT, env=_environment(client), stdout=output, stderr=output)
        try:
            address, dashboard = _addresses(process, folder, output)
            yield RayHead(address, dashboard, client, folder)
        finally:
            _end(process, folder)


def _command(folder: Path) -> list[str]:
    """Ports are whichever are free; neither Ray's client nor its dashboard chooses one itself."""
    client, dashboard = free_ports(2)
    options = [f"--{name}=0" for name in ("port", "dashboard-agent-listen-port", "min-worker-port", "max-worker-port")]
    options += [f"--ray-client-server-port={client}", f"--dashboard-port={dashboard}", "--include-dashboard=true"]
    options += ["--node-ip-address=127.0.0.1", "--dashboard-host=127.0.0.1", "--include-log-monitor=false"]
    options += ["--num-cpus=2", "--num-gpus=1", f"--object-store-memory={150 * 2**20}", f"--temp-dir={folder}"]
    return [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", *options]


def free_ports(number: int) -> list[int]:
    """Ports of this machine that nobody listens on."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def _environment(client: dict[str, str]) -> dict[str, str]:
    """Of the cluster's processes: what stages need, and nothing that leads to another cluster or server."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "MLFLOW_"))}
    own["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # a job's `python` is this one
    return own | WORKER_ENVIRONMENT | client | {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}


def _addresses(process: subprocess.Popen, folder: Path, output: BinaryIO) -> tuple[str, str]:
    """Of the cluster and of its dashboard, once both answer."""
    told, limit = folder / "ray_current_cluster", time.monotonic() + _SECONDS
    while not (told.exists() and told.read_text()):
        if process.poll() is not None or time.monotonic() > limit:
            output.seek(0)
            raise RuntimeError(f"no Ray cluster within {_SECONDS:g} s:\n{output.read().decode(errors='replace')}")
        time.sleep(0.1)
    output.seek(0)
    return told.read_text().strip(), re.search(r"http://127\.0\.0\.1:\d+", output.read().decode())[0]


def _end(process: subprocess.Popen, folder: Path) -> None:
    """End ``ray start``, and kill by their ids whatever outlives it for more than some seconds."""
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(10)
    process.kill()
    process.wait()
    limit = time.monotonic() + 10
    while (left := users(folder)) and time.monotonic() < limit:
        time.sleep(0.1)
    for pid in left:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def users(folder: Path) -> set[int]:
    """Processes that have a file below the folder open: each of a cluster has its log, and so have its drivers."""
    found = set()
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        with contextlib.suppress(OSError):  # closed meanwhile, or another user's
            if link.readlink().is_relative_to(folder):
                found.add(int(link.parts[2]))
    return found
