"""One stage under Ray Train.

A stage of several workers is a ``TorchTrainer`` with its own workers. A stage of one process is the same ``TorchTrainer`` in
Train's local mode inside a pooled Ray task: a full trainer costs 9 to 14 s to start, this costs 0.01 s once a process is warm.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import ray

from orchestrator.artifacts import ArtifactStore
from orchestrator.execution.job import StageFailed, StageJob
from orchestrator.execution.ledger_actor import find_ledger
from orchestrator.execution.resources import Need
from trainables.errors import UserError
from trainables.stage import StopRequested

if TYPE_CHECKING:
    import torch

_ATTEMPTS = 3  # a worker may be killed (memory, node, preemption); the stage then goes on from its checkpoint
_CPU_SHARE = 0.95  # of each CPU; the rest is for the trial drivers, which hold 0.01 each


def run_stage(job: StageJob, need: Need) -> None:
    """Run a stage on the cluster and wait for its result. Called in a trial's driver.

    Raises:
        StageFailed: The stage raised what it would raise again, or came to no result in ``_ATTEMPTS`` attempts.
        StopRequested: The sweep is being stopped.
    """
    store, name = ArtifactStore(job.setting.store), job.fingerprint
    ledger, story = find_ledger(job.setting.store), "it ended without a result"
    for _ in range(_ATTEMPTS):
        try:
            _run_alone(job, need) if need.workers == 1 else _run_together(job, need)
        except Exception as error:  # Ray wraps what a worker raised in a dozen ways; the store and the ledger know what happened
            story = str(error)
        if store.is_done(name):
            return
        if ray.get(ledger.stopping.remote(job.setting.sweep)):
            raise StopRequested
        if known := store.failure(name):
            raise StageFailed(known)
    store.mark_failed(name, f"tried {_ATTEMPTS} times; the last time: {story}")
    raise StageFailed(story)


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
    return {"job": job.model_dump(mode="json"), "use_gpu": need.gpus > 0, "cpus": need.cpus * _CPU_SHARE}


def _train_loop(config: dict[str, Any]) -> None:
    """What every worker runs."""
    import ray.train

    from orchestrator.execution.job import run_job
    from orchestrator.execution.ray_parts import RayParts
    from orchestrator.execution.ray_reporter import RayReporter

    job = StageJob.model_validate(config["job"])
    context = ray.train.get_context()
    run_job(
        job,
        RayReporter(job.setting.store, job.setting.sweep),
        RayParts(config["cpus"]),
        rank=context.get_world_rank(),
        world_size=context.get_world_size(),
        device=_device(job, config["use_gpu"]),
    )


def _device(job: StageJob, use_gpu: bool) -> torch.device:
    """The device that was reserved for this worker."""
    import ray.train.torch
    import torch

    if not use_gpu:
        return torch.device("cpu")
    if not torch.cuda.is_available():
        story = "Ray reserved a GPU, but torch finds no CUDA device on this node; check its driver, or ask for --gpus-per-worker 0"
        ArtifactStore(job.setting.store).mark_failed(job.fingerprint, story)
        raise UserError(story)
    return ray.train.torch.get_device()
