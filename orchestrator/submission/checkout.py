"""What is sent to a cluster on which the project is not installed: this checkout's packages, and what they need."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import re
import shutil
import tomllib
from pathlib import Path
from typing import Any

from orchestrator.provenance import SENT, dirty_files, git_commit
from trainables.errors import UserError

_ROOT = Path(__file__).resolve().parents[2]
_PACKAGES = ("orchestrator", "search_spaces", "trainables")
_NOT_SENT = ("test", "benchmarks")
"""Extras that no sweep needs."""
_INSTALL_SECONDS = 3600
"""Torch and its CUDA libraries are 6 GB; Ray gives up after ten minutes unless told otherwise."""


def pack(folder: Path) -> dict[str, Any]:
    """Copy what a sweep needs into an empty folder.

    Returns:
        The parts of a Ray runtime environment that bring it to every node: ``working_dir``, ``pip``, ``config``.

    Raises:
        UserError: The program does not run from a checkout, so that nothing says which versions it needs.
    """
    pins, project = _ROOT / "deploy" / "constraints.txt", _ROOT / "pyproject.toml"
    if not (pins.is_file() and project.is_file()):
        raise UserError(
            f"{_ROOT} is no checkout of the project: no deploy/constraints.txt says what to install; run this from a checkout, or "
            f"give --image where the project is installed on the cluster's nodes"
        )
    for package in _PACKAGES:
        shutil.copytree(_ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
    (folder / SENT).write_text(json.dumps({"commit": git_commit(), "dirty": dirty_files()}))
    content = constraints(pins.read_text())
    # Ray knows an installation by these words, not by the file's content: other versions must be another name.
    name = f"constraints-{hashlib.sha256(content.encode()).hexdigest()[:10]}.txt"
    (folder / name).write_text(content)
    packages = requirements(tomllib.loads(project.read_text())["project"])
    return {
        "working_dir": str(folder),
        "pip": {"packages": [*packages, f"-c ${{RAY_RUNTIME_ENV_CREATE_WORKING_DIR}}/{name}"], "pip_check": False},
        "config": {"setup_timeout_seconds": _INSTALL_SECONDS},
    }


def constraints(text: str) -> str:
    """The pinned versions without Ray's own: a job runs with the Ray of its cluster."""
    return "".join(line for line in text.splitlines(keepends=True) if not re.match(r"(?i)ray\s*==", line))


def requirements(project: dict[str, Any]) -> list[str]:
    """What the project needs, with those of its extras that are installed here: without them the same command is another one.

    Args:
        project: The table ``[project]`` of pyproject.toml.
    """
    extras = {name: lines for name, lines in project["optional-dependencies"].items() if name not in _NOT_SENT}
    return list(project["dependencies"]) + [line for lines in extras.values() for line in lines if _is_installed(line)]


def _is_installed(requirement: str) -> bool:
    try:
        importlib.metadata.version(re.match(r"[\w.-]+", requirement).group())
    except importlib.metadata.PackageNotFoundError:
        return False
    return True
