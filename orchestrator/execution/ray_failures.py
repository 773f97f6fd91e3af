"""What became of an attempt on a cluster: Ray wraps what a worker raised in a dozen ways, and has its own words for who died."""

from __future__ import annotations

from collections.abc import Iterator

from ray.exceptions import (
    LocalRayletDiedError,
    NodeDiedError,
    OutOfMemoryError,
    RayActorError,
    RayError,
    RayTaskError,
    WorkerCrashedError,
)

from orchestrator.execution.failures import Kind, StageFailed, kind_of
from trainables.stage import StopRequested

_CERTAIN = (Kind.fault, Kind.diverged, Kind.gpu_memory, Kind.memory, Kind.error)
"""Kinds that a worker knows by itself, and no peer's death looks like."""
_NO_ROOM = ("WorkerGroupStartupTimeoutError", "WorkerGroupStartupFailedError", "InsufficientClusterResourcesError")
"""Of Ray Train: what runs elsewhere, or a node that went meanwhile, was in the way of a group of workers."""


def diagnosis(error: BaseException) -> StageFailed:
    """Why an attempt failed.

    Of a lost node nothing is known for sure: a worker's death is told sooner than its node's, and its peers fail by it.

    Args:
        error: What running a task, or a trainer, has raised.

    Raises:
        StopRequested: The stage was stopped, which is no failure.
    """
    found = list(_causes(error))
    if any(isinstance(each, StopRequested) for each in found):
        raise StopRequested from None
    told = [each for each in found if isinstance(each, StageFailed)]
    for kind in _CERTAIN:
        for each in told:
            if each.kind is kind:
                return each
    for each in found:
        if (kind := _of_death(each)) is not None:
            return StageFailed(str(each), kind)
    if told:
        return told[0]
    for each in found:
        if type(each).__name__ in _NO_ROOM:
            return StageFailed(str(each), Kind.lost)
        if not isinstance(each, RayError) and not type(each).__module__.startswith("ray."):  # before the stage began
            return StageFailed(str(error), kind_of(each, workers=1))
    return StageFailed(str(error), Kind.killed)


def _of_death(error: BaseException) -> Kind | None:
    """The kind of failure, if the exception says that a process has died."""
    if isinstance(error, OutOfMemoryError):
        return Kind.memory
    if isinstance(error, NodeDiedError | LocalRayletDiedError) or type(error).__name__ == "PreemptionError":
        return Kind.lost
    if isinstance(error, RayActorError):
        return Kind.lost if error.preempted else Kind.killed
    return Kind.killed if isinstance(error, WorkerCrashedError) else None


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An exception and all that it wraps; a task's error stands for what the task raised and is none itself."""
    if isinstance(error, RayTaskError):
        yield from _causes(error.cause)
        return
    yield error
    wrapped = [getattr(error, name, None) for name in ("controller_failure", "health_check_failure", "_base_exc")]
    for each in (*wrapped, *getattr(error, "worker_failures", {}).values()):
        if isinstance(each, BaseException):
            yield from _causes(each)
