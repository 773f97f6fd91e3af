"""A stage with planted failures, and one that lasts as long as one likes; what they met is noted beside the store."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import ClassVar, Literal

from trainables.errors import UserError
from trainables.stage import Context, Stage

Planted = Literal["fault", "diverged", "error", "GPU memory", "memory", "passing", "killed"]


class Failing(Stage):
    """Fails as it is told to, at its first ``times`` attempts; counts from its checkpoint on.

    Attributes:
        notes: Folder in which every attempt leaves a file with what it was given.
        planted: How it fails.
        times: How often.
    """

    label: ClassVar[str] = "failing"
    accelerated: ClassVar[bool] = False
    notes: str
    planted: Planted
    times: int = 1
    batch_size: int = 64
    precision: str = "float32"
    learning_rate: float = 0.1

    def run(self, context: Context) -> None:
        import torch

        if context.rank == context.world_size - 1:
            attempts = len(list(Path(self.notes).iterdir()))
            (Path(self.notes) / f"{attempts}.json").write_text(json.dumps(_given()))
            if attempts < self.times:
                self._fail(context)
        if context.world_size > 1:  # as data-parallel training does at every step
            torch.distributed.barrier()
        (context.directory / "metrics.json").write_text(json.dumps({"f1_macro": 0.5}))

    def _fail(self, context: Context) -> None:
        import torch

        match self.planted:
            case "fault":
                raise UserError("p07.wav: 3 samples, expected as many as its header says; fetch it again")
            case "diverged":
                context.report({"loss": float("nan")}, 3)
            case "error":
                raise ZeroDivisionError("deliberate")
            case "GPU memory":
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")
            case "memory":
                raise MemoryError("deliberate")
            case "passing":
                raise OSError(28, "No space left on device")
            case "killed":
                os.kill(os.getpid(), signal.SIGKILL)


class FailingTogether(Failing):
    """The same by several workers, the last of which fails."""

    data_parallel: ClassVar[bool] = True


class Slow(Stage):
    """Lasts for so many steps of a tenth of a second, or until a file appears."""

    label: ClassVar[str] = "slow"
    accelerated: ClassVar[bool] = False
    notes: str
    steps: int = 600

    def run(self, context: Context) -> None:
        saved = context.load_checkpoint()
        first = saved["step"] if saved else 0
        (Path(self.notes) / f"from-{first}").touch()
        for step in range(first, self.steps):
            if (Path(self.notes) / "enough").exists():
                break
            time.sleep(0.1)
            context.tick((step + 1) / self.steps)
            if context.checkpoint_due():
                context.save_checkpoint({"step": step + 1})
        (context.directory / "metrics.json").write_text(json.dumps({"f1_macro": 0.5, "first": first}))


def _given() -> dict[str, float]:
    """What Ray has reserved for this process."""
    try:
        import ray

        return ray.get_runtime_context().get_assigned_resources() if ray.is_initialized() else {}
    except RuntimeError:
        return {}


def known() -> None:
    """Nothing more than that a worker has imported this module, so that it can rebuild its stages."""
