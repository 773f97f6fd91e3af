"""Rules of KubeRay's operator (1.7.0) that no schema holds, for RayJob and RayCluster.

The operator applies them after the API server has accepted an object: the object then stays there, and nothing runs. The source is
``validation.go`` of ray-project/kuberay; what our manifests cannot contain (history server, TLS, RocksDB) is left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

LONGEST_JOB_NAME = 47
"""Of a RayJob: the operator appends to it, and names of RayClusters end at 53 letters."""
_LONGEST_CLUSTER_NAME = 53
_LABEL = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_STARTED_WITH = ("num-cpus", "num-gpus", "memory", "resources")
_MODES = ("K8sJobMode", "HTTPMode", "SidecarMode", "InteractiveMode")
_SELECTED_BY = ("app.kubernetes.io/name", "app.kubernetes.io/created-by", "ray.io/identifier")
_TOKEN_SINCE = (2, 52, 0)
_PRIORITY_SINCE = (2, 56, 0)
_Fields = Mapping[str, Any]


def rule_faults(document: _Fields) -> list[str]:
    """What the operator would refuse, or would run otherwise than it was meant; nothing for objects of other kinds."""
    kind, name, spec = document.get("kind"), document["metadata"]["name"], document.get("spec") or {}
    if kind == "RayJob":
        faults = [*_name_faults(name, LONGEST_JOB_NAME), *_job_faults(spec)]
        cluster = spec.get("rayClusterSpec")
    elif kind == "RayCluster":
        faults, cluster = list(_name_faults(name, _LONGEST_CLUSTER_NAME)), spec
    else:
        return []
    return [f"{kind} {name}: {fault}" for fault in [*faults, *(_cluster_faults(cluster) if cluster is not None else ())]]


def _name_faults(name: str, longest: int) -> Iterator[str]:
    if len(name) > longest:
        yield f"metadata.name has {len(name)} letters, and may have {longest}"
    if not _LABEL.fullmatch(name):
        yield "metadata.name may have small letters, digits and dashes, begins with a letter and ends with no dash"


def _job_faults(spec: _Fields) -> Iterator[str]:
    shutdown, selector = spec.get("shutdownAfterJobFinishes", False), spec.get("clusterSelector")
    if spec.get("rayClusterSpec") is None and not selector:
        yield "one of rayClusterSpec and clusterSelector must be set"
    if spec.get("suspend") and not shutdown:
        yield "suspend needs shutdownAfterJobFinishes: true"
    if spec.get("suspend") and selector:
        yield "suspend and clusterSelector exclude each other"
    if spec.get("ttlSecondsAfterFinished", 0) and not shutdown:
        yield "ttlSecondsAfterFinished needs shutdownAfterJobFinishes: true"
    if (spec.get("deletionStrategy") or {}).get("deletionRules") and shutdown:
        yield "deletionStrategy.deletionRules and shutdownAfterJobFinishes exclude each other"
    for field in ("activeDeadlineSeconds", "preRunningDeadlineSeconds"):
        if spec.get(field, 1) <= 0:
            yield f"{field} must be above 0"
    for field in ("backoffLimit", "ttlSecondsAfterFinished"):
        if spec.get(field, 0) < 0:
            yield f"{field} must not be negative"
    yield from _mode_faults(spec)


def _mode_faults(spec: _Fields) -> Iterator[str]:
    mode, selector = spec.get("submissionMode", "K8sJobMode"), spec.get("clusterSelector")
    if mode not in _MODES:
        yield f"submissionMode {mode} is none of {', '.join(_MODES)}"
    if spec.get("backoffLimit", 0) > 0 and selector:
        yield "backoffLimit and clusterSelector exclude each other"
    if spec.get("backoffLimit", 0) > 0 and mode == "InteractiveMode":
        yield "backoffLimit and InteractiveMode exclude each other"
    cluster = spec.get("rayClusterSpec") or {}
    if mode == "SidecarMode":
        for field in ("submitterPodTemplate", "submitterConfig", "clusterSelector"):
            if spec.get(field):
                yield f"SidecarMode allows no {field}"
        if cluster and _restart_policy(cluster["headGroupSpec"]) not in (None, "Never"):
            yield "SidecarMode needs restartPolicy: Never of the head, or none"
    if (cluster.get("authOptions") or {}).get("enableK8sTokenAuth"):
        yield "authOptions.enableK8sTokenAuth is not for a RayJob"


def _cluster_faults(spec: _Fields) -> Iterator[str]:
    groups = {"head": spec["headGroupSpec"]} | {group["groupName"]: group for group in spec.get("workerGroupSpecs", ())}
    for name, group in groups.items():
        yield from _group_faults(name, group)
    for group in spec.get("workerGroupSpecs", ()):
        yield from _size_faults(group, spec)
    yield from _autoscaler_faults(spec, groups)
    yield from _control_store_faults(spec)
    if (spec.get("authOptions") or {}).get("mode") == "token" and _version(spec) < _TOKEN_SINCE:
        yield "authOptions.mode: token needs rayVersion, and at least 2.52.0"


def _group_faults(name: str, group: _Fields) -> Iterator[str]:
    if not group["template"]["spec"].get("containers"):
        yield f"group {name} has no container"
    started = group.get("rayStartParams") or {}
    if group.get("resources") and any(started.get(parameter) for parameter in _STARTED_WITH):
        yield f"group {name}: resources are in `resources` and in rayStartParams; use one"
    if "labels" in started:
        yield f"group {name}: rayStartParams.labels is not supported; use `labels`"
    labels = (group["template"].get("metadata") or {}).get("labels") or {}
    for label in _SELECTED_BY:
        if label in labels:  # accepted, and then a RayJob's Service finds no head
            yield f"group {name}: its pods have {label}, by whose own value the operator's Service selects the head"


def _size_faults(group: _Fields, spec: _Fields) -> Iterator[str]:
    name, least, most = group["groupName"], group.get("minReplicas"), group.get("maxReplicas")
    if not spec.get("enableInTreeAutoscaling") and (least is None or most is None):
        yield f"group {name} must set minReplicas and maxReplicas: nothing scales it"
    if (least or 0) < 0 or (most or 0) < 0:
        yield f"group {name}: numbers of replicas must not be negative"
    if least is not None and most is not None and least > most:
        yield f"group {name}: minReplicas {least} is above maxReplicas {most}"
    if spec.get("enableInTreeAutoscaling") and group.get("suspend"):
        yield f"group {name}: suspend and enableInTreeAutoscaling exclude each other"
    if group.get("idleTimeoutSeconds") is not None and not _is_v2(spec):
        yield f"group {name}: idleTimeoutSeconds needs autoscalerOptions.version: v2"
    if group.get("priority") and (not _is_v2(spec) or _version(spec) < _PRIORITY_SINCE):
        yield f"group {name}: priority needs autoscalerOptions.version: v2 and rayVersion of at least 2.56.0"


def _autoscaler_faults(spec: _Fields, groups: Mapping[str, _Fields]) -> Iterator[str]:
    variables, options = _variables(spec), spec.get("autoscalerOptions") or {}
    if not spec.get("enableInTreeAutoscaling"):
        if variables.get("RAY_enable_autoscaler_v2") in ("1", "true"):
            yield "RAY_enable_autoscaler_v2 needs enableInTreeAutoscaling: true"
        return
    if options.get("version") and "RAY_enable_autoscaler_v2" in variables:
        yield "autoscalerOptions.version and RAY_enable_autoscaler_v2 exclude each other"
    if _is_v2(spec):
        for name, group in groups.items():
            if _restart_policy(group) not in (None, "Never"):
                yield f"group {name}: autoscaler v2 needs restartPolicy: Never, or none"
    if options.get("idleTimeoutSeconds", 0) < 0:
        yield "autoscalerOptions.idleTimeoutSeconds must not be negative"


def _control_store_faults(spec: _Fields) -> Iterator[str]:
    variables, options = _variables(spec), spec.get("gcsFaultToleranceOptions")
    if options is None and "RAY_REDIS_ADDRESS" in variables:
        yield "RAY_REDIS_ADDRESS needs gcsFaultToleranceOptions"
    if options is not None:
        for name in ("RAY_REDIS_ADDRESS", "REDIS_PASSWORD"):
            if name in variables:
                yield f"{name} is set beside gcsFaultToleranceOptions; use its fields"
        if (spec["headGroupSpec"].get("rayStartParams") or {}).get("redis-password"):
            yield "rayStartParams.redis-password is set beside gcsFaultToleranceOptions; use redisPassword"


def _variables(spec: _Fields) -> dict[str, Any]:
    containers = spec["headGroupSpec"]["template"]["spec"].get("containers") or [{}]
    return {variable["name"]: variable.get("value") for variable in containers[0].get("env", ())}


def _restart_policy(group: _Fields) -> str | None:
    return group["template"]["spec"].get("restartPolicy") or None


def _is_v2(spec: _Fields) -> bool:
    return (spec.get("autoscalerOptions") or {}).get("version") == "v2"


def _version(spec: _Fields) -> tuple[int, ...]:
    """(0,) if it is none that can be read."""
    found = re.match(r"v?(\d+)\.(\d+)(?:\.(\d+))?", spec.get("rayVersion") or "")
    return tuple(int(part or 0) for part in found.groups()) if found else (0,)
