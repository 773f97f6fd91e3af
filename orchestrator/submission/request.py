"""What a submission asks of the cluster, in words that mean the same on every machine. Knows no Ray."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import typer

STOP_SECONDS = 300
"""A job that is asked to stop is killed after this time: running stages save checkpoints, and MLflow is brought up to date."""
_STAY = {"address", "list_studies", "detach", "stop", "image", "overlay", "namespace", "kube_context", "replicas", "print_only"}
"""Options that are about reaching the cluster; the sweep there is not told of them."""
_PATHS = ("corpora", "results", "store")
_FORWARDED = ("MLFLOW_TRACKING_URI", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3")
"""Variables that say where a service is. Those that say who asks are the cluster's own: all of a job's are shown with it."""


@dataclass(frozen=True)
class Submission:
    """How the sweep is to be run as a job; see ``python -m orchestrator.submit --help``."""

    detach: bool = False
    stop: bool = False
    image: bool = False


@dataclass(frozen=True)
class Request:
    """The sweep's command line as the cluster gets it.

    Attributes:
        arguments: Of ``orchestrator.sweep``, without what is the default anyway; paths are absolute.
        relative: The paths that were relative, and thereby this machine's: absolute now, by their option.
    """

    arguments: tuple[str, ...]
    relative: Mapping[str, Path]

    def job(self, study: str) -> str:
        """Name of the job, which the same command has on every machine."""
        return f"{study}-{hashlib.sha256(json.dumps(self.arguments).encode()).hexdigest()[:10]}"

    def command(self, *options: str) -> str:
        """The command that submits it, for people to copy."""
        return shlex.join(["python", "-m", "orchestrator.submit", *self.arguments, *options])

    def entrypoint(self, places: Sequence[str]) -> str:
        """What the cluster's shell runs.

        Args:
            places: What shows that relative paths are the same there (:mod:`orchestrator.submission.places`).
        """
        # The shell becomes the sweep: a signal has one receiver, and the exit code is the sweep's.
        return "exec " + shlex.join(["python", "-m", "orchestrator.submitted", json.dumps(list(places)), *self.arguments])


def read_request(context: typer.Context) -> Request:
    """What the command line asks of the sweep, be it the sweep's or the submission's own."""
    arguments: list[str] = []
    relative: dict[str, Path] = {}
    for parameter in context.command.params:
        name, value = parameter.name, context.params.get(parameter.name)
        if name in _PATHS and value is not None and _is_relative(str(value)):
            relative[parameter.opts[0]] = value = Path(os.path.abspath(value))
        if name in _STAY or value == parameter.default or value in (None, (), []) or value is False:
            continue
        arguments += [str(value)] if parameter.param_type_name == "argument" else _option(parameter.opts[0], value)
    return Request(tuple(arguments), relative)


def _is_relative(path: str) -> bool:
    return path != "demo" and "://" not in path and not os.path.isabs(path)


def _option(name: str, value: Any) -> list[str]:
    if value is True:
        return [name]
    values = value if isinstance(value, list | tuple) else [value]
    return [f"{name}={each.value if isinstance(each, Enum) else each}" for each in values]


def variables() -> dict[str, str]:
    """Environment variables of the job: how long it may take to stop, and which services this machine's user named."""
    found = {name: os.environ[name] for name in _FORWARDED if os.environ.get(name)}
    return {"RAY_JOB_STOP_WAIT_TIME_S": str(STOP_SECONDS)} | found


def secret_faults(request: Request, address: str | None) -> list[str]:
    """Passwords where all who see the cluster's dashboard could read them."""
    return password_faults(
        (*request.arguments, *(f"{name}={value}" for name, value in variables().items()), f"--address={address}")
    )


def password_faults(arguments: Iterable[str]) -> list[str]:
    """Passwords in addresses among arguments ``name=value``."""
    faults = []
    for name, _, value in (each.partition("=") for each in arguments):
        if "://" in value and urlsplit(value).password is not None:
            faults.append(
                f"{name} holds a password, which would be shown with the job; leave it out of the address: "
                f"credentials belong in the environment of the cluster's nodes (those of Ray itself: RAY_AUTH_TOKEN)"
            )
    return faults
