"""What `kubectl kustomize` makes of the overlays, and the pods in it."""

import copy
import functools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

KUBERNETES = Path(__file__).parents[2] / "deploy" / "kubernetes"
OVERLAYS = sorted(folder.name for folder in (KUBERNETES / "overlays").iterdir())
EXAMPLES = sorted((KUBERNETES / "examples").glob("*.yaml"))
_PLAIN_PATHS = {"Deployment": ("spec", "template"), "StatefulSet": ("spec", "template"), "Job": ("spec", "template")}


@dataclass(frozen=True)
class Pod:
    """A pod that will run, as its owner's template has it.

    Attributes:
        owner: Kind and name of the object, and the part of it.
        metadata: Of the template.
        spec: Of the template.
        claims: Names of the volume claims that its owner makes by itself.
    """

    owner: str
    metadata: dict[str, Any]
    spec: dict[str, Any]
    claims: frozenset[str] = frozenset()

    @property
    def labels(self) -> dict[str, str]:
        return self.metadata.get("labels", {})

    @property
    def component(self) -> str:
        return self.labels["app.kubernetes.io/component"]

    @property
    def containers(self) -> list[dict[str, Any]]:
        return [*self.spec.get("initContainers", []), *self.spec["containers"]]

    @property
    def is_ray(self) -> bool:
        """Whether KubeRay makes it from a RayCluster's template, and adds its own to it."""
        return self.component in ("ray-head", "ray-driver", "ray-worker")


def render(overlay: str) -> list[dict[str, Any]]:
    """All objects of an overlay; the caller may change them."""
    return copy.deepcopy(_rendered(overlay))


def with_component(*names: str) -> list[dict[str, Any]]:
    """All objects of the overlay gpu, with more components."""
    return copy.deepcopy(_rendered_with(names))


def named(objects: list[dict[str, Any]], kind: str, name: str | None = None) -> dict[str, Any]:
    """The one object of this kind, and of this name if there are several."""
    (found,) = [each for each in objects if each["kind"] == kind and name in (None, each["metadata"]["name"])]
    return found


def pods(objects: list[dict[str, Any]]) -> Iterator[Pod]:
    """All pods that the objects bring about."""
    for each in objects:
        kind, owner = each["kind"], f"{each['kind']} {each['metadata']['name']}"
        if kind in _PLAIN_PATHS:
            claims = frozenset(claim["metadata"]["name"] for claim in each["spec"].get("volumeClaimTemplates", []))
            yield _pod(owner, each["spec"]["template"], claims)
        elif kind in ("RayJob", "RayCluster"):
            cluster = each["spec"]["rayClusterSpec"] if kind == "RayJob" else each["spec"]
            if "submitterPodTemplate" in each["spec"]:
                yield _pod(f"{owner}, submitter", each["spec"]["submitterPodTemplate"])
            yield _pod(f"{owner}, head", cluster["headGroupSpec"]["template"])
            for group in cluster["workerGroupSpecs"]:
                yield _pod(f"{owner}, {group['groupName']}", group["template"])


def _pod(owner: str, template: dict[str, Any], claims: frozenset[str] = frozenset()) -> Pod:
    return Pod(owner, template.get("metadata", {}), template["spec"], claims)


@functools.cache
def _rendered(overlay: str) -> list[dict[str, Any]]:
    return _kustomize(KUBERNETES / "overlays" / overlay)


@functools.cache
def _rendered_with(components: tuple[str, ...]) -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as folder:
        way = os.path.relpath(KUBERNETES.resolve(), Path(folder).resolve())  # kustomize takes no absolute path
        listed = ", ".join(f"{way}/components/{component}" for component in components)
        lines = [f"resources: [{way}/overlays/gpu]", f"components: [{listed}]"]
        (Path(folder) / "kustomization.yaml").write_text("\n".join(lines))
        return _kustomize(Path(folder))


def _kustomize(folder: Path) -> list[dict[str, Any]]:
    tools = {"kubectl": ["kubectl", "kustomize"], "kustomize": ["kustomize", "build"]}
    command = next((words for tool, words in tools.items() if shutil.which(tool)), None)
    if command is None:
        pytest.skip("neither kubectl nor kustomize is on the path")
    done = subprocess.run([*command, str(folder)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))
