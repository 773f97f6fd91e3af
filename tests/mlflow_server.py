"""A real MLflow server on the loopback interface."""

from __future__ import annotations

import os
import signal
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path

QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
"""Environment of a server that does what it is asked and no more: no second process for jobs that nobody gives it."""


def serve(port: int, folder: Path, store: str, *options: str, environment: Mapping[str, str] | None = None) -> subprocess.Popen:
    """Start a server, in a group of processes of its own; its files and its log lie in ``folder``."""
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1", *options]
    places = ["--backend-store-uri", store, "--artifacts-destination", str(folder / "artifacts")]
    known = {**os.environ, **QUIET, **(environment or {})}
    with (folder / "server.log").open("a") as log:
        return subprocess.Popen([*command, *places], stdout=log, stderr=log, cwd=folder, env=known, start_new_session=True)


def wait_until_healthy(address: str, certificate: Path | None = None) -> None:
    """Return when the server answers. Raises what the last attempt raised if it does not within two minutes."""
    trusting = ssl.create_default_context(cafile=certificate) if certificate else None
    deadline = time.monotonic() + 120
    while True:
        try:
            urllib.request.urlopen(f"{address}/health", timeout=5, context=trusting).close()
            return
        except (urllib.error.URLError, OSError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def end(server: subprocess.Popen) -> None:
    """End a server and whatever it started."""
    if server.poll() is None:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(60)
