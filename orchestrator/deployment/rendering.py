"""From overlay to the objects of one sweep: kustomize makes every change, so that what is printed and applied is its own text."""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from orchestrator.deployment.kubectl import Kubectl
from orchestrator.deployment.order import Order, command, entrypoint, job_name
from orchestrator.submission.request import Request
from trainables.errors import UserError

_OVERLAYS = Path(__file__).resolve().parents[2] / "deploy" / "kubernetes" / "overlays"
TEMPLATE = "sweep"
"""Name of the RayJob in every overlay: the template of all sweeps."""
QUEUE = "kueue.x-k8s.io/queue-name"
"""Label of a RayJob that Kueue admits."""
COMMAND = "sweep-command"
"""Annotation of a RayJob: the command that launched it, for people."""


@dataclass(frozen=True)
class Rendered:
    """The objects of an overlay.

    Attributes:
        text: As kustomize wrote them.
        documents: The same, read.
    """

    text: str
    documents: list[dict[str, Any]]

    @property
    def job(self) -> dict[str, Any]:
        """The RayJob, of which there is one."""
        return next(each for each in self.documents if each["kind"] == "RayJob")

    @property
    def namespace(self) -> str | None:
        """Of the RayJob; None for the one of the user's context."""
        return self.job["metadata"].get("namespace")

    def split(self) -> tuple[str, str]:
        """The text of the RayJob, and that of everything else."""
        parts = re.split(r"^---\n", self.text, flags=re.M)
        jobs = [part for part in parts if (yaml.safe_load(part) or {}).get("kind") == "RayJob"]
        return jobs[0], "---\n".join(part for part in parts if part not in jobs)


def render_overlay(kubectl: Kubectl, overlay: str) -> Rendered:
    """An overlay as it is in the checkout.

    Args:
        kubectl: Of the user.
        overlay: The name of one of ours, or the path of another folder with a kustomization.

    Raises:
        UserError: There is no such overlay, kustomize refuses it, or it has no template of a sweep.
    """
    found = read(kubectl.run("kustomize", str(_folder(overlay))))
    names = [each["metadata"]["name"] for each in found.documents if each["kind"] == "RayJob"]
    if names != [TEMPLATE]:
        raise UserError(
            f"--overlay {overlay}: expected one RayJob, {TEMPLATE!r}, of which every sweep is made, and found {names}; choose "
            f"another, or use orchestrator.submit where the overlay makes a lasting cluster"
        )
    return found


def read(text: str) -> Rendered:
    """What kustomize wrote."""
    return Rendered(text, [each for each in yaml.safe_load_all(text) if each])


def render_sweep(
    kubectl: Kubectl, template: Rendered, request: Request, order: Order, numbers: Mapping[int, Mapping[str, int]]
) -> Rendered:
    """The overlay with the template made into one sweep.

    Args:
        kubectl: Of the user.
        template: What :func:`render_overlay` found.
        request: The sweep.
        order: How it is launched.
        numbers: ``replicas``, ``minReplicas``, ``maxReplicas`` of worker groups, by their index.

    Raises:
        UserError: Kustomize refuses.
    """
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder).resolve()  # kustomize takes no absolute paths, and compares real ones
        changes = {
            "resources": [os.path.relpath(_folder(order.overlay), here)],
            "patches": [_patch(template, request, order, numbers)],
        }
        if order.namespace is not None:
            changes["namespace"] = order.namespace
        (here / "kustomization.yaml").write_text(json.dumps(changes))
        return read(kubectl.run("kustomize", str(here)))


def head_container(job: Mapping[str, Any]) -> dict[str, Any]:
    """The container in which Ray's head runs: by KubeRay's rule the first."""
    return job["spec"]["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]["containers"][0]


def mount_faults(job: Mapping[str, Any], request: Request) -> list[str]:
    """Paths of the command that are on no volume of the head: what is written there is lost with its pod."""
    pod = job["spec"]["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]
    fleeting = {volume["name"] for volume in pod.get("volumes", ()) if "emptyDir" in volume}
    mounts = [mount["mountPath"] for mount in head_container(job).get("volumeMounts", ()) if mount["name"] not in fleeting]
    faults = []
    for option, path in re.findall(r"--(store|results|corpora)[ =](/\S*)", entrypoint(request)):
        if not any(Path(path).is_relative_to(mount) for mount in mounts):
            faults.append(
                f"--{option} {path}: no lasting volume of the pods is mounted there; mounted are {', '.join(sorted(mounts))}"
            )
    return faults


def _folder(overlay: str) -> Path:
    """Folder of an overlay. Raises UserError if there is none."""
    folder = Path(overlay).resolve() if "/" in overlay else _OVERLAYS / overlay
    if (folder / "kustomization.yaml").is_file():
        return folder
    ours = sorted(each.parent.name for each in _OVERLAYS.glob("*/kustomization.yaml"))
    if not ours:
        raise UserError(f"--overlay {overlay}: {_OVERLAYS} has none; launch from a checkout of the project, or give a folder")
    raise UserError(
        f"--overlay {overlay}: {folder} has no kustomization.yaml; there are {', '.join(ours)}, or give the path of your own"
    )


def _patch(template: Rendered, request: Request, order: Order, numbers: Mapping[int, Mapping[str, int]]) -> dict[str, Any]:
    study = request.arguments[0]
    annotations = template.job["metadata"].get("annotations", {}) | {COMMAND: command(request, order)}
    values = {
        "/metadata/name": job_name(study, request),
        "/metadata/annotations": annotations,
        "/spec/entrypoint": entrypoint(request),
        # The template is suspended, so that applying an overlay starts nothing. A job for a queue stays so until the queue's turn.
        "/spec/suspend": QUEUE in template.job["metadata"].get("labels", {}),
    }
    if order.image is not None:
        values |= dict.fromkeys(_image_paths(template.job), order.image)
    for index, group in numbers.items():
        values |= {f"/spec/rayClusterSpec/workerGroupSpecs/{index}/{field}": number for field, number in group.items()}
    steps = [{"op": "add", "path": path, "value": value} for path, value in values.items()]
    target = {"kind": "RayJob", "name": TEMPLATE}
    return {"target": target, "options": {"allowNameChange": True}, "patch": json.dumps(steps)}


def _image_paths(job: Mapping[str, Any]) -> list[str]:
    """Where the RayJob has the project's image. MLflow's server keeps its own: other sweeps are using it."""
    spec, ours = job["spec"], head_container(job)["image"]
    pods = {"/spec/rayClusterSpec/headGroupSpec/template": spec["rayClusterSpec"]["headGroupSpec"]["template"]}
    for index, group in enumerate(spec["rayClusterSpec"].get("workerGroupSpecs", ())):
        pods[f"/spec/rayClusterSpec/workerGroupSpecs/{index}/template"] = group["template"]
    if "submitterPodTemplate" in spec:
        pods["/spec/submitterPodTemplate"] = spec["submitterPodTemplate"]
    return [
        f"{path}/spec/{kind}/{index}/image"
        for path, pod in pods.items()
        for kind in ("initContainers", "containers")
        for index, container in enumerate(pod["spec"].get(kind, ()))
        if container.get("image") == ours
    ]
