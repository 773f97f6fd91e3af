"""What a cluster consists of: its nodes, and the nodes that its autoscaler may add. Knows no Ray."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orchestrator.execution.resources import Need

KINDS = ("CPU", "GPU")
UNLIMITED = 10_000
"""Nodes that an autoscaler without a limit may add: more than any study has stages at a time."""
ROUNDING = 1e-9


@dataclass(frozen=True)
class NodeGroup:
    """Nodes of one kind that the autoscaler may start.

    Attributes:
        name: As the cluster's configuration calls them.
        resources: Of each node, ``{"CPU": 8, "GPU": 1}``.
        more: How many more of them there may be.
    """

    name: str
    resources: Mapping[str, float]
    more: int


@dataclass(frozen=True)
class ClusterShape:
    """The nodes that are there and those that may come.

    Attributes:
        nodes: Resources of each living node.
        growth: What the autoscaler may add; empty where there is none.
        most_more: How many nodes it may add in all groups together; None if only the groups are limited.
    """

    nodes: tuple[Mapping[str, float], ...]
    growth: tuple[NodeGroup, ...] = ()
    most_more: int | None = None

    def total(self) -> dict[str, float]:
        """CPUs and GPUs that are there now."""
        return {kind: sum(node.get(kind, 0.0) for node in self.nodes) for kind in KINDS}

    def grown(self) -> dict[str, float]:
        """The most CPUs, and the most GPUs, that there may be."""
        return {kind: now + self._added(lambda node, kind=kind: node.get(kind, 0.0)) for kind, now in self.total().items()}

    def largest(self, kind: str) -> float:
        """The most of one resource that a node has, be it there or to come."""
        coming = [group.resources for group in self.growth if group.more > 0]
        return max((node.get(kind, 0.0) for node in [*self.nodes, *coming]), default=0.0)

    def room(self, need: Need) -> int:
        """How many of the need's workers fit at a time if nothing else runs; exact, because they are all alike."""
        return sum(workers_on(node, need) for node in self.nodes) + int(self._added(lambda node: workers_on(node, need)))

    def _added(self, each: Callable[[Mapping[str, float]], float]) -> float:
        """The most of something that the autoscaler can add: the nodes that have most of it come first."""
        left, added = math.inf if self.most_more is None else self.most_more, 0.0
        for group in sorted(self.growth, key=lambda group: -each(group.resources)):
            nodes = min(group.more, left)
            left, added = left - nodes, added + nodes * each(group.resources)
        return added


def workers_on(node: Mapping[str, float], need: Need) -> int:
    """How many of the need's workers an empty node holds. A fraction of a GPU lies on one device."""
    limits = []
    if need.cpus:
        limits.append(math.floor(node.get("CPU", 0.0) / need.cpus + ROUNDING))
    if need.gpus:
        devices = int(node.get("GPU", 0.0))
        on_one = math.floor(1 / need.gpus + ROUNDING)
        limits.append(devices * on_one if need.gpus < 1 else devices // math.ceil(need.gpus - ROUNDING))
    return min(limits, default=UNLIMITED)
