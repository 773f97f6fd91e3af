"""Joining a Ray cluster, or starting one on this machine for the time of a sweep.

Before this module is imported, :func:`orchestrator.execution.environment.set_environment` must have been called.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Mapping

import ray

from orchestrator.execution.ray_actors import NAMESPACE
from trainables.errors import UserError


@contextlib.contextmanager
def joined(address: str | None, machine: Mapping[str, float]) -> Iterator[None]:
    """Be a driver of the cluster at ``address``, or of one that is started here and ends with the sweep.

    Args:
        address: ``auto``, ``host:port``, ``ray://...``, or None for a cluster of this machine alone.
        machine: CPUs and GPUs of the cluster that is started here.

    Raises:
        UserError: The cluster cannot be reached.
    """
    options = {} if address else {"num_cpus": int(machine["CPU"]), "num_gpus": int(machine["GPU"])}
    try:
        ray.init(address=address or "local", namespace=NAMESPACE, log_to_driver=False, logging_level=logging.ERROR, **options)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise UserError(f"the Ray cluster at {address or 'this machine'} cannot be reached: {error}") from error
    try:
        yield
    finally:
        ray.shutdown()


def node_resources() -> list[dict[str, float]]:
    """CPUs and GPUs of every living node."""
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]
