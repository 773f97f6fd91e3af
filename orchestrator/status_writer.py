"""Writes how a sweep gets on into its store, from a thread of its own, which never disturbs the sweep."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from orchestrator.artifacts import ArtifactStore
from orchestrator.processes import process_space
from orchestrator.sweep_documents import PlanDocument, RunningInfo, State, SweepStatus, write_plan, write_status
from trainables.errors import UserError

if TYPE_CHECKING:
    from orchestrator.checks import Options
    from orchestrator.execution.ledger_snapshot import Snapshot

EVERY_SECONDS = 5.0
_PATIENCE_SECONDS = 15.0  # a store that does not answer must not keep a sweep from ending


@dataclass(frozen=True)
class Activity:
    """What is computed at a moment, and why the rest of what could begin has not, by fingerprint."""

    running: Mapping[str, RunningInfo] = field(default_factory=dict)
    queued: Mapping[str, str] = field(default_factory=dict)


def place_of(options: Options) -> str:
    """What a sweep runs on, for people."""
    if options.local:
        return "this machine without Ray"
    return f"the Ray cluster at {options.address}" if options.address else "a Ray cluster of its own"


def local_activity(running: Mapping[str, tuple[float, float]]) -> Activity:
    """Of a sweep in this very process, from the fraction done and the seconds so far of what it computes."""
    host = socket.gethostname()
    return Activity({name: RunningInfo(fraction=done, seconds=seconds, where=host) for name, (done, seconds) in running.items()})


def ledger_activity(look: Callable[[], Snapshot]) -> Activity:
    """Of a cluster, from its ledger's snapshot; nothing while the ledger does not answer."""
    from ray.exceptions import RayError

    try:
        snapshot = look()
    except RayError:
        return Activity()
    running = {
        name: RunningInfo(
            fraction=stage.fraction,
            seconds=stage.seconds,
            where=_machine(stage.owner),
            sweep=stage.sweep,
            workers=stage.need.workers,
            gpus=stage.need.gpus,
        )
        for name, stage in snapshot.running.items()
    }
    return Activity(running, {name: stage.reason for name, stage in snapshot.queued.items()})


class StatusWriter:
    """Writes the documents of one sweep; see :func:`status_written`.

    Args:
        store: Where to.
        plan: Of the sweep.
        at: What it runs on, for people.

    Attributes:
        plan: Of the sweep; written again when it is another one.
        state: How the sweep stands.
        error: What it has ended by.
    """

    def __init__(self, store: ArtifactStore, plan: PlanDocument, at: str) -> None:
        self.state: State = "running"
        self.error = ""
        self.plan = plan
        self._store, self._at = store, at
        self._started = datetime.now(UTC)
        self._look: Callable[[], Activity] = Activity
        self._looking = threading.Lock()
        self._planned: PlanDocument | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep_writing, name="status", daemon=True)

    @contextlib.contextmanager
    def following(self, look: Callable[[], Activity]) -> Iterator[None]:
        """What ``look`` returns is what goes on, while the block runs; called in the writer's thread, and never once it was left:
        what it looks at may be gone then.
        """
        self._look = look
        try:
            yield
        finally:
            ended = self._looking.acquire(timeout=_PATIENCE_SECONDS)
            self._look = Activity
            if ended:
                self._looking.release()

    def start(self) -> None:
        """Write the plan before anything is computed, then go on in the thread."""
        self._write()
        self._thread.start()

    def end(self) -> None:
        """Write once more, with the state that the sweep has ended in; give up on a store that does not answer."""
        self._ended.set()
        self._thread.join(_PATIENCE_SECONDS)

    def _keep_writing(self) -> None:
        while not self._ended.wait(EVERY_SECONDS):
            self._write()
        self._write()

    def _write(self) -> None:
        with contextlib.suppress(OSError):  # the store may be full or away for a moment; that is for the sweep to tell
            status = self._status()  # the look may find a plan that has grown
            if (plan := self.plan) is not self._planned:
                write_plan(self._store, plan)
                self._planned = plan
            write_status(self._store, status)

    def _status(self) -> SweepStatus:
        with self._looking:
            activity = self._look()
        return SweepStatus(
            key=self.plan.key,
            study=self.plan.study,
            host=socket.gethostname(),
            pid=os.getpid(),
            space=process_space(),
            started=self._started,
            seen=datetime.now(UTC),
            state=self.state,
            at=self._at,
            error=self.error,
            running=dict(activity.running),
            queued=dict(activity.queued),
        )


@contextlib.contextmanager
def status_written(store: ArtifactStore, plan: PlanDocument, at: str) -> Iterator[StatusWriter]:
    """Write the documents of a sweep while the block runs. The block sets the state in which it has ended; an exception that leaves
    it says it by itself.
    """
    writer = StatusWriter(store, plan, at)
    writer.start()
    try:
        yield writer
    except BaseException as error:
        writer.state = "stopped" if isinstance(error, KeyboardInterrupt) else "failed"
        writer.error = str(error) if isinstance(error, UserError) else type(error).__name__
        raise
    finally:
        if writer.state == "running":
            writer.state = "failed"
        writer.end()


def _machine(owner: str) -> str:
    """The machine of a lease's owner, which calls itself ``host-process-thread``."""
    return owner.rsplit("-", 2)[0]
