"""Jobs on a cluster, seen from here: found again, followed through whatever networks do, and ended with their own exit code."""

import http.server
import io
import json
import threading

import pytest

from orchestrator import connection
from orchestrator.submitting import find
from trainables.errors import UserError


def details(name="reclr_lambda-1", status="RUNNING", **values):
    from ray.job_submission import JobDetails

    return JobDetails(type="SUBMISSION", submission_id=name, status=status, entrypoint="", **values)


def test_the_running_job_of_a_command_is_found_and_ended_ones_are_counted():
    ended = [details("a-1f"), details("a-1f-3", "STOPPED"), details("a-1f0", "RUNNING"), details("b-1f", "RUNNING")]
    running, count = find([*ended, details("a-1f-2", "FAILED")], "a-1f")
    assert (running.submission_id, count) == ("a-1f", 3)
    assert find([details("a-1f-10", "PENDING"), details("a-1f-9", "SUCCEEDED")], "a-1f")[0].submission_id == "a-1f-10"
    assert find(ended[2:], "a-1f") == (None, 0)


@pytest.fixture
def following(monkeypatch):
    from orchestrator.submission import following

    monkeypatch.setattr(connection.time, "sleep", lambda seconds: None)
    return following


class Cluster:
    """A stand-in for the Jobs API: each connection shows the log from its beginning, up to where the script says that it breaks."""

    address = "http://head"

    def __init__(self, *connections):
        self._connections = iter(connections)  # of each: the job's state, then parts of the log, then perhaps an error

    def details(self, name):
        state, *self._log = next(self._connections)
        if isinstance(state, Exception):
            raise state
        return state

    def read_log(self, name, read):
        for part in self._log:
            if isinstance(part, Exception):
                raise part
            read(part)


def followed(following, *connections):
    written, told = io.StringIO(), []
    return following.follow(Cluster(*connections), "j", written.write, told.append), written.getvalue(), told


def test_over_any_number_of_connections_the_log_is_written_once_and_whole(following):
    from orchestrator.submission.client import NoAnswer

    lost = NoAnswer("gone")
    ended, log, told = followed(
        following,
        (details(status="PENDING", message="being set up"), "one\n"),
        (details(), "one\ntw", "o\nthr", lost),
        (lost,),
        (details(), "on", "e\ntwo\nthree\n"),  # a proxy closed it
        (details(status="FAILED", driver_exit_code=1), "one\n", "two\nthree\nfour\n"),
    )
    assert log == "one\ntwo\nthree\nfour\n"
    assert (following.exit_code(ended), told[0], told[-1]) == (1, "being set up", "connected again")
    assert sum("lost" in line for line in told) == 1


def test_a_job_that_the_cluster_has_forgotten_is_told(following):
    from orchestrator.submission.client import JobUnknown

    with pytest.raises(UserError, match="started anew"):
        followed(following, (details(), "one\n"), (JobUnknown("404"),))


def test_a_job_that_has_ended_is_not_waited_for_because_its_log_is_gone(following):
    from orchestrator.submission.client import NoAnswer

    ended, log, told = followed(following, *[(details(status="SUCCEEDED", driver_exit_code=0), NoAnswer("node gone"))] * 9)
    assert (following.exit_code(ended), log) == (0, "")
    assert "cannot be read" in told[-1]


def test_lost_connections_of_a_whole_weekend_do_not_add_up(following, monkeypatch):
    from orchestrator.submission.client import NoAnswer

    clock = iter(range(0, 10**6, 600))
    monkeypatch.setattr(connection.time, "monotonic", lambda: next(clock))
    log = [f"{hour}\n" for hour in range(48)]
    connections = [(details(), *log[:hour], NoAnswer("gone")) for hour in range(1, 48)]
    _, written, told = followed(following, *connections, (details(status="SUCCEEDED", driver_exit_code=0), *log))
    assert (written, told.count("connected again")) == ("".join(log), 47)


def test_an_hour_without_an_answer_ends_it_in_words(following, monkeypatch):
    from orchestrator.submission.client import NoAnswer

    clock = iter(range(0, 10**6, 600))
    monkeypatch.setattr(connection.time, "monotonic", lambda: next(clock))
    with pytest.raises(UserError, match=r"no answer for \d\d minutes"):
        followed(following, *[(NoAnswer("gone"),)] * 20)


class Answers(http.server.BaseHTTPRequestHandler):
    """A stand-in for a cluster behind a proxy that wants a header of its own."""

    def do_GET(self):
        status, answer = {"/api/version": (200, {"ray_version": "2.60.0"}), "/api/jobs/": (200, [])}.get(
            self.path,
            (404, "Job x does not exist") if self.path == "/api/jobs/x" else (500, "Traceback\n  File\nOSError: disk full"),
        )
        if self.headers.get("Pass") != "hush":
            status, answer = 502, "who are you?"
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode() if status == 200 else answer.encode())

    def log_message(self, *arguments):
        pass


@pytest.fixture
def answers(monkeypatch):
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        for name in ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS"):
            monkeypatch.setenv(name, "http://127.0.0.1:1")  # the command's address precedes them
        monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_headers_for_a_proxy_are_rays_own_and_every_answer_is_understood(answers, monkeypatch):
    from orchestrator.submission.client import Jobs, JobUnknown, NoAnswer

    monkeypatch.setenv("RAY_JOB_HEADERS", '{"Pass": "hush"}')
    jobs = Jobs(answers)
    assert (jobs.all(), jobs.ray_version()) == ([], "2.60.0")
    with pytest.raises(JobUnknown):
        jobs.details("x")
    with pytest.raises(NoAnswer, match=r"OSError: disk full$"):
        jobs.details("y")


@pytest.mark.parametrize(("headers", "message"), [("", "nobody answers"), ("hush", "no JSON object")])
def test_a_proxy_that_lets_nobody_in_and_headers_that_are_none_are_told(answers, monkeypatch, headers, message):
    from orchestrator.submission.client import Jobs

    monkeypatch.setenv("RAY_JOB_HEADERS", headers)
    with pytest.raises(UserError, match=message) as caught:
        Jobs(answers)
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize(
    ("state", "code"),
    [
        ({"status": "SUCCEEDED", "driver_exit_code": 0}, 0),
        ({"status": "FAILED", "driver_exit_code": 2}, 2),
        ({"status": "FAILED", "driver_exit_code": -9}, 137),
        ({"status": "STOPPED"}, 130),
        ({"status": "FAILED"}, 1),
    ],
)
def test_the_exit_code_is_the_sweeps(following, state, code):
    assert following.exit_code(details(**state)) == code
