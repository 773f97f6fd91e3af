"""How far a cluster's autoscaler may go.

Ray's global control store has a place for it (``ClusterConfig``), but neither autoscaler of open-source Ray 2.60 writes there:
they keep their limits to themselves. So where that place is empty, the autoscaler's own configuration is read where it runs, on the
head: the file that the monitor process was started with (``ray up``, ``ray start --autoscaling-config``), or the RayCluster object
that KubeRay's autoscaler reads.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from ray.core.generated.autoscaler_pb2 import ClusterConfig
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from orchestrator.execution.cluster_shape import KINDS, UNLIMITED

_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
_ANSWER_SECONDS = 8.0  # a request that cannot be met is to be refused in ten
_FRESH_SECONDS = 60.0  # people change limits, which is rare


@dataclass(frozen=True)
class Limits:
    """What an autoscaler may start.

    Attributes:
        groups: By the name of the kind of node: its CPUs and GPUs, and how many of them there may be.
        nodes: How many there may be of all kinds together, the head apart; None if only the kinds are limited.
    """

    groups: Mapping[str, tuple[Mapping[str, float], int]]
    nodes: int | None = None


NONE = Limits({})
_known: tuple[float, Limits] | None = None


def autoscaler_limits() -> Limits:
    """What the autoscaler of this process' cluster may start, as it was at most a minute ago; ``NONE`` if there is no autoscaler.

    One that cannot be asked counts as none: what needs it is refused, and nothing waits for nodes that never come.
    """
    global _known
    if _known is None or time.monotonic() - _known[0] > _FRESH_SECONDS:
        reported = ray._private.state.state.get_cluster_config()
        found = limits_of_report(reported) if reported and reported.node_group_configs else limits_of_config(_head_config())
        _known = (time.monotonic(), found)
    return _known[1]


def limits_of_report(report: ClusterConfig) -> Limits:
    """Limits from what an autoscaler has reported to the control store; -1 stands for no limit."""
    groups = {}
    for number, group in enumerate(report.node_group_configs):
        resources = {kind: float(group.resources.get(kind, 0)) for kind in KINDS}
        most = UNLIMITED if group.max_count < 0 else group.max_count
        for kind, limit in report.max_resources.items():
            if resources.get(kind):
                most = min(most, int(limit // resources[kind]))
        groups[group.name or f"group {number}"] = (resources, most)
    return Limits(groups)


def limits_of_config(config: Mapping[str, Any]) -> Limits:
    """Limits from an autoscaler's configuration as ``ray up`` and KubeRay's autoscaler have it; the head is no part of them."""
    head, most = config.get("head_node_type"), config.get("max_workers")
    groups = {}
    for name, group in config.get("available_node_types", {}).items():
        resources = {kind: float(group.get("resources", {}).get(kind, 0)) for kind in KINDS}
        if name != head:
            groups[name] = (resources, int(group.get("max_workers", most or 0)))
    return Limits(groups, most if groups else None)


def _head_config() -> Mapping[str, Any]:
    """The autoscaler's configuration, read on the head; empty if there is none, or none that can be read."""
    heads = [node for node in ray.nodes() if node["Alive"] and "node:__internal_head__" in node["Resources"]]
    address = ray.get_runtime_context().gcs_address
    if not heads or heads[0]["NodeID"] == ray.get_runtime_context().get_node_id():
        return read_config(address)
    place = NodeAffinitySchedulingStrategy(heads[0]["NodeID"], soft=False)
    reading = ray.remote(num_cpus=0, max_retries=0)(read_config).options(scheduling_strategy=place).remote(address)
    try:
        return ray.get(reading, timeout=_ANSWER_SECONDS)
    except (ray.exceptions.RayError, TimeoutError) as error:
        logging.getLogger(__name__).warning("the head does not tell the autoscaler's limits: %s", error)
        return {}


def read_config(address: str) -> Mapping[str, Any]:
    """The configuration of the autoscaler that runs on this machine; empty if there is none.

    Args:
        address: Of the cluster's control store: a machine may be the head of several clusters.
    """
    import requests

    if "RAY_CLUSTER_NAME" in os.environ and "KUBERNETES_SERVICE_HOST" in os.environ:
        try:
            return _kubernetes_config(os.environ["RAY_CLUSTER_NAME"])
        except (OSError, requests.RequestException) as error:  # its service account may read nothing
            logging.getLogger(__name__).warning("the RayCluster object cannot be read: %s", error)
            return {}
    return _monitor_config(address)


def _kubernetes_config(cluster: str) -> Mapping[str, Any]:
    from ray.autoscaler._private.kuberay.autoscaling_config import _derive_autoscaling_config_from_ray_cr
    from ray.autoscaler._private.kuberay.node_provider import KubernetesHttpApiClient

    found = KubernetesHttpApiClient(namespace=_NAMESPACE.read_text().strip()).get(f"rayclusters/{cluster}")
    return _derive_autoscaling_config_from_ray_cr(found) if found["spec"].get("enableInTreeAutoscaling") else {}


def _monitor_config(address: str) -> Mapping[str, Any]:
    import yaml

    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = process.read_text(errors="replace").split("\0")
        except OSError:  # it has ended meanwhile
            continue
        options = dict(part.split("=", 1) for part in command if part.startswith("--") and "=" in part)
        file = options.get("--autoscaling-config")
        if file and options.get("--gcs-address") == address:
            try:
                return yaml.safe_load(Path(file).expanduser().read_text())
            except (OSError, yaml.YAMLError) as error:
                logging.getLogger(__name__).warning("the autoscaler's configuration %s cannot be read: %s", file, error)
    return {}
