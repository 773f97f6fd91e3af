"""The tracker as a named actor: the only process of a sweep on a cluster that talks to MLflow."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from orchestrator.delivery import Call
from orchestrator.execution.namespace import NAMESPACE
from orchestrator.tracking import Tracker
from orchestrator.tracking.credentials import tracking_environment

_AWAITED = ("stage_ended", "trial_ended", "open_sweep", "open_search")
_END_SECONDS = 60.0  # for what is still to be written when the sweep ends


class TrackerActor:
    """A :class:`~orchestrator.tracking.Tracker` in a process of its own, which keeps no caller waiting."""

    def open(self, uri: str, artifacts: Path | None, environment: Mapping[str, str]) -> None:
        """Say where MLflow is, and what of the environment it takes its credentials from.

        By a call, not on construction: Ray keeps what actors are made of for as long as the cluster lives, and a runtime
        environment is shown to everybody.
        """
        os.environ.update(environment)
        self._tracker = Tracker(uri, artifacts, waits=False)

    def call(self, method: str, *arguments: Any) -> Any:
        """Call one of the tracker's methods."""
        return getattr(self._tracker, method)(*arguments)


def make_tracker(sweep: str, tracking_uri: str, artifacts: Path | None) -> ray.actor.ActorHandle:
    """Start the tracker of this sweep, on this node: a sqlite store is a file here. It dies with this process."""
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    options = {"name": _tracker_name(sweep), "namespace": NAMESPACE, "num_cpus": 0, "scheduling_strategy": here}
    tracker = ray.remote(TrackerActor).options(**options).remote()
    ray.get(tracker.open.remote(tracking_uri, artifacts, tracking_environment()))
    return tracker


def find_tracker(sweep: str) -> ray.actor.ActorHandle:
    """The tracker of this sweep, from any process of the cluster."""
    return ray.get_actor(_tracker_name(sweep), namespace=NAMESPACE)


def caller(sweep: str) -> Call:
    """Calls the tracker of this sweep, from any process of the cluster. One that died is no reason to fail: the end of the sweep
    delivers what it missed.

    What ends a run is waited for; the rest, which comes before it, is not.
    """
    tracker = None
    with contextlib.suppress(ray.exceptions.RayError, ValueError):  # ValueError: there is no actor of this name any more
        tracker = find_tracker(sweep)

    def call(method: str, *arguments: Any) -> None:
        if tracker is not None:
            with contextlib.suppress(ray.exceptions.RayError):
                answer = tracker.call.remote(method, *arguments)
                if method in _AWAITED:
                    ray.get(answer)

    return call


def end_tracker(tracker: ray.actor.ActorHandle) -> None:
    """Let the tracker write what it has, and end its process."""
    with contextlib.suppress(ray.exceptions.RayError):
        ray.get(tracker.call.remote("leave"), timeout=_END_SECONDS)
    ray.kill(tracker)


def _tracker_name(sweep: str) -> str:
    return f"tracker-{sweep}"
