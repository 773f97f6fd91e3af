"""One stage to run, as data that travels to any process, and running it there.

Ray workers, the local executor and the tests all end up in :func:`run_job`; only the :class:`Reporter` differs.
"""

from __future__ import annotations

import json
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from pydantic import BaseModel, ConfigDict

from orchestrator.artifacts import ArtifactStore
from orchestrator.execution.context import WorkerContext
from orchestrator.execution.failures import StageFailed, kind_of
from orchestrator.execution.setting import Setting
from orchestrator.execution.store_lease import LeaseWatch
from orchestrator.files import StoreRefused
from orchestrator.provenance import code_version, describe_run
from orchestrator.records import Point
from trainables.errors import UserError
from trainables.stage import Stage, StopRequested, from_config, to_config

if TYPE_CHECKING:
    import torch

    from orchestrator.execution.parts import Parts


class StageJob(BaseModel):
    """A stage with everything a worker needs to run it.

    Attributes:
        config: The stage (:func:`trainables.stage.to_config`).
        setting: What it has in common with all jobs of its sweep.
        lease: Id of the lease in the store that it is computed under; empty without one.
        gpus: That each worker was given, if it computes on one; below 1 it shares one with others.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    config: dict[str, Any]
    setting: Setting
    lease: str = ""
    gpus: float = 1.0

    @classmethod
    def of(cls, stage: Stage, setting: Setting, lease: str = "") -> StageJob:
        """The job that runs ``stage``."""
        return cls(config=to_config(stage), setting=setting, lease=lease)

    def stage(self) -> Stage:
        """The stage itself."""
        return from_config(self.config)

    @property
    def fingerprint(self) -> str:
        """The stage's identity."""
        return self.setting.fingerprint(self.stage())

    def check_code(self) -> None:
        """Refuse to compute with other code than the sweep was planned with: the result would bear a false name.

        Raises:
            UserError: The code here is another.
        """
        if self.setting.code != (here := code_version()):
            raise UserError(
                f"this worker's code is {here}, the sweep was planned with {self.setting.code}; install the same version on every "
                f"node, and do not edit trainables/ while a sweep runs"
            )


class Reporter(Protocol):
    """What a running stage tells the sweep."""

    def points(self, fingerprint: str, points: list[Point]) -> None:
        """New points of the stage's curves."""

    def progress(self, fingerprint: str, fraction: float) -> bool:
        """Fraction done; answers whether the sweep is being stopped."""


class _Leased:
    """A reporter whose stage is stopped as well when its lease was taken over."""

    def __init__(self, reporter: Reporter, watch: LeaseWatch) -> None:
        self._reporter, self._watch = reporter, watch
        self.points = reporter.points

    def progress(self, fingerprint: str, fraction: float) -> bool:
        """As the other, and whether the lease was taken over."""
        stop = self._reporter.progress(fingerprint, fraction)
        return self._watch.lost() or stop


def run_job(job: StageJob, reporter: Reporter, parts: Parts, *, rank: int, world_size: int, device: torch.device) -> None:
    """Run one worker's share of a stage; rank 0 publishes the result.

    Args:
        job: The stage.
        reporter: Told how the stage gets on.
        parts: Where the parts run that a stage of one process hands out.
        rank: This process among the stage's workers.
        world_size: Number of workers.
        device: Where to compute.

    Raises:
        StopRequested: The sweep is being stopped, or another process has taken the stage over; the checkpoint is written.
        StageFailed: The stage raised, with the kind of failure: what is done about it is the caller's to decide
            (:func:`orchestrator.execution.failures.persevere`).
    """
    import torch

    from trainables.numerics import keep_freed_memory

    keep_freed_memory()
    torch.set_num_threads(job.setting.threads)
    store, name = ArtifactStore(job.setting.store), job.fingerprint
    try:
        if not store.is_done(name):
            watched = _Leased(reporter, LeaseWatch(store, name, job.lease))
            with store.scratch(name) as directory:
                context = WorkerContext(job, store, watched, parts, directory, rank=rank, world_size=world_size, device=device)
                _run(job, store, context)
    except StopRequested:
        raise
    except Exception as error:
        in_words = isinstance(error, UserError | StoreRefused)
        raise StageFailed(str(error) if in_words else traceback.format_exc(), kind_of(error, world_size)) from error


def _run(job: StageJob, store: ArtifactStore, context: WorkerContext) -> None:
    """Run this worker's share of the stage and, on rank 0, publish the result."""
    stage, clock = job.stage(), (time.perf_counter(), time.process_time())
    job.check_code()
    stage.run(context)
    if context.rank == 0:
        wall, cpu = time.perf_counter() - clock[0], time.process_time() - clock[1]
        provenance = describe_run(job, stage, context.device, context.world_size, wall, cpu)
        _write_identity(job, stage, context.directory, context, provenance)
        store.publish(job.fingerprint, context.directory)


def _write_identity(job: StageJob, stage: Stage, directory: Path, context: WorkerContext, provenance: dict[str, Any]) -> None:
    """Write what was hashed, what rebuilds the stage, where the result comes from, and its curves."""
    files = {
        "identity.json": job.setting.identity(stage),
        "config.json": job.config,
        "provenance.json": provenance,
        "history.json": context.history,
    }
    for name, content in files.items():
        (directory / name).write_text(json.dumps(content, indent=1, sort_keys=True))
