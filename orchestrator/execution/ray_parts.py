"""Parts of a stage's work as tasks of a Ray cluster, while the stage's own task waits.

A task that waits for others lends them its CPUs, so that even a cluster of one CPU gets through.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any

import ray
from ray.util import placement_group_table

from orchestrator.execution.parts import Look, Part, Parts, do_part

_LOOK_SECONDS = 0.5
_RETRIES = 3  # of a part whose process dies (memory, node, preemption)
_PER_SLOT = 2  # the next part waits where one is running, so that no worker is idle while the stage's task is busy


class RayParts(Parts):
    """Runs parts on whatever workers the cluster has.

    Args:
        cpus: That each part reserves.
    """

    def __init__(self, cpus: float) -> None:
        self._cpus = cpus

    def _run(self, parts: Sequence[Part], look: Look) -> Iterator[tuple[Part, list[str]]]:
        left = list(reversed(parts))
        running: dict[ray.ObjectRef, Part] = {}
        stopping, looked, room = False, 0.0, 0
        try:
            while running or (left and not stopping):
                if time.monotonic() - looked >= _LOOK_SECONDS:
                    stopping = look(1 - (len(left) + len(running)) / len(parts))
                    looked, room = time.monotonic(), self._room()
                while left and not stopping and len(running) < room:
                    part = left.pop()
                    running[self._begin(part)] = part
                for ended in ray.wait(list(running), timeout=_LOOK_SECONDS)[0] if running else ():
                    yield running.pop(ended), _faults(ended)
        finally:
            for abandoned in running:
                ray.cancel(abandoned)

    def _begin(self, part: Part) -> ray.ObjectRef:
        options = {"num_cpus": self._cpus, "scheduling_strategy": "SPREAD", "max_retries": _RETRIES}
        return _part_task.options(**options).remote(part.model_dump(mode="json"))

    def _room(self) -> int:
        """How many parts may be in flight: all that the cluster has room for, but one while a group of workers waits for its own.

        Ray gives each CPU that falls free to whoever wants just one; a group that needs several at once would wait for ever.
        """
        groups = [group for group in placement_group_table().values() if group["state"] == "PENDING"]
        if any(group["stats"]["scheduling_state"] != "INFEASIBLE" for group in groups):
            return 1
        return max(1, _PER_SLOT * int(ray.cluster_resources().get("CPU", 1) // self._cpus))


def _faults(ended: ray.ObjectRef) -> list[str]:
    """What the part's task returned.

    Raises:
        OSError: Its process died again and again, which need not happen another time. What the part raised comes as it is.
    """
    try:
        return ray.get(ended)
    except ray.exceptions.RayTaskError:
        raise
    except ray.exceptions.RayError as error:
        raise OSError(f"a part of the work was lost: {error}") from error


@ray.remote
def _part_task(content: dict[str, Any]) -> list[str]:
    import torch

    from trainables.numerics import keep_freed_memory

    part = Part.model_validate(content)
    keep_freed_memory()
    torch.set_num_threads(part.job.setting.threads)
    return do_part(part, lambda fraction: None)
