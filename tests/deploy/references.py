"""What objects name of each other, and what they name that nobody renders."""

from collections.abc import Iterator
from typing import Any

from tests.deploy.rendered import Pod, pods

EXTERNAL = {
    ("Secret", "postgresql"): "password of the database; base/kustomization.yaml says how to make it",
    ("Secret", "redis"): "its password, only with components/head-recovery; base/kustomization.yaml says how to make it",
    ("Secret", "object-store"): "keys of the bucket, only with components/object-store; base/kustomization.yaml says how",
    ("PersistentVolume", "corpora"): "made by whoever runs the cluster; examples/",
    ("LocalQueue", "speech"): "Kueue's, made by whoever runs the cluster",
}
"""All that has to be there before an overlay is applied."""
_QUEUE = "kueue.x-k8s.io/queue-name"


def dangling(objects: list[dict[str, Any]]) -> list[str]:
    """References that lead nowhere, each with the object that has it."""
    there = {(each["kind"], each["metadata"]["name"]) for each in objects}
    return [
        f"{owner} names {kind} {name}" for owner, kind, name in references(objects) if (kind, name) not in there | EXTERNAL.keys()
    ]


def references(objects: list[dict[str, Any]]) -> Iterator[tuple[str, str, str]]:
    """(who, kind, name) of everything that is named."""
    for pod in pods(objects):
        for kind, name in (*_of_pod(pod), *_of_volumes(pod)):
            yield pod.owner, kind, name
    for each in objects:
        owner = f"{each['kind']} {each['metadata']['name']}"
        if each["kind"] in ("RayJob", "RayCluster"):
            yield from _of_control_store(owner, each["spec"].get("rayClusterSpec", each["spec"]).get("gcsFaultToleranceOptions"))
        if each["kind"] == "StatefulSet":
            yield owner, "Service", each["spec"]["serviceName"]
        if each["kind"] == "PersistentVolumeClaim" and "volumeName" in each["spec"]:
            yield owner, "PersistentVolume", each["spec"]["volumeName"]
        if queue := each["metadata"].get("labels", {}).get(_QUEUE):
            yield owner, "LocalQueue", queue


def _of_control_store(owner: str, options: dict[str, Any] | None) -> Iterator[tuple[str, str, str]]:
    if options is not None:
        yield owner, "Service", options["redisAddress"].partition(":")[0]
        yield owner, "Secret", options["redisPassword"]["valueFrom"]["secretKeyRef"]["name"]


def unmounted(pod: Pod) -> list[str]:
    """Mounts of volumes that the pod has not, and volumes that nobody mounts."""
    volumes = {volume["name"] for volume in pod.spec.get("volumes", [])} | pod.claims
    mounts = {mount["name"] for container in pod.containers for mount in container.get("volumeMounts", [])}
    return [f"{pod.owner}: {name}" for name in sorted(volumes ^ mounts)]


def _of_pod(pod: Pod) -> Iterator[tuple[str, str]]:
    yield "ServiceAccount", pod.spec["serviceAccountName"]
    for container in pod.containers:
        for source in container.get("envFrom", []):
            yield from _sources(source, ("configMapRef", "ConfigMap"), ("secretRef", "Secret"))
        for variable in container.get("env", []):
            yield from _sources(variable.get("valueFrom", {}), ("configMapKeyRef", "ConfigMap"), ("secretKeyRef", "Secret"))


def _of_volumes(pod: Pod) -> Iterator[tuple[str, str]]:
    for volume in pod.spec.get("volumes", []):
        if "persistentVolumeClaim" in volume:
            yield "PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"]
        if "configMap" in volume:
            yield "ConfigMap", volume["configMap"]["name"]
        if "secret" in volume:
            yield "Secret", volume["secret"]["secretName"]


def _sources(source: dict[str, Any], *kinds: tuple[str, str]) -> Iterator[tuple[str, str]]:
    for field, kind in kinds:
        if field in source:
            yield kind, source[field]["name"]
