"""From command to RayJob: check, render, print or apply, follow, detach, stop."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

from rich.console import Console

from orchestrator.checks import Options, question_of
from orchestrator.conductor import COMPLETE, INTERRUPTED
from orchestrator.deployment.addresses import dashboard_way, mlflow_ways
from orchestrator.deployment.cluster import cluster_faults
from orchestrator.deployment.following import ENDED, Follower, exit_code, has_ended, has_succeeded, status_of
from orchestrator.deployment.kubectl import Kubectl, Missing, Taken, in_namespace
from orchestrator.deployment.order import Order, command, order_faults
from orchestrator.deployment.rendering import (
    COMMAND,
    Rendered,
    head_container,
    mount_faults,
    render_overlay,
    render_sweep,
)
from orchestrator.deployment.rules import rule_faults
from orchestrator.deployment.workers import capacity_faults, replica_numbers
from orchestrator.submission.request import Request
from orchestrator.submitting import command_faults
from search_spaces.scale import find_scale
from trainables.errors import Faults, UserError

_GONE_SECONDS = 600
"""How long the pods of a deleted job may take to end: longer than a head is given to stop its sweep."""
_MANAGER = "speech-orchestrator"
_COLUMNS = f"NAME:.metadata.name,STATE:.status.jobDeploymentStatus,COMMAND:.metadata.annotations.{COMMAND}"


def launch(options: Options, request: Request, order: Order, console: Console) -> int:
    """Have a Kubernetes cluster run the sweep, or follow it if it does so already; returns the sweep's exit code.

    Control-C while following detaches: the job goes on.

    Raises:
        UserError: Anything that the user can mend: everything that can be told before anything is changed, together.
    """
    kubectl, faults = Kubectl(order.context), Faults("the launch")
    _add(faults, order_faults(options, request, order) + command_faults(options))
    rendered = None
    try:
        template = render_overlay(kubectl, order.overlay)
        if not faults.messages:
            rendered = _rendered(kubectl, template, options, request, order, faults)
        if not order.print_only:
            _add(faults, cluster_faults(kubectl, rendered or template, order))
    except UserError as error:
        _add(faults, error.messages)
    faults.raise_if_any()
    if order.print_only:
        sys.stdout.write(rendered.text)
        return COMPLETE
    return _Launcher(kubectl, rendered, request, order, console).run()


def _rendered(kubectl: Kubectl, template: Rendered, options: Options, request: Request, order: Order, faults: Faults) -> Rendered:
    """The sweep's objects, checked by every rule that needs no cluster."""
    kinds = list(set(question_of(options).kinds(find_scale(options.scale))))
    numbers = replica_numbers(template.job, options.request, kinds, order.replicas)
    _add(faults, capacity_faults(template.job, options.request, kinds, numbers) + mount_faults(template.job, request))
    rendered = render_sweep(kubectl, template, request, order, numbers)
    _add(faults, [fault for each in rendered.documents for fault in rule_faults(each)])
    return rendered


def _add(faults: Faults, messages: list[str] | tuple[str, ...]) -> None:
    for message in messages:
        faults.add(message)


@dataclass(frozen=True)
class _Launcher:
    """One command's way to its RayJob."""

    kubectl: Kubectl
    rendered: Rendered
    request: Request
    order: Order
    console: Console

    @property
    def name(self) -> str:
        return self.rendered.job["metadata"]["name"]

    @property
    def where(self) -> list[str]:
        return in_namespace(self.rendered.namespace)

    def run(self) -> int:
        follower = Follower(self.kubectl, self.rendered.namespace, self.name, self._write, self._tell, dashboard_way)
        found = self._find(follower)
        if self.order.stop:
            if not self._stop(follower, found):
                return COMPLETE
        elif found is not None and has_succeeded(found):
            return self._tell_done(found)
        elif found is None or has_ended(found):
            self._begin(found)
        else:
            self._tell_running(found)
        if self.order.detach:
            self._tell_ways()
            return COMPLETE
        return self._follow(follower)

    def _find(self, follower: Follower) -> dict[str, Any] | None:
        """The RayJob of this command; None if there is none, after waiting for one that is being deleted."""
        try:
            found = follower.job()
        except Missing:
            return None
        if "deletionTimestamp" not in found["metadata"]:
            return found
        self._tell(f"{self.name} is being deleted; waiting until its pods are gone.")
        self._delete()
        return None

    def _begin(self, ended: dict[str, Any] | None) -> None:
        """Apply what the sweep needs, and make its RayJob anew."""
        job, others = self.rendered.split()
        self._apply(others)
        if ended is not None:
            reason = status_of(ended, "message") or status_of(ended, "jobStatus") or status_of(ended, "jobDeploymentStatus")
            self._tell(f"{self.name} ended before: {reason.splitlines()[0]}. It begins again, from the results that are stored.")
            self._delete()
        try:
            self.kubectl.run("create", "-f", "-", text=job)
            self._tell(f"Launched {self.name}{self._place()}.")
        except Taken:
            self._tell(f"Somebody else just launched {self.name}{self._place()}.")
        self._tell_mlflow()

    def _apply(self, text: str) -> None:
        """Make what the overlay has beside the RayJob, unless all of it is there: then it is left to those who keep it.

        A launch must not change the MLflow server under other sweeps because somebody's checkout is older, and needs no rights to.
        """
        if text.strip() and self.kubectl.answer("get", "-f", "-", "--output=name", text=text)[0]:
            self.kubectl.run("apply", "--server-side", f"--field-manager={_MANAGER}", "-f", "-", text=text)

    def _delete(self) -> None:
        """Delete the RayJob, and wait until its pods are gone: two heads would write to one store."""
        wait = ("--ignore-not-found", "--cascade=foreground", "--wait=true", f"--timeout={_GONE_SECONDS}s")
        self.kubectl.run("delete", "rayjob", self.name, *self.where, *wait)

    def _stop(self, follower: Follower, found: dict[str, Any] | None) -> bool:
        """Have the job stopped; returns whether there is an end to be followed."""
        if found is None or has_ended(found):
            raise UserError(f"no job of this very command runs{self._place()}; of those launched there, these run:{self._others()}")
        head = follower.head_pod(found) if status_of(found, "jobDeploymentStatus") == "Running" else None
        if head is None:
            self._delete()
            self._tell(f"{self.name} had not begun; it is deleted.")
            return False
        self._tell(f"Stopping {self.name}{self._place()}; running stages save checkpoints first.")
        stop = ("ray", "job", "stop", "--no-wait", "--address=http://127.0.0.1:8265", status_of(found, "jobId"))
        self.kubectl.run("exec", head, *self.where, f"--container={head_container(self.rendered.job)['name']}", "--", *stop)
        return True

    def _others(self) -> str:
        out = self.kubectl.run("get", "rayjobs", *self.where, "--no-headers", f"--output=custom-columns={_COLUMNS}")
        rows = [line.split(None, 2) for line in out.splitlines() if line.strip()]
        return "".join(f"\n  {name} ({state}): {line}" for name, state, line in rows if state not in ENDED) or " none"

    def _follow(self, follower: Follower) -> int:
        try:
            ended = follower.follow()
        except KeyboardInterrupt:
            self._tell(f"Detached from {self.name}.")
            self._tell_ways()
            return INTERRUPTED
        if not has_succeeded(ended):
            for entry in ("reason", "message"):
                if text := status_of(ended, entry):
                    self._tell(f"{self.name}: {text.splitlines()[0]}")
        return exit_code(ended)

    def _tell_done(self, found: dict[str, Any]) -> int:
        since = status_of(found, "endTime")
        self._tell(f"{self.name} was completed{self._place()}{f' at {since}' if since else ''}. Its log, with the table:")
        self._tell(f"  {self.kubectl.command('logs', f'job/{self.name}', *self.where)}")
        self._tell("To run it again (stored results are not computed again), delete it first:")
        self._tell(f"  {self.kubectl.command('delete', 'rayjob', self.name, *self.where)}")
        self._tell_mlflow()
        return COMPLETE

    def _tell_running(self, found: dict[str, Any]) -> None:
        since = found["metadata"].get("creationTimestamp", "")
        self._tell(f"This command runs already{self._place()}: {self.name}, since {since}.")
        runs, asked = head_container(found)["image"], head_container(self.rendered.job)["image"]
        if runs != asked:
            self._tell(f"It runs {runs}. To run {asked}, stop it first:\n  {self._command('--stop')}")
        self._tell_mlflow()

    def _tell_mlflow(self) -> None:
        for way in mlflow_ways(self.kubectl, self.rendered):
            self._tell(way)

    def _tell_ways(self) -> None:
        goes = "It is still stopping." if self.order.stop else "The job goes on."
        self._tell(f"{goes} To follow it:\n  {self._command()}\nTo stop it:\n  {self._command('--stop')}")

    def _command(self, *options: str) -> str:
        return command(self.request, self.order, *options)

    def _place(self) -> str:
        return f" in namespace {self.rendered.namespace}" if self.rendered.namespace else ""

    def _write(self, text: str) -> None:
        self.console.out(text, end="", highlight=False)

    def _tell(self, text: str) -> None:
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)
