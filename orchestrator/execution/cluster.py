"""Joining a Ray cluster, or starting one on this machine for the time of a sweep.

Before this module is imported, :func:`orchestrator.execution.environment.set_environment` must have been called.
"""

from __future__ import annotations

import contextlib
import logging
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import ray
from ray.autoscaler.v2.sdk import get_cluster_resource_state
from ray.core.generated.autoscaler_pb2 import NodeStatus
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from orchestrator.execution.autoscaler import Limits, autoscaler_limits
from orchestrator.execution.cluster_shape import KINDS, ClusterShape, NodeGroup
from orchestrator.execution.environment import WORKER_ENVIRONMENT
from orchestrator.execution.namespace import NAMESPACE
from trainables.errors import UserError


@contextlib.contextmanager
def joined(address: str | None, machine: Mapping[str, float]) -> Iterator[None]:
    """Be a driver of the cluster at ``address``, or of one that is started here and ends with the sweep.

    Args:
        address: ``auto``, ``host:port``, ``ray://...``, or None for a cluster of this machine alone.
        machine: CPUs and GPUs of the cluster that is started here.

    Raises:
        UserError: The cluster cannot be reached, or is lost while the block runs.
    """
    if address:
        options = {"runtime_env": {"env_vars": WORKER_ENVIRONMENT}}  # what is set here does not reach the cluster's processes
    else:
        options = {"num_cpus": int(machine["CPU"]), "num_gpus": int(machine["GPU"])}
    try:
        ray.init(address=address or "local", namespace=NAMESPACE, log_to_driver=False, logging_level=logging.ERROR, **options)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise UserError(f"the Ray cluster at {address or 'this machine'} cannot be reached: {error}") from error
    try:
        yield
    except ray.exceptions.RayError as error:
        story = str(error).strip().splitlines()[0]
        raise UserError(f"the Ray cluster was lost ({story}); what is finished is kept, and the same command goes on") from error
    finally:
        ray.shutdown()


def check_shared(store: str) -> None:
    """Make sure that every node sees the store, if it is a folder.

    Raises:
        UserError: Some node does not; the message names it.
    """
    nodes = [node for node in ray.nodes() if node["Alive"]]
    if len(nodes) == 1 or "://" in store:
        return
    sign = Path(store) / "partial" / f"shared-{uuid.uuid4().hex}"  # where what a dead process leaves is swept up
    try:
        sign.mkdir(parents=True)
        blind = _blind(nodes, sign)
        sign.rmdir()
    except OSError as error:
        raise UserError(f"the store {store} takes no writes ({error}); run the same command again when it does") from error
    if blind:
        raise UserError(
            f"the store {store} is not the same folder on {', '.join(blind)}; give --store a folder that all nodes share, or s3://..."
        )


def _blind(nodes: Sequence[Mapping[str, Any]], sign: Path) -> list[str]:
    """Names of the nodes that do not see the file; one that is lost meanwhile is not asked again."""
    look = ray.remote(num_cpus=0)(Path.exists)
    places = [NodeAffinitySchedulingStrategy(node["NodeID"], soft=False) for node in nodes]
    answers = [look.options(scheduling_strategy=place).remote(sign) for place in places]
    blind = []
    for node, answer in zip(nodes, answers, strict=True):
        with contextlib.suppress(ray.exceptions.RayError):
            if not ray.get(answer):
                blind.append(node["NodeManagerHostname"])
    return blind


def keeps_drivers_apart() -> bool:
    """Whether the cluster offers the resource ``driver`` where nodes stay, because its workers come and go."""
    return bool(ray.cluster_resources().get("driver"))


def current_shape(limits: Limits | None = None) -> ClusterShape:
    """The living nodes that take work, and what the autoscaler may add to them.

    Args:
        limits: Of the autoscaler; None: it is asked, which may take seconds.
    """
    state = get_cluster_resource_state(ray._private.worker.global_worker.gcs_client)
    nodes = [node for node in state.node_states if node.status in (NodeStatus.RUNNING, NodeStatus.IDLE)]
    return shape_of([(node.ray_node_type_name, dict(node.total_resources)) for node in nodes], limits or autoscaler_limits())


def shape_of(nodes: Sequence[tuple[str, Mapping[str, float]]], limits: Limits) -> ClusterShape:
    """The cluster's shape.

    Args:
        nodes: Kind and resources of each living node; the kind of one that the autoscaler has not started may be ''.
        limits: What the autoscaler may start.
    """
    there = Counter(name for name, _ in nodes)
    growth = [NodeGroup(name, node, max(0, most - there[name])) for name, (node, most) in sorted(limits.groups.items())]
    workers = sum(there[name] for name in limits.groups)
    more = None if limits.nodes is None else max(0, limits.nodes - workers)
    present = sorted(([resources.get(kind, 0.0) for kind in KINDS] for _, resources in nodes), reverse=True)
    there_now = tuple(dict(zip(KINDS, amounts, strict=True)) for amounts in present)  # in one order, whatever Ray's is
    return ClusterShape(there_now, tuple(group for group in growth if group.more), more)
