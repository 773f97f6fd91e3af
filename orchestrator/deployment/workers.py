"""How many pods of workers a sweep gets, and what of its request they can never meet."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from orchestrator.execution.cluster_shape import ClusterShape
from orchestrator.execution.resources import ResourceRequest, request_faults
from trainables.stage import Stage

_SUFFIXES = {"m": 1e-3, "": 1.0, "k": 1e3}


def replica_numbers(
    job: Mapping[str, Any], request: ResourceRequest, kinds: Iterable[Stage], replicas: int | None
) -> dict[int, dict[str, int]]:
    """``replicas``, ``minReplicas`` and ``maxReplicas`` of the group that does the work, by its index.

    That is the group with most GPUs, and of such the first. Unless the user says how many pods it may have, it is what the overlay
    allows, or more if one stage needs more for its workers. Without an autoscaler all of them are started at once.

    Args:
        job: The RayJob.
        request: What the user asked for.
        kinds: One stage of each class.
        replicas: What the user says.
    """
    groups = job["spec"]["rayClusterSpec"].get("workerGroupSpecs", [])
    if not groups:
        return {}
    index = max(range(len(groups)), key=lambda each: (resources_of(groups[each])["GPU"], -each))
    group, kinds = groups[index], list(kinds)
    scales = bool(job["spec"]["rayClusterSpec"].get("enableInTreeAutoscaling"))
    allowed = max(group.get("replicas", 0), group.get("maxReplicas", 0) if scales else 0, 1)
    most = replicas if replicas is not None else max(allowed, _least(job, request, kinds, index))
    least = min(group.get("minReplicas", 0), most) if scales else most
    first = min(max(group.get("replicas", 0), least), most)
    return {index: {"replicas": first, "minReplicas": least, "maxReplicas": most}}


def capacity_faults(
    job: Mapping[str, Any], request: ResourceRequest, kinds: Iterable[Stage], numbers: Mapping[int, Mapping[str, int]]
) -> list[str]:
    """What the request asks for that the RayJob's pods, all of them, cannot give."""
    return request_faults(request, kinds, _shape(job, {index: group["maxReplicas"] for index, group in numbers.items()}))


def resources_of(group: Mapping[str, Any]) -> dict[str, float]:
    """CPUs and GPUs that Ray counts in each pod of a group, by KubeRay's rules."""
    limits, requests = (
        group["template"]["spec"]["containers"][0].get("resources", {}).get(each, {}) for each in ("limits", "requests")
    )
    gpus = [number for name, number in limits.items() if name.rpartition("/")[2] == "gpu"]
    found = {"CPU": math.ceil(quantity(limits.get("cpu", requests.get("cpu", 0)))), "GPU": sum(map(quantity, gpus))}
    started = group.get("rayStartParams", {})
    for kind, name in (("CPU", "num-cpus"), ("GPU", "num-gpus")):
        found[kind] = quantity(group.get("resources", {}).get(kind, started.get(name, found[kind])))
    return found


def quantity(text: str | float) -> float:
    """A number as Kubernetes writes it: ``2``, ``"500m"``."""
    number = str(text)
    suffix = number[-1] if number[-1:] in "mk" else ""
    return float(number.removesuffix(suffix)) * _SUFFIXES[suffix]


def _least(job: Mapping[str, Any], request: ResourceRequest, kinds: list[Stage], index: int) -> int:
    """The fewest pods of a group with which every stage fits; 1 if no number of them helps."""
    for count in range(1, request.most_workers() + 1):
        if not request_faults(request, kinds, _shape(job, {index: count})):
            return count
    return 1


def _shape(job: Mapping[str, Any], counts: Mapping[int, int]) -> ClusterShape:
    """What the RayJob's cluster may become.

    Args:
        job: The RayJob.
        counts: Pods of worker groups, where it is not what the job says.
    """
    cluster = job["spec"]["rayClusterSpec"]
    nodes = [resources_of(cluster["headGroupSpec"])]
    for index, group in enumerate(cluster.get("workerGroupSpecs", [])):
        nodes += [resources_of(group)] * counts.get(index, group.get("maxReplicas", group.get("replicas", 1)))
    return ClusterShape(tuple(nodes))
