"""From command to job: check here, find or send, follow, detach, stop."""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from orchestrator import disk_budget
from orchestrator.checks import Options, per_stage_faults, question_of, search_faults
from orchestrator.conductor import COMPLETE, INTERRUPTED
from orchestrator.execution.resources import request_faults
from orchestrator.provenance import code_version
from orchestrator.sizes import parse_size
from orchestrator.submission.checkout import pack
from orchestrator.submission.places import mark
from orchestrator.submission.request import Request, Submission, secret_faults, variables
from search_spaces.scale import find_scale
from trainables.errors import Faults, UserError
from trainables.protocols import find_protocol

if TYPE_CHECKING:
    from ray.job_submission import JobDetails

    from orchestrator.submission.client import Jobs

_CODE = "code"
"""Entry of a job's metadata: digest of the code that was sent with it."""


def is_jobs_api(address: str | None) -> bool:
    """Whether an address is that of Ray's Jobs API rather than of a cluster to join."""
    return (address or "").startswith(("http://", "https://"))


def submit(options: Options, request: Request, asked: Submission, console: Console) -> int:
    """Have a cluster run the sweep, or follow it if it does so already; returns the sweep's exit code.

    Control-C while following detaches: the job goes on.

    Raises:
        UserError: Anything that the user can mend.
    """
    check_command(options, request, asked)
    from orchestrator.execution.environment import set_environment

    set_environment(options.address or "auto")  # before the first import of Ray
    from orchestrator.submission.client import Jobs

    return _Submitter(Jobs(options.address), options, request, asked, console).run()


def check_command(options: Options, request: Request, asked: Submission) -> None:
    """Check what can be told without the cluster, its corpora and its weights.

    Raises:
        UserError: All faults of the command.
    """
    faults = Faults("the command")
    for message in command_faults(options) + _place_faults(options, request, asked) + secret_faults(request, options.address):
        faults.add(message)
    faults.raise_if_any()


def command_faults(options: Options) -> list[str]:
    """What is wrong with the question and with the resources asked for, as far as it can be told without cluster and corpora."""
    faults, found = [], {}
    lookups = {"question": lambda: question_of(options), "scale": lambda: find_scale(options.scale)}
    if options.protocol is not None:
        lookups["protocol"] = lambda: find_protocol(options.protocol)
    if options.disk_budget is not None:
        lookups["budget"] = lambda: parse_size(disk_budget.OPTION, options.disk_budget)
    for name, look in lookups.items():
        try:
            found[name] = look()
        except UserError as error:
            faults += error.messages
    if {"question", "scale"} <= found.keys():
        question, kinds = found["question"], set(found["question"].kinds(found["scale"]))
        faults += request_faults(options.request, kinds, None) + per_stage_faults(options, question)
        faults += search_faults(options, question)
    return faults


def _place_faults(options: Options, request: Request, asked: Submission) -> list[str]:
    faults = []
    if options.local:
        faults.append("--local runs in this process and not on a cluster; leave it out")
    if asked.stop and asked.detach:
        faults.append("--stop ends the job and --detach begins one; give one of them")
    corpora = request.relative.get("--corpora")
    if corpora is not None and not corpora.is_file():
        faults.append(
            f"--corpora {options.corpora}: {corpora} is no file; give a file that the cluster sees under the same path as this "
            f"machine, or the absolute path of one on the cluster"
        )
    return faults


def find(jobs: Iterable[JobDetails], name: str) -> tuple[JobDetails | None, int]:
    """The job of a command that has not ended, and how often the command was submitted so far.

    Args:
        jobs: All of the cluster.
        name: Of the command. Its first job is called so, later ones have a number: ``name-2``, ``name-3``, ...
    """
    counted = {}
    for job in jobs:
        if matched := re.fullmatch(re.escape(name) + r"(?:-(\d+))?", job.submission_id):
            counted[int(matched[1] or 1)] = job
    running = [job for _, job in sorted(counted.items()) if not job.status.is_terminal()]
    return (running[-1] if running else None), max(counted, default=0)


@dataclass(frozen=True)
class _Submitter:
    """One command's way to its job."""

    jobs: Jobs
    options: Options
    request: Request
    asked: Submission
    console: Console

    def run(self) -> int:
        running, count = find(self.jobs.all(), self.request.job(self.options.study))
        if self.asked.stop:
            return self._stop(running)
        if running is None:
            name = self._send(count)
        else:
            name = running.submission_id
            self._tell_running(running)
        if self.asked.detach:
            self._tell_ways()
            return COMPLETE
        return self._follow(name)

    def _send(self, count: int) -> str:
        """Submit the job under its next number; returns its name. Somebody else may have been faster: then it is his."""
        name = self.request.job(self.options.study) + (f"-{count + 1}" if count else "")
        metadata = {"study": self.options.study} | ({} if self.asked.image else {_CODE: code_version()})
        with tempfile.TemporaryDirectory() as folder:
            environment = {"env_vars": variables()} | ({} if self.asked.image else self._packed(Path(folder)))
            begun = self.jobs.submit(name, self.request.entrypoint(mark(self.request.relative)), environment, metadata)
        self._tell(f"{'Submitted' if begun else 'Somebody else just submitted'} {name} on {self.jobs.address}.")
        return name

    def _packed(self, folder: Path) -> dict[str, Any]:
        """What brings this checkout to the cluster. Raises UserError if the cluster's Ray is not the project's."""
        import ray

        there = self.jobs.ray_version()
        if there.split(".")[:2] != ray.__version__.split(".")[:2]:
            raise UserError(
                f"the cluster runs Ray {there}, and this checkout needs {ray.__version__}; a job cannot change its cluster's Ray: "
                f"start the cluster with that version, or give --image where its nodes have a version of the project of their own"
            )
        return pack(folder)

    def _stop(self, running: JobDetails | None) -> int:
        if running is None:
            others = [job for job in self.jobs.all() if not job.status.is_terminal()]
            listing = "".join(f"\n  {job.submission_id}: {job.entrypoint}" for job in others) or " none"
            raise UserError(
                f"no job of this very command runs on {self.jobs.address}; of those submitted there, these run:{listing}"
            )
        self._tell(f"Stopping {running.submission_id} on {self.jobs.address}; running stages save checkpoints first.")
        self.jobs.stop(running.submission_id)
        return self._follow(running.submission_id)

    def _follow(self, name: str) -> int:
        from orchestrator.submission.following import exit_code, follow

        try:
            details = follow(self.jobs, name, lambda text: self.console.out(text, end="", highlight=False), self._tell)
        except KeyboardInterrupt:
            self._tell(f"Detached from {name}.")
            self._tell_ways()
            return INTERRUPTED
        if details.driver_exit_code is None:
            self._tell(f"{name}: {details.message}")
        if details.error_type == "JOB_SUPERVISOR_ACTOR_START_TIMEOUT":
            self._tell("Installing the packages may have taken too long; give --image where the nodes have the project already.")
        return exit_code(details)

    def _tell_running(self, job: JobDetails) -> None:
        since = time.strftime("%Y-%m-%d %H:%M", time.localtime((job.start_time or 0) / 1000))
        self._tell(f"This command runs already on {self.jobs.address}: {job.submission_id}, since {since}.")
        if not self.asked.image and (job.metadata or {}).get(_CODE, code_version()) != code_version():
            self._tell(
                f"It runs what this checkout held then. To run what it holds now, stop it first:\n  {self._command('--stop')}"
            )

    def _tell_ways(self) -> None:
        goes = "It is still stopping." if self.asked.stop else "The job goes on."
        self._tell(f"{goes} To follow it:\n  {self._command()}\nTo stop it:\n  {self._command('--stop')}")

    def _command(self, *options: str) -> str:
        address = [f"--address={self.options.address}"] if self.options.address else []
        return self.request.command(*address, *["--image"] * self.asked.image, *options)

    def _tell(self, text: str) -> None:
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)
