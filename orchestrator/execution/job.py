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
from orchestrator.execution.context import Point, WorkerContext
from orchestrator.provenance import describe_run
from trainables.corpora.corpus import CorpusSource
from trainables.errors import UserError
from trainables.identity import fingerprint, identity_of
from trainables.stage import Stage, StopRequested, from_config

if TYPE_CHECKING:
    import torch


class StageJob(BaseModel):
    """A stage with everything a worker needs to run it.

    Attributes:
        config: The stage (:func:`trainables.stage.to_config`).
        corpora: The corpus of every role in the stage's chain.
        store: Root of the artifact store.
        code: Version of the code that planned the job, for the provenance.
        threads: CPU threads of each worker.
        sweep: Key of the sweep that runs it.
        checkpoint_seconds: Time between checkpoints.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    config: dict[str, Any]
    corpora: dict[str, CorpusSource]
    store: str
    code: str
    threads: int = 1
    sweep: str = ""
    checkpoint_seconds: float = 30.0

    def stage(self) -> Stage:
        """The stage itself."""
        return from_config(self.config)

    @property
    def digests(self) -> dict[str, str]:
        """Digest of the corpus of every role."""
        return {role: corpus.digest for role, corpus in self.corpora.items()}

    @property
    def fingerprint(self) -> str:
        """The stage's identity."""
        return fingerprint(self.stage(), self.digests)


class Reporter(Protocol):
    """What a running stage tells the sweep."""

    def points(self, fingerprint: str, points: list[Point]) -> None:
        """New points of the stage's curves."""

    def progress(self, fingerprint: str, fraction: float) -> bool:
        """Fraction done; answers whether the sweep is being stopped."""


class StageFailed(Exception):
    """A stage raised an exception: running it again would raise it again."""


def run_job(job: StageJob, reporter: Reporter, *, rank: int, world_size: int, device: torch.device) -> None:
    """Run one worker's share of a stage; rank 0 publishes the result.

    Raises:
        StopRequested: The sweep is being stopped; the checkpoint is written.
        StageFailed: The stage raised; the error is remembered in the store.
    """
    import torch

    from trainables.numerics import keep_freed_memory

    keep_freed_memory()
    torch.set_num_threads(job.threads)
    store, stage, name = ArtifactStore(job.store), job.stage(), job.fingerprint
    if store.is_done(name):
        return
    with store.scratch(name) as directory:
        context = WorkerContext(job, store, reporter, directory, rank=rank, world_size=world_size, device=device)
        clock = time.perf_counter(), time.process_time()
        try:
            stage.run(context)
        except StopRequested:
            raise
        except Exception as error:
            story = str(error) if isinstance(error, UserError) else traceback.format_exc()
            store.mark_failed(name, story)
            raise StageFailed(story) from error
        if rank == 0:
            wall, cpu = time.perf_counter() - clock[0], time.process_time() - clock[1]
            _write_identity(job, stage, directory, context, describe_run(job, device, world_size, wall, cpu))
            store.publish(name, directory)


def _write_identity(job: StageJob, stage: Stage, directory: Path, context: WorkerContext, provenance: dict[str, Any]) -> None:
    """Write what was hashed, what rebuilds the stage, where the result comes from, and its curves."""
    files = {
        "identity.json": identity_of(stage, job.digests),
        "config.json": job.config,
        "provenance.json": provenance,
        "history.json": context.history,
    }
    for name, content in files.items():
        (directory / name).write_text(json.dumps(content, indent=1, sort_keys=True))
