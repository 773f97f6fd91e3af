"""Which workers go on which node, as far as that can be told without asking Ray.

Ray chooses the nodes itself; this is the account of what fits at the same time. A worker lies on one node and a share of a GPU on
one device, and small shares go together, as Ray does it, so that whole GPUs stay free.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import copy
from dataclasses import dataclass, field

from orchestrator.execution.cluster_shape import KINDS, ROUNDING, ClusterShape, NodeGroup, workers_on
from orchestrator.execution.resources import Need


@dataclass
class _Node:
    """What is free of a node; less than nothing where more is kept free than there is.

    Attributes:
        whole: What the empty node has.
        group: The autoscaler's group that it may be started from; None if it is there.
        cpu: Free CPUs.
        gpus: Free share of each device.
    """

    whole: Mapping[str, float]
    group: str | None = None
    cpu: float = field(init=False)
    gpus: list[float] = field(init=False)

    def __post_init__(self) -> None:
        self.cpu, self.gpus = self.whole.get("CPU", 0.0), [1.0] * int(self.whole.get("GPU", 0.0))

    def devices_for(self, need: Need) -> list[int] | None:
        """The devices that one worker would get; None if it does not fit."""
        if self.cpu + ROUNDING < need.cpus:
            return None
        if not need.gpus:
            return []
        if need.gpus < 1:
            enough = [device for device, free in enumerate(self.gpus) if free + ROUNDING >= need.gpus]
            return [min(enough, key=lambda device: self.gpus[device])] if enough else None
        idle = [device for device, free in enumerate(self.gpus) if free + ROUNDING >= 1]
        return idle[: int(need.gpus)] if len(idle) >= need.gpus else None

    def take(self, need: Need, devices: list[int], sign: int = 1) -> None:
        """Occupy a worker's share, or with ``sign`` -1 give it back."""
        self.cpu -= sign * need.cpus
        for device in devices:
            self.gpus[device] -= sign * min(need.gpus, 1.0)


@dataclass(frozen=True)
class Placement:
    """Where the workers of a need are: for each the number of its node and its devices there."""

    need: Need
    places: tuple[tuple[int, tuple[int, ...]], ...]


class Packing:
    """Workers on the nodes of a cluster.

    Args:
        shape: The nodes; those to come are taken when no other has room.
    """

    def __init__(self, shape: ClusterShape) -> None:
        self._shape = shape
        self._nodes = [_Node(node) for node in shape.nodes]
        self._there = len(self._nodes)
        self._started = {group.name: 0 for group in shape.growth}

    def copy(self) -> Packing:
        """The same, to try something out."""
        made = Packing(ClusterShape(()))
        made._shape, made._there, made._started = self._shape, self._there, dict(self._started)
        for node in self._nodes:
            twin = copy(node)
            twin.gpus = list(node.gpus)
            made._nodes.append(twin)
        return made

    def place(self, need: Need) -> Placement | None:
        """Find room for all workers of a need together, and take it; None, and nothing is taken, if there is none."""
        places = []
        for _ in range(need.workers):
            found = self._find(need)
            if found is None:
                self.free_again(Placement(need, tuple(places)))
                return None
            self._nodes[found[0]].take(need, list(found[1]))
            places.append(found)
        return Placement(need, tuple(places))

    def repeat(self, placement: Placement) -> Placement:
        """Take the same places as in a copy of this packing; other ones for nodes that only the copy has."""
        if all(number < len(self._nodes) for number, _ in placement.places):
            for number, devices in placement.places:
                self._nodes[number].take(placement.need, list(devices))
            return placement
        return self.place(placement.need) or self.overfill(placement.need)

    def overfill(self, need: Need) -> Placement:
        """Take room for all workers where it becomes free soonest: each where most is free, were it less than nothing."""
        places = []
        able = [number for number, node in enumerate(self._nodes) if workers_on(node.whole, need)]
        for _ in range(need.workers if able else 0):
            number = max(able, key=lambda number: (self._free(number, need), -number))
            node = self._nodes[number]
            count = 0 if not need.gpus else max(1, int(need.gpus))
            devices = tuple(sorted(range(len(node.gpus)), key=lambda device: -node.gpus[device])[:count])
            node.take(need, list(devices))
            places.append((number, devices))
        return Placement(need, tuple(places))

    def free_again(self, placement: Placement) -> None:
        """Give back what was taken."""
        for number, devices in placement.places:
            self._nodes[number].take(placement.need, list(devices), sign=-1)

    def fits(self, need: Need) -> bool:
        """Whether all workers would find room together."""
        return self.copy().place(need) is not None

    def awaited(self, placement: Placement) -> str | None:
        """The autoscaler's group that some of the workers wait for, or None."""
        groups = (self._nodes[number].group for number, _ in placement.places)
        return next((group for group in groups if group is not None), None)

    def is_full(self) -> bool:
        """Whether nothing at all fits any more."""
        return not any(self._groups_left()) and not any(node.cpu > ROUNDING for node in self._nodes)

    def free(self) -> dict[str, float]:
        """CPUs and GPUs that are free on the nodes that are there."""
        there = self._nodes[: self._there]
        amounts = (sum(max(0.0, node.cpu) for node in there), sum(max(0.0, gpu) for node in there for gpu in node.gpus))
        return dict(zip(KINDS, (round(amount, 6) for amount in amounts), strict=True))

    def _free(self, number: int, need: Need) -> tuple[float, float]:
        node = self._nodes[number]
        return (sum(node.gpus) if need.gpus else 0.0, node.cpu)

    def _find(self, need: Need) -> tuple[int, tuple[int, ...]] | None:
        """A node for one worker: of those that are there before those to come; nodes with GPUs last for who needs none."""
        best: tuple[tuple[float, ...], int, tuple[int, ...]] | None = None
        for number, node in enumerate(self._nodes):
            devices = node.devices_for(need)
            if devices is None:
                continue
            share = node.gpus[devices[0]] if need.gpus and need.gpus < 1 else 0.0
            rank = (node.group is not None, share, bool(node.gpus) and not need.gpus)
            if best is None or rank < best[0]:
                best = (rank, number, tuple(devices))
                if rank == (False, need.gpus % 1, False):
                    break  # there is none better
        if best is not None:
            return best[1:]
        return self._find(need) if self._start_node(need) else None

    def _start_node(self, need: Need) -> bool:
        """Add the node to come that holds most workers of the need; False if none holds any."""
        able = [group for group in self._groups_left() if workers_on(group.resources, need)]
        if not able:
            return False
        group = max(able, key=lambda group: (workers_on(group.resources, need), -group.resources.get("GPU", 0.0)))
        self._started[group.name] += 1
        self._nodes.append(_Node(group.resources, group.name))
        return True

    def _groups_left(self) -> Iterator[NodeGroup]:
        started = sum(self._started.values())
        if self._shape.most_more is None or started < self._shape.most_more:
            yield from (group for group in self._shape.growth if self._started[group.name] < group.more)
