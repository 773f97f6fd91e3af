"""One stage under Ray Train.

A stage of several workers is a ``TorchTrainer`` with its own workers. A stage of one process is the same ``TorchTrainer`` in
Train's local mode inside a pooled Ray task: a full trainer costs 9 to 14 s to start, this costs 0.01 s once a process is warm.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import ray

from orchestrator.artifacts import ArtifactStore
from orchestrator.execution.cluster import current_shape
from orchestrator.execution.failures import Kind, StageFailed, need_alone, persevere
from orchestrator.execution.job import StageJob
from orchestrator.execution.ledger_actor import find_ledger
from orchestrator.execution.ray_failures import diagnosis
from orchestrator.execution.resources import Need
from trainables.stage import StopRequested

if TYPE_CHECKING:
    import torch

_LOST_SECONDS = 20.0  # until Ray knows that a node is dead whose processes it knows to be
_CPU_SHARE = 0.95  # of each CPU; the rest is for the trial drivers


def run_stage(job: StageJob, need: Need, widen: Callable[[Need], None]) -> None:
    """Run a stage on the cluster by the policy, and wait for its result. Called in a trial's driver.

    Args:
        job: The stage.
        need: What it needs beside others.
        widen: Told what an attempt needs instead, before it.

    Raises:
        GivenUp: It has failed for good.
        StopRequested: The sweep is being stopped, or another process has taken the stage over.
    """
    store, ledger = ArtifactStore(job.setting.store), find_ledger(job.setting.store)

    def wait(seconds: float) -> None:
        limit = time.monotonic() + seconds
        while True:
            if ray.get(ledger.stopping.remote(job.setting.sweep)):
                raise StopRequested
            if (left := limit - time.monotonic()) <= 0:
                return
            time.sleep(min(left, 1.0))

    def attempt(alone: frozenset[str]) -> None:
        if alone:
            widen(wanted := need_alone(need, alone, current_shape().nodes))
        else:
            wanted = need
        nodes = _living_nodes()
        try:
            _run_alone(job, wanted) if wanted.workers == 1 else _run_together(job, wanted)
        except Exception as error:  # the store knows whether it came to its end all the same
            if store.is_done(job.fingerprint):
                return
            wait(0.0)
            failed = diagnosis(error)
            doubtful = failed.kind is Kind.killed or (wanted.workers > 1 and failed.kind in (Kind.peer, Kind.passing))
            raise (_unless_node_lost(failed, nodes, wait) if doubtful else failed) from None
        if not store.is_done(job.fingerprint):
            raise StageFailed("it ended without a result", Kind.killed)

    persevere(job.stage(), attempt, wait)


def _living_nodes() -> set[str]:
    return {node["NodeID"] for node in ray.nodes() if node["Alive"]}


def _unless_node_lost(failed: StageFailed, before: set[str], wait: Callable[[float], None]) -> StageFailed:
    """The failure, or that of a node which was lost since: a death, and what looks like a peer's, may be its doing."""
    limit = time.monotonic() + _LOST_SECONDS
    while not before - _living_nodes():
        if len(before) == 1 or time.monotonic() > limit:  # of one node, it is the one that this process is on
            return failed
        wait(1.0)
    return StageFailed(str(failed), Kind.lost)


def _run_alone(job: StageJob, need: Need) -> None:
    """In a pooled task; DEFAULT scheduling, because a trial's own placement group has no room for it."""
    task = _local_trainer_on_gpu if need.gpus else _local_trainer
    options = {"num_cpus": need.cpus * _CPU_SHARE, "num_gpus": need.gpus, "scheduling_strategy": "DEFAULT", "max_retries": 0}
    ray.get(task.options(**options).remote(_loop_config(job, need)))


def _train_locally(config: dict[str, Any]) -> None:
    from ray.train import ScalingConfig
    from ray.train.torch import TorchTrainer

    scaling = ScalingConfig(num_workers=0, use_gpu=config["use_gpu"])
    TorchTrainer(_train_loop, train_loop_config=config, scaling_config=scaling).fit()


_local_trainer = ray.remote(_train_locally)
# A process that has initialised CUDA stays on that GPU and keeps memory on it, so the next task gets a fresh one.
_local_trainer_on_gpu = ray.remote(max_calls=1)(_train_locally)


def _run_together(job: StageJob, need: Need) -> None:
    """With a worker group of its own, gang-scheduled by Ray Train."""
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer

    resources = {"CPU": need.cpus * _CPU_SHARE} | ({"GPU": need.gpus} if need.gpus else {})
    # A name of its own: Ray resumes a run of the same name from its own checkpoints, ours are in the store.
    name = f"{type(job.stage()).__name__}-{uuid.uuid4().hex[:8]}"
    with ArtifactStore(job.setting.store).ray_folder(name) as storage:
        TorchTrainer(
            _train_loop,
            train_loop_config=_loop_config(job, need),
            scaling_config=ScalingConfig(num_workers=need.workers, use_gpu=need.gpus > 0, resources_per_worker=resources),
            run_config=RunConfig(
                name=name,
                storage_path=storage,
                failure_config=FailureConfig(max_failures=0, controller_failure_limit=2),
            ),
        ).fit()


def _loop_config(job: StageJob, need: Need) -> dict[str, Any]:
    given = job.model_copy(update={"gpus": need.gpus})
    return {"job": given.model_dump(mode="json"), "use_gpu": need.gpus > 0, "cpus": need.cpus * _CPU_SHARE}


def _train_loop(config: dict[str, Any]) -> None:
    """What every worker runs."""
    import ray.train

    from orchestrator.execution.job import run_job
    from orchestrator.execution.ray_parts import RayParts
    from orchestrator.execution.ray_reporter import RayReporter

    job = StageJob.model_validate(config["job"])
    context = ray.train.get_context()
    reporter = RayReporter(job.setting.store, job.setting.sweep)
    try:
        run_job(
            job,
            reporter,
            RayParts(config["cpus"]),
            rank=context.get_world_rank(),
            world_size=context.get_world_size(),
            device=_device(config["use_gpu"]),
        )
    finally:
        reporter.flush()


def _device(use_gpu: bool) -> torch.device:
    """The device that was reserved for this worker."""
    import ray.train.torch
    import torch

    if not use_gpu:
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise StageFailed(
            "Ray reserved a GPU, but torch finds no CUDA device on this node; check its driver, or ask for --gpus-per-worker 0",
            Kind.fault,
        )
    return ray.train.torch.get_device()
