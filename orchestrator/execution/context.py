"""The context that a stage sees, in every kind of process."""

from __future__ import annotations

import hashlib
import io
import math
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.artifacts import ArtifactStore
from orchestrator.execution.failures import Diverged
from orchestrator.provenance import stage_code
from orchestrator.records import Point
from trainables.stage import Stage, StopRequested

if TYPE_CHECKING:
    import torch

    from orchestrator.execution.job import Reporter, StageJob
    from orchestrator.execution.parts import Parts
    from trainables.corpora.corpus import CorpusSource

_DIGEST_BYTES = 16
_PROGRESS_SECONDS = 0.5  # telling the sweep more often would cost more than it shows


class WorkerContext:
    """Implements :class:`trainables.stage.Context` on top of the store and a reporter.

    The curves so far are part of every checkpoint, with their times, so that a resumed stage neither loses nor doubles a point.
    """

    def __init__(
        self,
        job: StageJob,
        store: ArtifactStore,
        reporter: Reporter,
        parts: Parts,
        directory: Path,
        *,
        rank: int,
        world_size: int,
        device: torch.device,
    ) -> None:
        self.rank, self.world_size, self.device, self.directory = rank, world_size, device, directory
        self.history: list[Point] = []
        self._job, self._store, self._reporter, self._parts = job, store, reporter, parts
        self._fingerprint = job.fingerprint
        self._code = stage_code(type(job.stage()))
        self._stopping = False
        self._told = self._saved = time.monotonic()

    def result(self, stage: Stage) -> Path:
        """Directory of an upstream stage's result, after its identity was compared."""
        return result_of(stage, self._job, self._store)

    def begun(self, stage: Stage) -> Path | None:
        """Directory of the result to go on from, unless it was computed by other code than this stage is."""
        name, path = self._job.setting.fingerprint(stage), self.result(stage)
        if self._store.read_json(name, "provenance.json")["code"] != self._code:
            return None
        self.history = [tuple(point) for point in self._store.read_json(name, "history.json")]
        return path

    def corpus(self, role: str) -> CorpusSource:
        """The corpus of this role."""
        return self._job.setting.corpora[role]

    def pretrained(self, name: str) -> Path:
        """Where this machine has the weights, after they were compared with those of the plan."""
        return self._job.setting.weights[name].directory()

    def report(self, metrics: Mapping[str, float], step: int) -> None:
        """Append to the curves and pass them on (rank 0).

        Raises:
            Diverged: The loss is no finite number, so all that follows would be none.
        """
        if self.rank != 0:
            return
        if not math.isfinite(loss := float(metrics.get("loss", 0.0))):
            raise Diverged(f"the loss is not finite: it is {loss} at step {step} of its curve")
        now = int(time.time() * 1000)
        points = [(name, float(value), step, now) for name, value in metrics.items()]
        self.history += points
        self._reporter.points(self._fingerprint, points)

    def tick(self, fraction: float) -> None:
        """Tell the sweep, at most twice a second; learn whether it is being stopped.

        Raises:
            StopRequested: The stage went on although it could have saved a checkpoint since it was told to stop, so it has none.
        """
        if self.rank != 0:
            return
        if self._stopping:
            raise StopRequested
        self._look(fraction)

    def _look(self, fraction: float) -> bool:
        """Tell the sweep, at most twice a second; whether it is being stopped."""
        if (now := time.monotonic()) - self._told >= _PROGRESS_SECONDS and not self._stopping:
            self._told = now
            os.utime(self.directory)  # a sign of life for whoever sweeps up what dead stages left
            self._stopping = self._reporter.progress(self._fingerprint, fraction)
        return self._stopping

    def checkpoint_due(self) -> bool:
        """Whether rank 0 should save now."""
        return self.rank == 0 and (self._stopping or time.monotonic() - self._saved >= self._job.setting.checkpoint_seconds)

    def save_checkpoint(self, state: dict[str, Any]) -> None:
        """Replace the newest checkpoint, all or nothing."""
        import torch

        if self.rank != 0:
            return
        buffer = io.BytesIO()
        torch.save({"state": state, "history": self.history, "code": self._code}, buffer)
        self._store.save_checkpoint(self._fingerprint, _digest(buffer.getvalue()) + buffer.getvalue())
        self._saved = time.monotonic()
        if self._stopping:
            raise StopRequested

    def load_checkpoint(self) -> dict[str, Any] | None:
        """The newest checkpoint; every rank reads the same one. One that is damaged or of other code counts as none."""
        import torch

        content = self._store.load_checkpoint(self._fingerprint)
        if content is None or _digest(content[_DIGEST_BYTES:]) != content[:_DIGEST_BYTES]:
            return None
        saved = torch.load(io.BytesIO(content[_DIGEST_BYTES:]), map_location="cpu", weights_only=True)
        if saved["code"] != self._code:
            return None
        self.history = [tuple(point) for point in saved["history"]]
        return saved["state"]

    def parts(self, work: Sequence[Any]) -> Iterator[Path]:
        """What the parts of the work have made, in order."""
        return self._parts.finish(self._job, work, self._look, self.tick)


def result_of(stage: Stage, job: StageJob, store: ArtifactStore) -> Path:
    """Directory of a finished result that the job reads, after its identity was compared."""
    name = job.setting.fingerprint(stage)
    path = store.path(name)
    store.check_identity(name, job.setting.identity(stage))
    return path


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=_DIGEST_BYTES).digest()
