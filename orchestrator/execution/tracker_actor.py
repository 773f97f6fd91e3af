"""The tracker as a named actor: the only process of a sweep on a cluster that talks to MLflow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from orchestrator.execution.namespace import APART, NAMESPACE
from orchestrator.tracking import Tracker


class TrackerActor:
    """A :class:`~orchestrator.tracking.Tracker` in a process of its own."""

    def __init__(self, uri: str, artifacts: Path | None) -> None:
        self._tracker = Tracker(uri, artifacts)

    def call(self, method: str, *arguments: Any) -> Any:
        """Call one of the tracker's methods."""
        return getattr(self._tracker, method)(*arguments)


def make_tracker(sweep: str, tracking_uri: str, artifacts: Path | None) -> ray.actor.ActorHandle:
    """Start the tracker of this sweep, on this node: a sqlite store is a file here."""
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    options = {"name": _tracker_name(sweep), "scheduling_strategy": here, **APART}
    return ray.remote(TrackerActor).options(**options).remote(tracking_uri, artifacts)


def find_tracker(sweep: str) -> ray.actor.ActorHandle:
    """The tracker of this sweep, from any process of the cluster."""
    return ray.get_actor(_tracker_name(sweep), namespace=NAMESPACE)


def _tracker_name(sweep: str) -> str:
    return f"tracker-{sweep}"
