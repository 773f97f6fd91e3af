"""What holds for every pod of ours, wherever it runs; each function tells the faults of one."""

import re
from collections.abc import Iterator
from typing import Any

from tests.deploy.rendered import Pod

_CREDENTIAL = re.compile(r"PASSWORD|TOKEN|SECRET|ACCESS_KEY|CREDENTIAL", re.IGNORECASE)
_WITH_PASSWORD = re.compile(r"://[^/@\s:]+:[^/@\s]+@")
_RESOURCES = ("cpu", "memory", "ephemeral-storage")
_FACTORS = {"": 1, "m": 1e-3, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}


def pod_faults(pod: Pod) -> list[str]:
    """Everything that is wrong with a pod."""
    faults = [*_identity_faults(pod), *_disk_faults(pod), *_corpora_faults(pod)]
    for container in pod.containers:
        for check in (_image_faults, _confinement_faults, _resource_faults, _secret_faults):
            faults += [f"container {container['name']}: {fault}" for fault in check(container)]
    if not pod.is_ray and pod.component != "submitter":  # KubeRay has probes of its own, and a submitter serves nobody
        faults += [
            f"container {container['name']}: no {probe}"
            for container in pod.spec["containers"]
            for probe in ("startupProbe", "readinessProbe", "livenessProbe")
            if probe not in container
        ]
    return [f"{pod.owner}: {fault}" for fault in faults]


def quantity(text: str | int) -> float:
    """A Kubernetes quantity as a number."""
    number, unit = re.fullmatch(r"([\d.]+)([A-Za-z]*)", str(text)).groups()
    return float(number) * _FACTORS[unit]


def strings(value: Any) -> Iterator[str]:
    """All strings in an object."""
    if isinstance(value, dict):
        for each in value.values():
            yield from strings(each)
    elif isinstance(value, list):
        for each in value:
            yield from strings(each)
    elif isinstance(value, str):
        yield value


def _identity_faults(pod: Pod) -> Iterator[str]:
    context = pod.spec.get("securityContext", {})
    if not (context.get("runAsNonRoot") and context.get("runAsUser")):
        yield "may run as root"
    if context.get("seccompProfile") != {"type": "RuntimeDefault"}:
        yield "no seccomp profile"
    for name in ("hostNetwork", "hostPID", "hostIPC"):
        if pod.spec.get(name):
            yield f"{name} is set"
    if "serviceAccountName" not in pod.spec:
        yield "runs under the namespace's default account"
    if "automountServiceAccountToken" not in pod.spec:
        yield "does not say whether it needs the API server"
    elif pod.spec["automountServiceAccountToken"] and pod.component != "ray-head":
        yield "holds a token of the API server"
    if pod.spec.get("enableServiceLinks") is not False:
        yield "Services' addresses are put into its environment, where MLFLOW_* are settings"
    for volume in pod.spec.get("volumes", []):
        if "hostPath" in volume:
            yield f"volume {volume['name']} is a folder of the node"


def _image_faults(container: dict[str, Any]) -> Iterator[str]:
    tag = container["image"].rpartition("/")[2].partition(":")[2]
    if not tag or tag == "latest":
        yield f"image {container['image']} has no fixed version"


def _confinement_faults(container: dict[str, Any]) -> Iterator[str]:
    context = container.get("securityContext", {})
    if context.get("privileged"):
        yield "is privileged"
    if context.get("allowPrivilegeEscalation") is not False:
        yield "may gain privileges"
    if context.get("readOnlyRootFilesystem") is not True:
        yield "may write to its image"
    if context.get("capabilities") != {"drop": ["ALL"]}:
        yield "has capabilities"


def _resource_faults(container: dict[str, Any]) -> Iterator[str]:
    resources = container.get("resources", {})
    for kind in ("requests", "limits"):
        for name in _RESOURCES:
            if name not in resources.get(kind, {}):
                yield f"no {kind} of {name}"
    for name, least in resources.get("requests", {}).items():
        if quantity(least) > quantity(resources.get("limits", {}).get(name, least)):
            yield f"asks for more {name} than it may have"


def _secret_faults(container: dict[str, Any]) -> Iterator[str]:
    for variable in container.get("env", []):
        if _CREDENTIAL.search(variable["name"]) and variable.get("value"):
            yield f"{variable['name']} is written in clear"
    if any(_WITH_PASSWORD.search(text) for text in strings(container)):
        yield "an address holds a password"


def _disk_faults(pod: Pod) -> Iterator[str]:
    """The kubelet evicts a pod whose empty folders take more than its containers may."""
    folders = {volume["name"]: volume["emptyDir"] for volume in pod.spec.get("volumes", []) if "emptyDir" in volume}
    for name, folder in folders.items():
        if "sizeLimit" not in folder:
            yield f"volume {name} has no limit"
    limits = [container.get("resources", {}).get("limits", {}).get("ephemeral-storage", 0) for container in pod.containers]
    on_disk = [quantity(folder.get("sizeLimit", 0)) for folder in folders.values() if folder.get("medium") != "Memory"]
    if sum(on_disk) > sum(map(quantity, limits)):
        yield "its empty folders may take more disk than the pod"


def _corpora_faults(pod: Pod) -> Iterator[str]:
    claims = {
        volume["name"]: volume["persistentVolumeClaim"]
        for volume in pod.spec.get("volumes", [])
        if "persistentVolumeClaim" in volume
    }
    corpora = {name for name, claim in claims.items() if claim["claimName"] == "corpora"}
    for name in corpora:
        if not claims[name].get("readOnly"):
            yield f"volume {name}: corpora may be written to"
    for container in pod.containers:
        for mount in container.get("volumeMounts", []):
            if mount["name"] in corpora and not mount.get("readOnly"):
                yield f"container {container['name']}: corpora are mounted writable"
