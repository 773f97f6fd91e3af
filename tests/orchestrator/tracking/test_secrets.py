"""MLflow behind basic authentication and TLS, from a driver on Ray: it works, and the password is seen nowhere.

`pytest -m slow tests/orchestrator/tracking/test_secrets.py`; a minute and a half. It needs mlflow[auth].
"""

from __future__ import annotations

import importlib.util
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.certificates import write_certificate
from tests.mlflow_server import end, serve, wait_until_healthy
from tests.postgres import free_port

PASSWORD = "Wombat-at-the-MLflow-server"
WITHOUT_AUTH = importlib.util.find_spec("flask_wtf") is None
DRIVER = """
import json, logging, sys
from pathlib import Path
logging.basicConfig(level=logging.DEBUG)
from orchestrator.execution.environment import set_environment
set_environment(None)
import ray
from ray.util import state
from orchestrator.execution.cluster import joined
from orchestrator.execution.tracker_actor import caller, end_tracker, make_tracker
from orchestrator.tracking import default_artifacts, default_uri, read_sweep
from tests.recorded import SCORES, SHARED, sweep, trial

results = Path(sys.argv[1])
with joined(None, {"CPU": 1, "GPU": 0}):
    uri = default_uri(results)
    tracker = make_tracker("toy", uri, default_artifacts(uri, results))
    call = caller("toy")
    call("open_sweep", sweep())
    call("stage_started", SHARED, True)
    call("log_stage", SHARED.fingerprint, [("train/loss", 1.0 / (step + 1), step, 1000 + step) for step in range(5)])
    call("stage_ended", SHARED.fingerprint, "FINISHED", {"loss": 0.2}, {"code": "p1"})
    for (row, seed), score in SCORES.items():
        call("trial_ended", trial(row, seed), "FINISHED", {"f1": score})
    call("close_sweep", "FINISHED")
    here = ray.get_runtime_context().gcs_address
    for listing in (state.list_actors, state.list_tasks, state.list_workers, state.list_jobs, state.list_runtime_envs):
        print(*listing(address=here, detail=True, raise_on_missing_output=False))
    print(json.dumps(ray.get_runtime_context().runtime_env, default=str))
    end_tracker(tracker)
print(len(read_sweep(uri, "toy").trials), "trials")
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """Address of the server, and its folder, which holds its certificate."""
    folder, port = tmp_path_factory.mktemp("server"), free_port()
    certificate, key = write_certificate(folder)
    secrets = {"MLFLOW_FLASK_SERVER_SECRET_KEY": "Wombat-in-cookies", "MLFLOW_AUTH_ADMIN_PASSWORD": PASSWORD}
    options = ["--app-name", "basic-auth", "--uvicorn-opts", f"--ssl-keyfile {key} --ssl-certfile {certificate}"]
    process = serve(port, folder, f"sqlite:///{folder / 'mlflow.db'}", *options, environment=secrets)
    try:
        wait_until_healthy(f"https://127.0.0.1:{port}", certificate)
        yield f"https://127.0.0.1:{port}", folder
    finally:
        end(process)


def environment(address: str, folder: Path, password: str) -> dict[str, str]:
    credentials = {"MLFLOW_TRACKING_USERNAME": "admin", "MLFLOW_TRACKING_PASSWORD": password}
    certificate = str(folder / "certificate.pem")
    places = {"PYTHONPATH": os.pathsep.join(["."] + [p for p in [os.environ.get("PYTHONPATH")] if p])}
    server = {"MLFLOW_TRACKING_URI": address, "MLFLOW_TRACKING_SERVER_CERT_PATH": certificate}
    return {**os.environ, **server, **credentials, **places}


def command_lines() -> str:
    """Of every process of this machine, as ``ps`` shows them."""
    lines = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.append(file.read_bytes().decode(errors="replace"))
        except OSError:  # it has ended
            continue
    return "\n".join(lines)


def files_with(secret: str, *folders: Path) -> list[Path]:
    """The files below some folders that hold a secret."""
    every = [file for folder in folders for file in folder.rglob("*") if file.is_file()]
    return [file for file in every if secret.encode() in file.read_bytes()]


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.ray
@pytest.mark.skipif(WITHOUT_AUTH, reason="mlflow's basic authentication needs Flask-WTF, which mlflow[auth] brings")
def test_a_driver_on_ray_logs_behind_basic_authentication_and_tls_and_shows_its_password_nowhere(
    server: tuple[str, Path], tmp_path: Path
) -> None:
    address, folder = server
    with tempfile.TemporaryDirectory(prefix="ray-") as ray_folder:
        known = environment(address, folder, PASSWORD) | {"RAY_TMPDIR": ray_folder}
        with (tmp_path / "driver.log").open("w") as log:
            driver = subprocess.Popen([sys.executable, "-c", DRIVER, str(tmp_path)], stdout=log, stderr=log, env=known)
        seen = []
        while driver.poll() is None:
            seen.append(command_lines())
            time.sleep(0.1)
        told = (tmp_path / "driver.log").read_text()
        assert driver.returncode == 0, told[-3000:]
        assert told.rstrip().endswith("4 trials")
        assert any("TrackerActor" in lines for lines in seen)  # it was looked at while it ran
        assert not any(PASSWORD in lines for lines in seen)
        assert any(Path(ray_folder).rglob("raylet.out"))
        assert files_with(PASSWORD, tmp_path, folder, Path(ray_folder)) == []
    with sqlite3.connect(folder / "mlflow.db") as database:
        assert PASSWORD not in "\n".join(database.iterdump())


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(WITHOUT_AUTH, reason="mlflow's basic authentication needs Flask-WTF, which mlflow[auth] brings")
def test_a_wrong_password_is_told_at_once_and_is_not_shown(server: tuple[str, Path], tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from orchestrator.tracking import Tracker, default_uri\n"
        "from tests.recorded import sweep\n"
        "tracker = Tracker(default_uri(Path(sys.argv[1])), None); tracker.open_sweep(sweep()); print(tracker.problem)"
    )
    known = environment(*server, "Wombat-of-somebody-else")
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, env=known, check=True, timeout=120
    )
    assert time.monotonic() - began < 60  # most of it Python's and MLflow's imports
    assert "401" in done.stdout
    assert "Wombat" not in done.stdout + done.stderr
