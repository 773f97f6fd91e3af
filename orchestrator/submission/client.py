"""Ray's Jobs API as a submission uses it: every request has an end, and every fault is told in words.

Before this module is imported, :func:`orchestrator.execution.environment.set_environment` must have been called.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
from collections.abc import Callable
from typing import Any, TypeVar

import aiohttp
import requests
from ray.exceptions import AuthenticationError
from ray.job_submission import JobDetails, JobSubmissionClient

from trainables.errors import UserError

_LOST = (requests.RequestException, aiohttp.ClientError, OSError, RuntimeError)
"""What Ray's client raises of a request that may succeed later: answers such as 500 are a RuntimeError."""
_ANSWER_SECONDS = (10, 120)  # to connect, and between two bytes
_SILENT_SECONDS = 60.0
_Answer = TypeVar("_Answer")
for _name in ("dashboard_sdk", "job.sdk"):  # every connection that a proxy closes is news to them
    logging.getLogger(f"ray.dashboard.modules.{_name}").setLevel(logging.WARNING)


class NoAnswer(UserError):
    """The cluster cannot be reached, or has a fault of its own; it may answer later."""


class JobUnknown(UserError):
    """The cluster knows no job of that name."""


class Jobs:
    """The jobs of a cluster. Every method raises :class:`NoAnswer` if there is none.

    Args:
        address: ``http(s)://...`` of the Jobs API; ``auto`` or ``host:port`` of a cluster in whose network this machine is; None
            for what RAY_API_SERVER_ADDRESS or RAY_ADDRESS name, as everywhere in Ray.

    Raises:
        UserError: Nobody answers, or not to the token that was found.
    """

    def __init__(self, address: str | None) -> None:
        self.address = address or os.environ.get("RAY_API_SERVER_ADDRESS") or os.environ.get("RAY_ADDRESS") or "auto"
        os.environ["RAY_API_SERVER_ADDRESS"] = self.address  # what the command names precedes what the environment does
        trusted = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("SSL_CERT_FILE") or True
        try:
            self._client = _Client(self.address, headers=_headers(), verify=trusted)
        except AuthenticationError as error:
            raise _refused(self.address, error) from error
        except (*_LOST, ValueError) as error:
            cause = error.__context__ or error  # Ray's own words leave out whether it was the name, the port or the certificate
            raise UserError(f"--address {self.address}: nobody answers as Ray's Jobs API does ({_gist(cause)})") from error

    def ray_version(self) -> str:
        """Version of the cluster's Ray."""
        return self._ask(lambda: self._client._do_request("GET", "/api/version").json()["ray_version"])

    def all(self) -> list[JobDetails]:
        """All jobs that were submitted to the cluster and not deleted, ended ones too."""
        return [job for job in self._ask(self._client.list_jobs) if job.submission_id is not None]

    def details(self, name: str) -> JobDetails:
        """How a job stands.

        Raises:
            JobUnknown: There is none of that name.
        """
        return self._ask(lambda: self._client.get_job_info(name))

    def submit(self, name: str, entrypoint: str, environment: dict[str, Any], metadata: dict[str, str]) -> bool:
        """Submit a job; returns whether the name was free. What ``environment`` names is uploaded, unless it is there already."""
        job = {"entrypoint": entrypoint, "submission_id": name, "runtime_env": environment, "metadata": metadata}
        try:
            self._ask(lambda: self._client.submit_job(**job))
        except NoAnswer as error:
            if "already exists" in str(error.__cause__):
                return False
            raise
        return True

    def stop(self, name: str) -> None:
        """Ask a job to stop: SIGTERM, and after RAY_JOB_STOP_WAIT_TIME_S of its environment SIGKILL. Returns at once."""
        self._ask(lambda: self._client.stop_job(name))

    def read_log(self, name: str, read: Callable[[str], None]) -> None:
        """Read a job's log from its beginning, while it is written. Returns when the job has ended, or nothing came for a minute.

        A connection that broke without a word is as silent as a job that has nothing to say, hence the minute.
        """
        self._ask(lambda: asyncio.run(self._read_log(name, read)))

    async def _read_log(self, name: str, read: Callable[[str], None]) -> None:
        parts = self._client.tail_job_logs(name)
        try:
            while True:
                read(await asyncio.wait_for(anext(parts), _SILENT_SECONDS))
        except (StopAsyncIteration, TimeoutError):
            return
        finally:
            await parts.aclose()

    def _ask(self, question: Callable[[], _Answer]) -> _Answer:
        try:
            return question()
        except AuthenticationError as error:
            raise _refused(self.address, error) from error
        except _LOST as error:
            if re.search(r"status code 404: Job \S+ does not exist", str(error)):
                raise JobUnknown(f"{self.address} knows no such job: {_gist(error)}") from error
            raise NoAnswer(f"{self.address} gives no answer: {_gist(error)}") from error


class _Client(JobSubmissionClient):
    """Ray's client waits for an answer for ever."""

    def _do_request(self, method: str, endpoint: str, **options: Any) -> requests.Response:
        return super()._do_request(method, endpoint, timeout=_ANSWER_SECONDS, **options)


def _headers() -> dict[str, str] | None:
    """For a proxy before the cluster: what Ray's own ``ray job`` reads from RAY_JOB_HEADERS, as JSON."""
    text = os.environ.get("RAY_JOB_HEADERS")
    if not text:
        return None
    try:
        return dict(json.loads(text))
    except ValueError:
        raise UserError("RAY_JOB_HEADERS is no JSON object of names and values") from None  # it may hold a secret: not shown


def _refused(address: str, error: AuthenticationError) -> UserError:
    return UserError(
        f"--address {address}: the cluster asks for a token, and {_gist(error)}; set RAY_AUTH_TOKEN, or RAY_AUTH_TOKEN_PATH to a "
        f"file that holds it, or put it into ~/.ray/auth_token (on the head, `ray get-auth-token` tells it)"
    )


def _gist(error: Exception) -> str:
    """The telling line of an error: the first, but the last of a traceback, which the cluster may have sent."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[-1 if "Traceback" in str(error) else 0] if lines else type(error).__name__).rstrip(".")
