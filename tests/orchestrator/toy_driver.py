"""Processes that run the toy sweep on a cluster, and what they leave there: nothing."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from tests.orchestrator.changing_cluster import ENVIRONMENT, ROOT

LEFT_SECONDS = 120.0  # until the ledger of a sweep that was killed has noticed, and Ray has ended all


class Running(Protocol):
    """A cluster that can be asked what lives on it."""

    address: str

    def living(self, kind: str) -> list[dict[str, Any]]:
        """Its ``actors`` or ``placement_groups``."""


@contextlib.contextmanager
def driven(cluster: Running, home: Path, sweep: dict[str, Any], seconds: float) -> Iterator[subprocess.Popen]:
    """A process that runs the sweep; at the end nothing of it is left on the cluster, as Ray and the kernel see it."""
    mark = uuid.uuid4().hex
    per_stage = [f"GangNap.workers={sweep['workers']}", f"GpuNap.gpus={sweep['gpus']}"]
    content = {**sweep, "address": cluster.address, "home": str(home), "seconds": seconds, "per_stage": per_stage, "mark": mark}
    command = [sys.executable, str(ROOT / "tests" / "orchestrator" / "toy_sweep.py"), json.dumps(content)]
    environment = {**os.environ, **ENVIRONMENT}
    driver = subprocess.Popen(command, env=environment, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        yield driver
    finally:
        driver.kill()
        driver.wait()
    limit = time.monotonic() + LEFT_SECONDS
    while left := left_on(cluster, mark):
        assert time.monotonic() < limit, left
        time.sleep(0.5)


def left_on(cluster: Running, mark: str) -> list[Any]:
    """Actors, placement groups and processes.

    One actor is Ray's and not the sweep's: the coordinator that the first data-parallel training on a cluster starts for all jobs
    on it, and whose end would disturb the others'.
    """
    actors = cluster.living("actors")
    shared = {actor["pid"] for actor in actors if actor["ray_namespace"] == "AutoscalingCoordinator"}
    ours = [actor for actor in actors if actor["pid"] not in shared]
    return [*ours, *cluster.living("placement_groups"), *(pid for pid in marked(mark) if pid not in shared)]


def result_of(driver: subprocess.Popen) -> dict[str, Any]:
    output, _ = driver.communicate(timeout=600)
    lines = [line for line in output.splitlines() if line.startswith("TOLD")]
    assert lines, output
    return json.loads(lines[0].removeprefix("TOLD"))


def disturb(driver: subprocess.Popen, home: Path, ending: str) -> None:
    """Wait until a stage has begun, then end the sweep, in good order or not."""
    limit = time.monotonic() + 200
    while not any((home / "notes").iterdir()):
        assert driver.poll() is None, driver.stdout.read()
        assert time.monotonic() < limit, "no stage has begun"
        time.sleep(0.1)
    if ending == "crash":
        driver.kill()
        return
    driver.send_signal(signal.SIGINT)
    if ending == "cancel":
        time.sleep(0.3)
        driver.send_signal(signal.SIGINT)
        driver.wait(120)
    else:
        assert result_of(driver)["outcome"] == "KILLED"


def marked(mark: str) -> list[int]:
    """Processes of the sweep: Ray gives all of them its environment."""
    found = []
    for file in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if f"SWEEP_MARK={mark}".encode() in file.read_bytes():
                found.append(int(file.parent.name))
    return found
