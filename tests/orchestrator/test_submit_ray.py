"""A submission to a real cluster that asks for a token: sent, followed, cut off, detached from, followed again, stopped."""

import contextlib
import os
import re
import select
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

import pytest

from tests.certificates import write_certificate
from tests.tiny_corpora import write_tiny_corpora

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(600)]
ROOT = Path(__file__).parents[2]
SEEDS, TRIALS = "30", "240 trials"  # more than a cluster can do while the commands are given: none must find the sweep at its end


class Wire:
    """Another port's way through TLS, as of a proxy before a cluster, until it is cut."""

    def __init__(self, port, folder):
        self.certificate, key = write_certificate(folder)
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tls.load_cert_chain(self.certificate, key)
        self._port, self._whole, self._ends = port, threading.Event(), []
        self._whole.set()
        self._door = socket.create_server(("127.0.0.1", 0))
        self.address = f"https://127.0.0.1:{self._door.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def cut(self):
        self._whole.clear()
        for end in self._ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def mend(self):
        self._whole.set()

    def _serve(self):
        while True:
            near = self._door.accept()[0]
            if not self._whole.is_set():
                near.close()
                continue
            threading.Thread(target=self._lead, args=(near,), daemon=True).start()

    def _lead(self, near):
        with contextlib.ExitStack() as stack:
            stack.enter_context(contextlib.suppress(OSError))
            near = stack.enter_context(self._tls.wrap_socket(near, server_side=True))
            far = stack.enter_context(socket.create_connection(("127.0.0.1", self._port)))
            self._ends += [near, far]
            self._carry(near, far)

    @staticmethod
    def _carry(near, far):
        while True:
            ready = [near] if near.pending() else select.select([near, far], [], [])[0]
            for end in ready:
                data = end.recv(65536)
                if not data:
                    return
                (far if end is near else near).sendall(data)


@pytest.fixture(scope="module")
def wire(ray_head, tmp_path_factory):
    return Wire(int(ray_head.dashboard.rpartition(":")[2]), tmp_path_factory.mktemp("wire"))


@pytest.fixture(scope="module")
def place(empty_store, tmp_path_factory):
    """A working directory with corpora and results."""
    folder = tmp_path_factory.mktemp("submitted")
    write_tiny_corpora(folder)
    (folder / "results").mkdir()
    shutil.copy(empty_store, folder / "results/mlflow.db")
    return folder


class Command:
    """``python -m orchestrator.submit`` (or another module), whose output is read as it comes."""

    def __init__(self, head, address, place, *options, module="orchestrator.submit", trusted=None):
        command = [sys.executable, "-m", module, "reclr_lambda", "--scale", "smoke", "--seeds", SEEDS, "--corpora", "corpora.toml"]
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "MLFLOW_"))}
        # A user has to set the token, and where it is not a public one the authority.
        environment |= {"RAY_AUTH_TOKEN": head.environment["RAY_AUTH_TOKEN"], "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
        environment |= {"REQUESTS_CA_BUNDLE": str(trusted)} if trusted else {}
        self.process = subprocess.Popen(
            [*command, "--address", address, *options],
            cwd=place,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.output = ""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self.process.stdout:
            self.output += line

    def wait_for(self, pattern, seconds=150):
        limit = time.monotonic() + seconds
        while not re.search(pattern, self.output):
            assert time.monotonic() < limit, self.output
            assert self._reader.is_alive() or re.search(pattern, self.output), self.output
            time.sleep(0.1)

    def end(self, seconds=150):
        code = self.process.wait(seconds)
        self._reader.join(10)
        return code, self.output


@pytest.fixture(scope="module")
def story(ray_head, wire, place):
    """One command given four times: cut off and detached from; followed again; asked to stop; given anew. What each printed."""

    def give(*more, address=wire.address, **settings):
        return Command(ray_head, address, place, "--gpus-per-worker", "0", *more, trusted=wire.certificate, **settings)

    first = give("--image")
    first.wait_for(TRIALS)
    wire.cut()
    first.wait_for("connection is lost")
    wire.mend()
    first.wait_for("connected again|✓")
    first.process.send_signal(signal.SIGINT)
    told = {"first": first.end()}
    again = give(module="orchestrator.sweep")  # which has no --image, and needs none to follow
    again.wait_for("✓")
    told["stop"] = give("--image", "--stop").end()
    told["again"] = again.end()
    told["anew"] = give("--image", "--detach").end()
    told["end"] = give("--image", "--stop").end()
    told["gone"] = give("--image", "--stop", address=ray_head.address).end()
    return told


def name(output):
    return re.search(r"reclr_lambda-[0-9a-f]{10}(-\d+)?", output)[0]


def test_a_job_is_submitted_and_its_log_is_followed_over_a_lost_connection(story):
    output = story["first"][1]
    assert "Submitted reclr_lambda-" in output
    lines = [line for line in output.splitlines() if TRIALS in line or "✓" in line]
    assert len(lines) == len(set(lines)) >= 1  # each part of the log once
    assert output.count("connection is lost") == 1


def test_control_c_detaches_and_tells_how_to_follow_and_to_stop(story, place):
    code, output = story["first"]
    assert code == 130
    followed, stopped = re.findall(r"^  (python -m orchestrator\.submit .*)$", output, re.MULTILINE)
    assert (f"--results={place}/results" in followed, stopped) == (True, f"{followed} --stop")


def test_the_same_command_follows_the_running_job_from_its_beginning(story):
    output = story["again"][1]
    assert "runs already on https://127.0.0.1" in output
    assert name(output) == name(story["first"][1])
    assert TRIALS in output


def test_a_job_that_is_stopped_ends_in_good_order_and_all_who_follow_it_end_with_the_sweeps_exit_code(story):
    for code, output in (story["stop"], story["again"]):
        assert (code, "Stopped. " in output) == (130, True), output


def test_the_command_of_a_job_that_has_ended_is_submitted_anew_under_a_counted_name(story):
    code, output = story["anew"]
    assert (code, name(output)) == (0, name(story["first"][1]) + "-2"), output
    assert name(story["end"][1]) == name(output)


def test_to_stop_what_does_not_run_is_told(story):
    assert (story["gone"][0], "no job of this very command" in story["gone"][1]) == (2, True), story["gone"][1]


def test_a_stopped_job_leaves_nothing_on_the_cluster(story, ray_head):
    limit = time.monotonic() + 60
    while any(map(ray_head.living, ("actors", "placement_groups"))) and time.monotonic() < limit:
        time.sleep(0.5)
    assert not ray_head.living("actors") + ray_head.living("placement_groups")


def test_a_fault_that_only_the_cluster_can_find_is_told_with_the_sweeps_exit_code(ray_head, place):
    code, output = Command(ray_head, ray_head.dashboard, place, "--image", "--corpora", "/nowhere/corpora.toml").end()
    assert (code, "/nowhere/corpora.toml is no file" in output, "Traceback" in output) == (2, True, False), output


def test_a_certificate_that_nobody_vouches_for_is_told_in_words(ray_head, wire, place):
    code, output = Command(ray_head, wire.address, place, "--image").end()
    assert (code, "CERTIFICATE_VERIFY_FAILED" in output, "Traceback" in output) == (2, True, False), output


def test_a_wrong_token_is_told_in_words_and_no_token_is_shown_with_a_job(ray_head, place, story):
    environment = os.environ | {"RAY_AUTH_TOKEN": "0" * 64, "RAY_AUTH_MODE": "token", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "orchestrator.submit", "reclr_lambda", "--address", ray_head.dashboard, "--image"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=place, timeout=120)
    assert (done.returncode, "RAY_AUTH_TOKEN_PATH" in done.stderr, "Traceback" in done.stderr) == (2, True, False), done.stderr
    token = ray_head.environment["RAY_AUTH_TOKEN"]
    jobs = urllib.request.Request(f"{ray_head.dashboard}/api/jobs/", headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(jobs, timeout=30) as answer:
        shown = answer.read().decode()
    logs = [file.read_text() for file in ray_head.folder.rglob("job-driver-*.log")]
    assert logs
    assert name(story["first"][1]) in shown
    assert not any(token in text for text in (shown, *logs))


# What is sent is this checkout; the packages are here already, and to install them anew takes 6 GB.
SEND = """
import sys
from pathlib import Path
import orchestrator.submitting as submitting
from orchestrator.submission import checkout

checkout._ROOT = Path(sys.argv.pop(1))
pack = submitting.pack
submitting.pack = lambda folder: {name: part for name, part in pack(folder).items() if name != "pip"}
from orchestrator.command import command_line
from orchestrator.submit import command
command_line(command())
"""


def test_by_default_this_checkout_is_what_runs(ray_head, place, tmp_path):
    for part in ("orchestrator", "search_spaces", "trainables", "deploy"):
        shutil.copytree(ROOT / part, tmp_path / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    with (tmp_path / "orchestrator/submission/places.py").open("a") as file:
        file.write("\n\nprint('edited here')\n")
    command = [sys.executable, "-c", SEND, str(tmp_path), "reclr_lambda", "--dry-run", "--address", ray_head.dashboard]
    environment = os.environ | ray_head.environment
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=place, timeout=200)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "edited here" in done.stdout
    assert "24 trials" in done.stdout
