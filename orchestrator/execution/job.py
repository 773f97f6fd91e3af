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
from orchestrator.execution.setting import Setting
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
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    config: dict[str, Any]
    setting: Setting

    @classmethod
    def of(cls, stage: Stage, setting: Setting) -> StageJob:
        """The job that runs ``stage``."""
        return cls(config=to_config(stage), setting=setting)

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


class StageFailed(Exception):
    """A stage raised an exception. If the store remembers it (``failure``), running it again would raise it again."""


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
        StopRequested: The sweep is being stopped; the checkpoint is written.
        StageFailed: The stage raised. The store remembers what would happen again; what may pass (a full disk, a GPU's memory
            that a neighbour took, a peer that was killed) is for the caller to try again.
    """
    import torch

    from trainables.numerics import keep_freed_memory

    keep_freed_memory()
    torch.set_num_threads(job.setting.threads)
    store, stage, name = ArtifactStore(job.setting.store), job.stage(), job.fingerprint
    if store.is_done(name):
        return
    with store.scratch(name) as directory:
        clock = time.perf_counter(), time.process_time()
        try:
            job.check_code()
            context = WorkerContext(job, store, reporter, parts, directory, rank=rank, world_size=world_size, device=device)
            stage.run(context)
            if rank == 0:
                wall, cpu = time.perf_counter() - clock[0], time.process_time() - clock[1]
                _write_identity(job, stage, directory, context, describe_run(job, stage, device, world_size, wall, cpu))
                store.publish(name, directory)
        except StopRequested:
            raise
        except Exception as error:
            story = str(error) if isinstance(error, UserError) else traceback.format_exc()
            if _would_happen_again(error, world_size):
                store.mark_failed(name, story)
            raise StageFailed(story) from error


def _would_happen_again(error: Exception, world_size: int) -> bool:
    """Whether a second attempt is pointless. With several workers any exception may be the echo of a peer's death."""
    import torch

    if isinstance(error, UserError):
        return True
    return world_size == 1 and not isinstance(error, OSError | torch.OutOfMemoryError)


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
