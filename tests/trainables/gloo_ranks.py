"""Runs a function on several ranks, each a process of its own, joined by gloo on this machine."""

from __future__ import annotations

import multiprocessing
import os
import traceback
from collections.abc import Callable
from pathlib import Path

import torch
import torch.distributed as dist

_HEAVY = ["pandas", "pytest", "sklearn.metrics", "torch.distributed", "torch._dynamo", "transformers.models.wavlm.modeling_wavlm"]


def run_on_ranks(function: Callable[..., None], world_size: int, directory: Path, *arguments: object) -> None:
    """Call ``function(rank, world_size, *arguments)`` on each rank, with torch.distributed initialised; fail if one fails."""
    processes = multiprocessing.get_context("forkserver")  # importing torch takes a rank longer than its work
    processes.set_forkserver_preload(_HEAVY)
    ranks = [
        processes.Process(target=_one_rank, args=(function, rank, world_size, directory / "rendezvous", arguments))
        for rank in range(world_size)
    ]
    for rank in ranks:
        rank.start()
    for rank in ranks:
        rank.join(timeout=120)
    codes = [rank.exitcode for rank in ranks]
    for rank in ranks:
        rank.kill()
    assert codes == [0] * world_size, f"exit codes of the ranks: {codes}"


def _one_rank(function: Callable[..., None], rank: int, world_size: int, rendezvous: Path, arguments: tuple) -> None:
    torch.set_num_threads(1)
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    dist.init_process_group("gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=world_size)
    try:
        function(rank, world_size, *arguments)
        dist.barrier()
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    # Not by way of the destructors: tearing gloo down now and then aborts ("terminate called without an active exception").
    os._exit(0)
