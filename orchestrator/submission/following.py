"""Following a job to its end: its log as it is written, over as many connections as it takes."""

from __future__ import annotations

from collections.abc import Callable

from ray.job_submission import JobDetails, JobStatus

from orchestrator.conductor import INCOMPLETE, INTERRUPTED
from orchestrator.connection import Connection
from orchestrator.submission.client import Jobs, JobUnknown, NoAnswer
from trainables.errors import UserError

_LOG_TRIES = 3  # of a job that has ended: its node, and the log with it, may be gone


class _Log:
    """A job's log: it is read again from the beginning each time, and each part of it is written once.

    Args:
        jobs: Of the cluster.
        name: Of the job.
        write: Gets the parts of the log.
        connection: Over which they come.
    """

    def __init__(self, jobs: Jobs, name: str, write: Callable[[str], None], connection: Connection) -> None:
        self._jobs, self._name, self._write, self._connection = jobs, name, write, connection
        self._written = self._read = 0

    def read(self) -> None:
        """Write what is new until the job has ended, or was silent for a minute."""
        self._read = 0
        self._jobs.read_log(self._name, self._take)
        self._connection.holds()

    def _take(self, text: str) -> None:
        self._connection.holds()
        fresh = text[max(self._written - self._read, 0) :]
        self._read += len(text)
        self._written = max(self._written, self._read)
        if fresh:
            self._write(fresh)


def follow(jobs: Jobs, name: str, write: Callable[[str], None], tell: Callable[[str], None]) -> JobDetails:
    """Write a job's log until it ends; a lost connection is made again.

    Args:
        jobs: Of the cluster.
        name: Of the job.
        write: Gets the parts of the log.
        tell: Gets what there is to say about the job and the connection.

    Returns:
        How the job ended.

    Raises:
        UserError: The cluster has forgotten the job, or gave no answer for an hour.
    """
    connection = Connection(name, tell)
    log, told, ended = _Log(jobs, name, write, connection), "", 0
    while True:
        try:
            details = jobs.details(name)
            if details.status is JobStatus.PENDING and details.message != told:
                tell(told := details.message or "")
            ended += details.status.is_terminal()
            log.read()
            if ended:
                return details
        except JobUnknown:
            raise UserError(
                f"{jobs.address} does not know the job {name} any more: its head was started anew, or the job was deleted; the "
                f"same command submits it again, and goes on from the results that are stored"
            ) from None
        except NoAnswer as error:
            if ended >= _LOG_TRIES:
                tell(f"the rest of the log cannot be read: {error}")
                return details
            connection.fails(error)


def exit_code(details: JobDetails) -> int:
    """The sweep's, as a shell would give it; Ray keeps none of a job that it was asked to stop, nor of one that never began."""
    if details.driver_exit_code is not None:
        return details.driver_exit_code if details.driver_exit_code >= 0 else 128 - details.driver_exit_code
    return INTERRUPTED if details.status is JobStatus.STOPPED else INCOMPLETE
