"""Where a result comes from: code, packages, machine, time. Written beside every result, compared by tables."""

from __future__ import annotations

import ast
import hashlib
import importlib.metadata
import json
import platform
import subprocess
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import trainables

if TYPE_CHECKING:
    import torch

    from orchestrator.execution.job import StageJob
    from trainables.stage import Stage

SENT = "sent.json"
"""Beside packages that were sent to a cluster: ``commit`` and ``dirty`` of the checkout that they are a copy of."""
_PACKAGES = ("torch", "numpy", "ray", "mlflow", "scikit-learn", "librosa")


@cache
def code_version() -> str:
    """Which code is installed here: a digest of every source file of ``trainables``, 12 hexadecimal digits.

    Not a git commit: results made before and after an edit of the README count as made by the same code, two states of an
    uncommitted file do not, and an installed package needs no checkout.
    """
    digest = hashlib.sha256()
    for file in sorted(Path(trainables.__file__).parent.rglob("*.py")):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:12]


@cache
def stage_code(stage: type[Stage]) -> str:
    """Which code computes this kind of stage: a digest of its module and of everything in ``trainables`` that it imports.

    So a table may hold results from before and after an edit of *another* stage, but not of the same one. The twins' own sources do
    not count: their recipe is part of the corpus' digest.
    """
    root = Path(trainables.__file__).parent
    digest = hashlib.sha256()
    for module in sorted(_imported(stage.__module__, root)):
        digest.update(_source(module, root).read_bytes())
    return digest.hexdigest()[:12]


def _imported(module: str, root: Path) -> set[str]:
    """``module`` and all modules of ``trainables`` that it imports, at its top or inside a function, and so on."""
    found, queue = set(), [module]
    while queue:
        name = queue.pop()
        if name in found or name.startswith("trainables.corpora.twins") or not _source(name, root).exists():
            continue
        found.add(name)
        for node in ast.walk(ast.parse(_source(name, root).read_bytes())):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            queue += [name for name in names if name.startswith("trainables.")]
    return found


def _source(module: str, root: Path) -> Path:
    path = root.joinpath(*module.split(".")[1:])
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


@cache
def git_commit() -> str:
    """Commit of the checkout that the program runs from, or was sent from; 'none' elsewhere."""
    return _sent().get("commit") or _git("rev-parse", "--short=12", "HEAD").strip() or "none"


@cache
def dirty_files() -> tuple[str, ...]:
    """Source files of ours that no commit holds as they are now, or were when they were sent; none where there is no checkout.

    ``search_spaces`` is exempt: what a study asks is in the identity of every stage, and a table records its own rows.
    """
    if sent := _sent():
        return tuple(sent["dirty"])
    lines = _git("status", "--porcelain", "--untracked-files=all", "--", "trainables", "orchestrator").splitlines()
    return tuple(sorted(line[3:] for line in lines if line.endswith(".py")))


def _sent() -> dict[str, Any]:
    """What a submission told of its checkout (:mod:`orchestrator.submission.checkout`); nothing where none sent this copy."""
    file = _root() / SENT
    return json.loads(file.read_text()) if file.exists() else {}


def _root() -> Path:
    return Path(__file__).resolve().parent.parent


def _git(*arguments: str) -> str:
    """What git says of the checkout; nothing where there is none."""
    command = ["git", "-C", str(_root()), *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout
    except (OSError, subprocess.SubprocessError):
        return ""


def describe_run(job: StageJob, stage: Stage, device: torch.device, world_size: int, wall: float, cpu: float) -> dict[str, Any]:
    """What ``provenance.json`` holds.

    Args:
        job: What was run.
        stage: The same, rebuilt.
        device: Where rank 0 computed.
        world_size: Number of workers.
        wall: Seconds from start to end (of the last attempt, if the stage was interrupted).
        cpu: CPU seconds of rank 0.
    """
    import torch

    on_gpu = device.type == "cuda"
    return {
        "code": stage_code(type(stage)),
        "commit": git_commit(),
        "dirty": list(dirty_files()),
        "packages": _packages(),
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "device": torch.cuda.get_device_name(device) if on_gpu else "cpu",
        "workers": world_size,
        "threads": job.setting.threads,
        "corpora": {role: {"name": corpus.name, "digest": corpus.digest} for role, corpus in sorted(job.setting.corpora.items())},
        "wall_seconds": round(wall, 3),
        "cpu_seconds": round(cpu, 3),
        "gpus": job.gpus if on_gpu else 0.0,  # of each worker
        "gpu_seconds": round(wall * world_size, 3) if on_gpu else 0.0,  # of devices, as if each worker had had one
    }


@cache
def _packages() -> dict[str, str]:
    """Versions of the packages that are installed of those that matter."""
    found = {}
    for name in _PACKAGES:
        with suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found
