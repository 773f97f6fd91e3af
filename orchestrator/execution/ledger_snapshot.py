"""What the ledger tells people: which stages run, which wait, and why each of them waits."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict

from orchestrator.execution.cluster_shape import ClusterShape
from orchestrator.execution.packing import Packing
from orchestrator.execution.resources import Need

_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")


class RunningStage(BaseModel):
    """A stage that has been given the right to compute.

    Attributes:
        owner: Who computes it.
        sweep: For which sweep.
        need: What it uses.
        fraction: Fraction done.
        seconds: Since it was given the right.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    owner: str
    sweep: str
    need: Need
    fraction: float
    seconds: float


class QueuedStage(BaseModel):
    """A stage that waits.

    Attributes:
        need: What it will use.
        place: In the queue, from 1; 0 if it has its turn and waits for the autoscaler alone.
        reason: Why it waits, a sentence.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    need: Need
    place: int
    reason: str


class Snapshot(BaseModel):
    """The ledger at one moment, JSON-able.

    Attributes:
        running: By fingerprint.
        queued: By fingerprint, in their order.
        capacity: CPUs and GPUs that are there.
        may_grow_to: The same with all that the autoscaler may add.
        free: What is free of those that are there.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    running: dict[str, RunningStage]
    queued: dict[str, QueuedStage]
    capacity: dict[str, float]
    may_grow_to: dict[str, float]
    free: dict[str, float]


def why_awaited(need: Need, free: Mapping[str, float], group: str) -> str:
    """Why a stage that has its turn does not run: a node of an autoscaler's group is still to come."""
    kind = _scarce(need, free)
    return f"waits for the autoscaler: needs {_amount(need, kind)}; {free[kind]:g} are free, nodes of group {group!r} are to come"


def why_queued(need: Need, shape: ClusterShape, room: Packing, place: int, longest: str) -> str:
    """Why a stage waits for its turn.

    Args:
        need: What it needs.
        shape: The cluster.
        room: What runs there.
        place: The stage's place in the queue, from 1.
        longest: Fingerprint of the stage that waits longest; '' if the room kept for others is not what is in its way.
    """
    if (most := shape.room(need)) < need.workers:
        wanted = f"{need.workers} worker{'s' * (need.workers > 1)} of {_share(need)}"
        return f"needs {wanted} each, of which the nodes that are left hold {most}; waits for nodes to come back"
    turn = f"{_ordinal(place)} in the queue"
    if room.fits(need):
        return f"room is kept for {longest}, which waits longer; {turn}" if longest else f"its turn has come; {turn}"
    free, total = room.free(), shape.total()
    kind = _scarce(need, free)
    story = f"needs {_amount(need, kind)}; {free[kind]:g} of {total[kind]:g} are free, {turn}"
    return story if _wanted(need)[kind] > free[kind] else f"{story}, but no node has enough of all it needs"


def _wanted(need: Need) -> dict[str, float]:
    return {"CPU": need.workers * need.cpus, "GPU": need.workers * need.gpus}


def _scarce(need: Need, free: Mapping[str, float]) -> str:
    """The resource that a stage lacks; GPUs first, because they are what one waits for."""
    lacking = [kind for kind in ("GPU", "CPU") if _wanted(need)[kind] > free[kind]]
    return lacking[0] if lacking else ("GPU" if need.gpus else "CPU")


def _amount(need: Need, kind: str) -> str:
    return f"{need.workers} x {need.gpus if kind == 'GPU' else need.cpus:g} {kind}"


def _share(need: Need) -> str:
    return f"{need.cpus:g} CPU" + (f" and {need.gpus:g} GPU" if need.gpus else "")


def _ordinal(place: int) -> str:
    return _ORDINALS[place - 1] if place <= len(_ORDINALS) else f"number {place}"
