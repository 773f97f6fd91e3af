"""What a launch asks of Kubernetes: how its job is called, what it runs, and what is wrong with the command. Knows no cluster."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass

from orchestrator.checks import Options
from orchestrator.submission.request import Request, password_faults

STORE, RESULTS, CORPORA = "/store", "/results", "/corpora"
"""Where the pods of deploy/kubernetes have their volumes."""
_NAME = 47  # of a RayJob: KubeRay makes names of pods and services by appending to it


@dataclass(frozen=True)
class Order:
    """How a sweep is to be launched; see ``python -m orchestrator.launch --help``."""

    overlay: str = "laptop"
    namespace: str | None = None
    image: str | None = None
    context: str | None = None
    replicas: int | None = None
    detach: bool = False
    stop: bool = False
    print_only: bool = False

    def ways(self) -> list[str]:
        """The options that lead the same command to the same job."""
        given = {"overlay": self.overlay, "namespace": self.namespace, "image": self.image, "context": self.context}
        return [f"--{name}={value}" for name, value in given.items() if value is not None]


def job_name(study: str, request: Request) -> str:
    """Name of the RayJob, which the same command has on every machine: DNS-1035, at most 47 characters."""
    digest = request.job(study).rpartition("-")[2]
    readable = re.sub(r"[^a-z0-9]+", "-", study.lower())[: _NAME - len(digest) - 1].strip("-")
    return f"{readable}-{digest}"


def entrypoint(request: Request) -> str:
    """What the head runs."""
    study, *arguments = request.arguments
    given = {argument.partition("=")[0] for argument in arguments}
    defaults = (("--store", STORE), ("--results", RESULTS))
    places = [word for option, place in defaults if option not in given for word in (option, place)]
    return shlex.join(["python", "-m", "orchestrator.sweep", study, "--address", "auto", *places, *arguments])


def command(request: Request, order: Order, *options: str) -> str:
    """The command that launches, for people to copy."""
    return shlex.join(["python", "-m", "orchestrator.launch", *request.arguments, *order.ways(), *options])


def order_faults(options: Options, request: Request, order: Order) -> list[str]:
    """What is wrong with the command, as far as it is about where the sweep runs."""
    faults = []
    for option, path in request.relative.items():
        place = {"--corpora": f"{CORPORA}/{path.name}"}.get(option, {"--store": STORE, "--results": RESULTS}.get(option))
        faults.append(
            f"{option} {path.name}: the pods see no file of this machine; give an absolute path as the pods see it, such as {place}"
            f"{' or s3://...' * (option == '--store')}"
        )
    if options.local:
        faults.append("--local runs in this process and not on a cluster; leave it out")
    if options.address is not None:
        faults.append(
            f"--address {options.address}: a launched sweep gets a Ray cluster of its own; leave it out, or use orchestrator.submit"
        )
    for name in ("detach", "print_only"):
        if order.stop and getattr(order, name):
            faults.append(f"--stop ends the job and --{name.replace('print_only', 'dry-run')} does not; give one of them")
    if order.namespace is not None and not re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", order.namespace):
        faults.append(f"--namespace {order.namespace}: a namespace has small letters, digits and hyphens, at most 63")
    if order.image is not None and not _has_version(order.image):
        faults.append(f"--image {order.image}: give a tag other than latest, or a digest: name:tag, name@sha256:...")
    return faults + password_faults(request.arguments)


def _has_version(image: str) -> bool:
    """Whether an image is always the same one, by a digest or by a tag other than latest."""
    matched = re.fullmatch(r"[^@:/][^@]*?(?::([^:/@]+))?(@sha256:.+)?", image)
    return matched is not None and (matched[2] is not None or matched[1] not in (None, "latest"))
