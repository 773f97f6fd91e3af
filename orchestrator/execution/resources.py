"""What a stage needs, what a machine or cluster has, and why a request can never be met."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

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

    def fits(self, free: Mapping[str, float]) -> bool:
        """Whether all workers together fit into what is free (``CPU``, ``GPU``)."""
        return self.workers * self.cpus <= free.get("CPU", 0) and self.workers * self.gpus <= free.get("GPU", 0) + 1e-9


@dataclass(frozen=True)
class ResourceRequest:
    """What the user asked for on the command line.

    Attributes:
        workers: Workers of every data-parallel stage.
        cpus_per_worker: CPUs (and threads) of each worker.
        gpus_per_worker: GPUs of each worker of a stage that can use one; None: one if the cluster has any.
    """

    workers: int = 1
    cpus_per_worker: int = 1
    gpus_per_worker: float | None = None

    def need(self, stage: Stage, has_gpus: bool) -> Need:
        """What one stage needs."""
        wanted = self.gpus_per_worker if self.gpus_per_worker is not None else float(has_gpus)
        return Need(
            workers=self.workers if stage.data_parallel else 1,
            cpus=self.cpus_per_worker,
            gpus=wanted if stage.accelerated else 0.0,
        )


def this_machine() -> dict[str, float]:
    """CPUs and GPUs that this process may use."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    present = len(list(Path("/proc/driver/nvidia/gpus").glob("*")))
    gpus = present if visible is None else min(present, len([d for d in visible.split(",") if d.strip() not in ("", "-1")]))
    return {"CPU": float(len(os.sched_getaffinity(0))), "GPU": float(gpus)}


def request_faults(request: ResourceRequest, stages: Iterable[Stage], nodes: Iterable[Mapping[str, float]] | None) -> list[str]:
    """Every reason why the request cannot be met, each with the missing resource and what to do.

    Args:
        request: What the user asked for.
        stages: All stages of the plan.
        nodes: Resources of each node, ``{"CPU": 8, "GPU": 1}``; None if they are not known yet.
    """
    stages = list(stages)
    faults = []
    gpus = request.gpus_per_worker or 0.0
    if gpus > 1 and gpus != math.floor(gpus):
        faults.append(f"--gpus-per-worker {gpus:g}: above one GPU only whole numbers can be reserved")
    if request.workers > 1 and 0 < gpus < 1:
        faults.append(
            f"--workers {request.workers} with --gpus-per-worker {gpus:g}: NCCL cannot run two workers of one stage on one GPU; "
            f"ask for whole GPUs or one worker"
        )
    if nodes is not None:
        faults += _shortages(request, stages, list(nodes))
    for stage in stages:
        if message := stage.validate_workers(request.workers if stage.data_parallel else 1):
            faults.append(message)
    return list(dict.fromkeys(faults))


def _shortages(request: ResourceRequest, stages: list[Stage], nodes: list[Mapping[str, float]]) -> list[str]:
    total = {kind: sum(node.get(kind, 0.0) for node in nodes) for kind in ("CPU", "GPU")}
    needs = {request.need(stage, total["GPU"] > 0) for stage in stages}
    by_size = sorted(needs, key=lambda need: (need.gpus, need.workers))
    return [message for need in by_size for message in _shortage(need, total, nodes)]


def _shortage(need: Need, total: Mapping[str, float], nodes: list[Mapping[str, float]]) -> list[str]:
    """Why a need can never be met, or nothing."""
    faults = []
    for kind, each in (("CPU", float(need.cpus)), ("GPU", need.gpus)):
        largest = max((node.get(kind, 0.0) for node in nodes), default=0.0)
        if need.workers * each > total[kind]:
            faults.append(
                f"{need.workers} worker{'s' * (need.workers > 1)} x {each:g} {kind} = {need.workers * each:g} {kind}, "
                f"but there are {total[kind]:g} in all; ask for fewer workers, fewer {kind}s each, or a larger cluster"
            )
        elif each > largest:
            faults.append(f"a worker needs {each:g} {kind}, but the largest node has {largest:g}; ask for fewer {kind}s per worker")
    return faults
