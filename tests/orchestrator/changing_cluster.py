"""A Ray cluster of any shape on this machine, with pretended CPUs and GPUs, whose nodes can be exchanged while it runs."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

from orchestrator.execution.environment import WORKER_ENVIRONMENT

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {"RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
_ENDED = {"actors": {"DEAD"}, "placement_groups": {"REMOVED"}}


class ChangingCluster:
    """The cluster as its tests see it; it lives in a process of its own, because Ray keeps its settings for a process' whole life.

    Attributes:
        address: ``host:port``.
    """

    def __init__(self, process: subprocess.Popen, output: TextIO) -> None:
        self._process, self._output = process, output
        self.address, self._dashboard = self._answer()

    def change(self, nodes: Sequence[tuple[int, int]]) -> None:
        """Replace all nodes but the head, which takes no work, by others with these CPUs and GPUs."""
        self._process.stdin.write(json.dumps(nodes) + "\n")
        self._process.stdin.flush()
        self._answer()

    def living(self, kind: str) -> list[dict[str, Any]]:
        """What Ray's State API knows that has not ended: ``actors`` or ``placement_groups``."""
        with urllib.request.urlopen(f"http://{self._dashboard}/api/v0/{kind}?limit=10000", timeout=30) as answer:
            found = json.load(answer)["data"]["result"]["result"]
        return [each for each in found if each["state"] not in _ENDED[kind]]

    def _answer(self) -> Any:
        for line in self._process.stdout:
            if line.startswith("ANSWER "):
                return json.loads(line.removeprefix("ANSWER "))
        self._output.seek(0)
        raise RuntimeError(f"the cluster has ended:\n{self._output.read()}")


@contextlib.contextmanager
def changing_cluster() -> Iterator[ChangingCluster]:
    """Start it with a head alone; nothing of it is left at the end."""
    with tempfile.TemporaryDirectory(prefix="ray", ignore_cleanup_errors=True) as folder, tempfile.TemporaryFile("w+") as output:
        (Path(folder) / "ray").mkdir()
        own = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "MLFLOW_"))}
        environment = own | WORKER_ENVIRONMENT | ENVIRONMENT | {"RAY_TMPDIR": folder}
        command = [sys.executable, __file__]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": output}
        process = subprocess.Popen(command, env=environment, cwd=ROOT, text=True, **pipes)
        try:
            yield ChangingCluster(process, output)
        finally:
            process.stdin.close()
            process.wait(60)


def _serve() -> None:
    from ray.cluster_utils import Cluster

    from tests.orchestrator.ray_head import free_ports

    # Ports are whichever are free: other clusters may run on this machine.
    (port,) = free_ports(1)
    small = {"object_store_memory": 80 * 2**20, "dashboard_agent_listen_port": 0}
    cluster = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": True, "dashboard_port": port, **small}
    )
    nodes = []
    _tell([cluster.address, cluster.head_node.webui_url])
    for line in sys.stdin:
        for node in nodes:
            cluster.remove_node(node)
        nodes = [cluster.add_node(wait=False, num_cpus=cpus, num_gpus=gpus, **small) for cpus, gpus in json.loads(line)]
        cluster.wait_for_nodes()
        _tell("changed")
    cluster.shutdown()


def _tell(content: Any) -> None:
    print("ANSWER", json.dumps(content), flush=True)


if __name__ == "__main__":
    _serve()
