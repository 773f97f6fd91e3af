"""Where a result comes from: code, packages, machine, time. Written beside every result, compared by tables."""

from __future__ import annotations

import hashlib
import importlib.metadata
import platform
import subprocess
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import trainables

if TYPE_CHECKING:
    import torch

    from orchestrator.execution.job import StageJob

_PACKAGES = ("torch", "numpy", "ray", "mlflow", "scikit-learn", "librosa")


@cache
def code_version() -> str:
    """Which code computes the numbers: a digest of every source file of ``trainables``, 12 hexadecimal digits.

    Not a git commit: results made before and after an edit of the README count as made by the same code, two states of an uncommitted
    file do not, and an installed package needs no checkout.
    """
    digest = hashlib.sha256()
    for file in sorted(Path(trainables.__file__).parent.rglob("*.py")):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:12]


@cache
def git_commit() -> str:
    """Commit of the checkout that the program runs from, with ``-dirty`` if files differ from it; 'none' outside a checkout."""
    root = Path(__file__).resolve().parent.parent

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(root), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()

    try:
        return git("rev-parse", "--short=12", "HEAD") + ("-dirty" if git("status", "--porcelain") else "")
    except (OSError, subprocess.SubprocessError):
        return "none"


def describe_run(job: StageJob, device: torch.device, world_size: int, wall: float, cpu: float) -> dict[str, Any]:
    """What ``provenance.json`` holds.

    Args:
        job: What was run.
        device: Where rank 0 computed.
        world_size: Number of workers.
        wall: Seconds from start to end (of the last attempt, if the stage was interrupted).
        cpu: CPU seconds of rank 0.
    """
    import torch

    on_gpu = device.type == "cuda"
    return {
        "code": job.code,
        "commit": git_commit(),
        "packages": {name: importlib.metadata.version(name) for name in _PACKAGES if _installed(name)},
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "device": torch.cuda.get_device_name(device) if on_gpu else "cpu",
        "workers": world_size,
        "threads": job.threads,
        "corpora": {role: {"name": corpus.name, "digest": corpus.digest} for role, corpus in sorted(job.corpora.items())},
        "wall_seconds": round(wall, 3),
        "cpu_seconds": round(cpu, 3),
        "gpu_seconds": round(wall * world_size, 3) if on_gpu else 0.0,
    }


def _installed(name: str) -> bool:
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True
