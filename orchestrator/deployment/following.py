"""Following a RayJob to its end: how it stands, what its pods wait for, its log; a lost connection is made again."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from orchestrator.conductor import COMPLETE, INCOMPLETE, INTERRUPTED
from orchestrator.connection import Connection
from orchestrator.deployment.kubectl import Kubectl, Missing, Refused, Unreachable, in_namespace
from trainables.errors import UserError

ENDED = ("Complete", "Failed", "ValidationFailed")
"""States of a RayJob of which nothing more will come."""
_LOOK_SECONDS = 3.0
_USUAL = ("ContainerCreating", "PodInitializing")
_SUBMITTER = "ray-job-submitter"
_SELECTED = "ray.io/cluster={},ray.io/node-type=head"


def status_of(job: Mapping[str, Any], name: str) -> str:
    """One entry of a RayJob's status; empty where the operator has not written it yet."""
    return str((job.get("status") or {}).get(name) or "")


def has_ended(job: Mapping[str, Any]) -> bool:
    """Whether nothing more will come of a RayJob; one that KubeRay tries again has not ended."""
    return status_of(job, "jobDeploymentStatus") in ENDED


def has_succeeded(job: Mapping[str, Any]) -> bool:
    """Whether a RayJob has ended and its table is complete."""
    return has_ended(job) and status_of(job, "jobStatus") == "SUCCEEDED"


def exit_code(job: Mapping[str, Any]) -> int:
    """The sweep's, as far as KubeRay tells it."""
    if has_succeeded(job):
        return COMPLETE
    if status_of(job, "jobStatus") == "STOPPED":
        return INTERRUPTED
    told = re.search(r"failed with exit code (\d+)", status_of(job, "message"))
    return int(told[1]) if told and int(told[1]) else INCOMPLETE


def waiting_reasons(pods: list[Mapping[str, Any]]) -> list[str]:
    """Why pods do not run, each reason once with the number of pods."""
    reasons: dict[str, int] = {}
    for pod in pods:
        status = pod.get("status", {})
        waits = [each.get("state", {}).get("waiting") or {} for each in _containers(status)]
        found = [f"{each['reason']}: {each.get('message', '')}" for each in waits if each.get("reason") not in (None, *_USUAL)]
        for each in status.get("conditions", ()):
            if each["type"] == "PodScheduled" and each["status"] == "False":
                found.append(f"{each.get('reason', 'not scheduled')}: {each.get('message', '')}")
        for reason in dict.fromkeys(found):
            reasons[reason.rstrip(": ")] = reasons.get(reason.rstrip(": "), 0) + 1
    return [f"{count} pod{'s wait' if count > 1 else ' waits'}: {reason}" for reason, count in reasons.items()]


def _containers(status: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())]


@dataclass
class Follower:
    """One RayJob being followed.

    Attributes:
        kubectl: Of the user.
        namespace: Of the job.
        name: Of the job.
        write: Gets the lines of its log.
        tell: Gets what there is to say about the job and the connection.
        way: Makes of a job what is to be told as soon as it has a Ray cluster.
        pause: Seconds between two looks.
    """

    kubectl: Kubectl
    namespace: str | None
    name: str
    write: Callable[[str], None]
    tell: Callable[[str], None]
    way: Callable[[Kubectl, Mapping[str, Any]], str]
    pause: float = field(default_factory=lambda: _LOOK_SECONDS)
    _told: set[str] = field(default_factory=set)
    _seen: tuple[str, str] = ("", "")

    def __post_init__(self) -> None:
        self._connection = Connection(self.name, self.tell)

    def job(self) -> dict[str, Any]:
        """The RayJob as it stands. Raises Missing if there is none, Unreachable if nobody answers."""
        return yaml.safe_load(self._get("rayjob", self.name))

    def follow(self) -> dict[str, Any]:
        """Write the job's log until it ends, through lost connections; returns the job as it stands then.

        Raises:
            UserError: The job is gone, or the cluster gave no answer for an hour.
        """
        while True:
            try:
                job = self.job()
                self._connection.holds()
                self._look_at(job)
                if has_ended(job):
                    return job
            except Missing:
                raise UserError(
                    f"the RayJob {self.name} is gone: somebody deleted it, or it ended and its time to live is over; the same "
                    f"command launches it again, and goes on from the results that are stored"
                ) from None
            except Unreachable as error:
                self._connection.fails(error)
                continue
            time.sleep(self.pause)

    def head_pod(self, job: Mapping[str, Any]) -> str | None:
        """Name of the pod of the job's head; None if there is none."""
        pods = self._pods(_SELECTED.format(status_of(job, "rayClusterName")))
        return pods[0]["metadata"]["name"] if pods else None

    def _look_at(self, job: Mapping[str, Any]) -> None:
        cluster = status_of(job, "rayClusterName")
        self._tell_once(f"{self.name}: {status_of(job, 'jobDeploymentStatus') or 'waits for the operator'}", cluster)
        if cluster and not has_ended(job):
            self._tell_once(self.way(self.kubectl, job))
        if has_ended(job):
            self._read_log(job, follow=False)
        elif status_of(job, "jobDeploymentStatus") == "Running" and self._has_submitter(job):
            self._read_log(job, follow=True)
        elif cluster:
            for reason in waiting_reasons(self._pods(f"ray.io/cluster={cluster}")):
                self._tell_once(reason)

    def _has_submitter(self, job: Mapping[str, Any]) -> bool:
        return job["spec"].get("submissionMode", "K8sJobMode") in ("K8sJobMode", "SidecarMode")

    def _read_log(self, job: Mapping[str, Any], follow: bool) -> None:
        """Write what is new of the submitter's log; while it is written, if told to follow."""
        where = [f"job/{self.name}"]
        if job["spec"].get("submissionMode") == "SidecarMode":
            where = [f"--selector={_SELECTED.format(status_of(job, 'rayClusterName'))}", f"--container={_SUBMITTER}", "--tail=-1"]
        since = [f"--since-time={self._seen[0]}Z"] if self._seen[0] else []
        options = [*in_namespace(self.namespace), "--timestamps", f"--follow={str(follow).lower()}", *since]
        for line in self.kubectl.lines("logs", *where, *options):
            stamp, _, text = line.partition(" ")
            matched = re.fullmatch(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d+))?Z", stamp)
            if matched is None:
                self.write(line)
            elif (moment := (matched[1], (matched[2] or "").ljust(9, "0"))) > self._seen:
                self._seen = moment  # the server knows seconds alone: what of this one was written is left out here
                self.write(text)

    def _pods(self, selector: str) -> list[dict[str, Any]]:
        try:
            return yaml.safe_load(self._get("pods", f"--selector={selector}")).get("items") or []
        except Unreachable:
            raise
        except Refused:  # who may not look at pods is not told what they wait for
            return []

    def _get(self, *what: str) -> str:
        return self.kubectl.run("get", *what, *in_namespace(self.namespace), "--output=json", "--request-timeout=30s")

    def _tell_once(self, text: str, key: str = "") -> None:
        if text + key not in self._told:
            self._told.add(text + key)
            self.tell(text)
