"""The connection to a job that does not depend on it: lost, it is made again, for an hour if need be."""

from __future__ import annotations

import time
from collections.abc import Callable

from trainables.errors import UserError

_PAUSES = (1.0, 2.0, 5.0, 10.0, 30.0)  # between tries to connect again; the last one for ever
_PATIENCE_SECONDS = 3600.0


class Connection:
    """What is known of the connection, and told.

    Args:
        job: Name of the job.
        tell: Gets what there is to say about the connection.
    """

    def __init__(self, job: str, tell: Callable[[str], None]) -> None:
        self._job, self._tell = job, tell
        self._lost: float | None = None
        self._failures = 0

    def holds(self) -> None:
        """There was an answer."""
        if self._lost is not None:
            self._tell("connected again")
            self._lost, self._failures = None, 0

    def fails(self, error: Exception) -> None:
        """There was none: wait before the next try. Raises UserError after an hour without any."""
        now = time.monotonic()
        if self._lost is None:
            self._lost = now
            self._tell(f"the connection is lost ({error}); the job does not depend on it, and it is tried again")
        if now - self._lost > _PATIENCE_SECONDS:
            raise UserError(
                f"there was no answer for {(now - self._lost) / 60:.0f} minutes ({error}); the job {self._job} may still run: "
                f"the same command follows it again, and begins it again if it is gone"
            )
        time.sleep(_PAUSES[min(self._failures, len(_PAUSES) - 1)])
        self._failures += 1
