"""What a stage needs, what a machine or cluster has, and why a request can never be met."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from orchestrator.execution.cluster_shape import KINDS, ClusterShape
from trainables.stage import Stage


@dataclass(frozen=True)
class Need:
    """What a stage's workers need together; each worker must find its share on one node.

    Attributes:
        workers: Number of processes.
        cpus: CPUs per worker.
        gpus: GPUs per worker; a fraction lets several stages share one.
    """

    workers: int = 1
    cpus: float = 1
    gpus: float = 0.0

    @property
    def threads(self) -> int:
        """CPU threads of each worker."""
        return max(1, int(self.cpus))


@dataclass(frozen=True)
class StageRequest:
    """What the user asked for one class of stages; None: as for all others.

    Attributes:
        workers: Workers of each such stage.
        cpus: CPUs (and threads) of each worker.
        gpus: GPUs of each worker.
    """

    workers: int | None = None
    cpus: int | None = None
    gpus: float | None = None


@dataclass(frozen=True)
class ResourceRequest:
    """What the user asked for on the command line.

    Attributes:
        workers: Workers of every data-parallel stage.
        cpus_per_worker: CPUs (and threads) of each worker.
        gpus_per_worker: GPUs of each worker of a stage that can use one; None: one if the cluster has any.
        stages: What differs for some classes of stages, by the name of the class.
        misread: What is wrong with how ``stages`` was written (:func:`orchestrator.execution.per_stage.read_per_stage`); told
            together with all other faults.
    """

    workers: int = 1
    cpus_per_worker: int = 1
    gpus_per_worker: float | None = None
    stages: Mapping[str, StageRequest] = field(default_factory=dict)
    misread: tuple[str, ...] = ()

    def need(self, stage: Stage, has_gpus: bool) -> Need:
        """What one stage needs."""
        own = self.stages.get(type(stage).__name__, StageRequest())
        gpus = next((asked for asked in (own.gpus, self.gpus_per_worker) if asked is not None), float(has_gpus))
        return Need(
            workers=(own.workers or self.workers) if stage.data_parallel else 1,
            cpus=own.cpus or self.cpus_per_worker,
            gpus=gpus if stage.accelerated else 0.0,
        )

    def most_workers(self) -> int:
        """The most workers that any stage may have."""
        return max([self.workers, *(asked.workers or 1 for asked in self.stages.values())])


def this_machine() -> dict[str, float]:
    """CPUs and GPUs that this process may use."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    present = len(list(Path("/proc/driver/nvidia/gpus").glob("*")))
    gpus = present if visible is None else min(present, len([d for d in visible.split(",") if d.strip() not in ("", "-1")]))
    return {"CPU": float(len(os.sched_getaffinity(0))), "GPU": float(gpus)}


def request_faults(request: ResourceRequest, stages: Iterable[Stage], shape: ClusterShape | None) -> list[str]:
    """Every reason why the request cannot be met, each with the missing resource and what to do.

    Args:
        request: What the user asked for.
        stages: All stages of the plan.
        shape: The cluster; None if it is not known yet.
    """
    kinds: dict[Need, list[Stage]] = {}
    for stage in stages:
        has_gpus = shape is not None and shape.grown()["GPU"] > 0
        kinds.setdefault(request.need(stage, has_gpus), []).append(stage)
    faults = []
    for need in sorted(kinds, key=lambda need: (need.gpus, need.workers, need.cpus)):
        names = sorted({type(stage).__name__ for stage in kinds[need]})
        found = [*_senseless(need), *(_shortages(need, shape) if shape is not None else ())]
        faults += [f"{message} (for {_some(names)})" for message in found]
        faults += [message for stage in kinds[need] if (message := stage.validate_workers(need.workers))]
    return list(dict.fromkeys(faults))


def _senseless(need: Need) -> list[str]:
    """What no cluster could give."""
    faults = []
    if need.gpus > 1 and need.gpus != math.floor(need.gpus):
        faults.append(f"{need.gpus:g} GPUs per worker: above one GPU only whole numbers can be reserved")
    if need.workers > 1 and 0 < need.gpus < 1:
        faults.append(
            f"{need.workers} workers with {need.gpus:g} GPU each: NCCL cannot run two workers of one stage on one GPU; ask for "
            f"whole GPUs or one worker"
        )
    return faults


def _shortages(need: Need, shape: ClusterShape) -> list[str]:
    """Why a need can never be met on this cluster, or nothing."""
    if shape.room(need) >= need.workers:
        return []
    grown, scope = shape.grown(), "" if not shape.growth else ", those included that the autoscaler may add"
    workers, faults = f"{need.workers} worker{'s' * (need.workers > 1)}", []
    for kind, each in zip(KINDS, (need.cpus, need.gpus), strict=True):
        if need.workers * each > grown[kind]:
            faults.append(
                f"{workers} x {each:g} {kind} = {need.workers * each:g} {kind}, but there are {grown[kind]:g} in all{scope}; "
                f"ask for fewer workers, fewer {kind}s each, or a larger cluster"
            )
        elif each > (largest := shape.largest(kind)):
            faults.append(
                f"a worker needs {each:g} {kind}, but the largest node has {largest:g}{scope}; ask for fewer {kind}s per worker"
            )
    share = f"{need.cpus:g} CPU" + (f" and {need.gpus:g} GPU" if need.gpus else "")
    return faults or [
        f"{workers} with {share} each, every one on a single node: the nodes hold {shape.room(need)} such workers at a time"
        f"{scope}; ask for fewer workers, less for each, or larger nodes"
    ]


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
