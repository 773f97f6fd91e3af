"""What is done about a stage that fails: the policy, in one place, for every kind of process.

==============  ==========================================================  ==============================  ===================
kind            what happened                                               tried in all                    afterwards
==============  ==========================================================  ==============================  ===================
fault           the user can mend it; a bad file that is found late         once                            ``--redo retry``
diverged        a loss that is no finite number                             once: seeds give it again       ``--redo retry``
error           any other exception of a stage of one process               once: it would be raised again  ``--redo retry``
GPU memory      torch could not allocate on the GPU                         twice, then with a whole GPU    ``--redo retry``
memory          no memory left on the node; Ray's monitor killed a worker   twice, then with a whole node   ``--redo retry``
passing         the store, a disk or the network failed (``OSError``)       3 times, 32 s                   the same command
peer            one of several workers raised: maybe a peer's death         3 times, 12 s                   the same command
killed          a process died, and nothing says why                        5 times, 44 s                   the same command
lost            a node was lost, preempted, or had no room after all        as often as it takes            (never fails)
==============  ==========================================================  ==============================  ===================

Kinds are counted apart. A stage goes on from its checkpoint each time. What was killed may have been so by the kernel, for memory,
of which nobody is told: the last time it too has a node to itself. A failure is kept in the store with its kind and the number of
attempts; it ends the trials that need the stage and no others. One that the same command tries again would be gone with its cause;
of the others the cause must be mended first.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from orchestrator.artifacts import ArtifactStore
from orchestrator.execution.resources import Need
from trainables.errors import UserError
from trainables.stage import Stage


class Kind(StrEnum):
    """What kind of failure it is; see the table above."""

    fault = "fault"
    diverged = "diverged"
    error = "error"
    gpu_memory = "GPU memory"
    memory = "memory"
    passing = "passing"
    peer = "peer"
    killed = "killed"
    lost = "lost"


@dataclass(frozen=True)
class Rule:
    """What is done about one kind.

    Attributes:
        words: What happened.
        tries: Attempts in all; None: no limit.
        pauses: Seconds before the second attempt, the third, ...; the last number holds for all that follow.
        alone: What the last attempt has to itself: 'GPU', 'node' or nothing.
        lasts: Whether another run of the same command leaves the stage failed, until it is told to retry.
    """

    words: str
    tries: int | None = 1
    pauses: tuple[float, ...] = ()
    alone: str = ""
    lasts: bool = True


POLICY: Mapping[Kind, Rule] = {
    Kind.fault: Rule("something must be mended"),
    Kind.diverged: Rule("the training diverged"),
    Kind.error: Rule("it raised an error"),
    Kind.gpu_memory: Rule("out of GPU memory", 2, (2.0,), "GPU"),
    Kind.memory: Rule("out of memory", 2, (2.0,), "node"),
    Kind.passing: Rule("a disk, the store or the network failed", 3, (2.0, 30.0), lasts=False),
    Kind.peer: Rule("one of several workers failed", 3, (2.0, 10.0), lasts=False),
    Kind.killed: Rule("its process was killed", 5, (0.0, 2.0, 12.0, 30.0), "node", lasts=False),
    Kind.lost: Rule("its node was lost", None, (0.0, 2.0, 10.0, 30.0, 60.0), lasts=False),
}


class StageFailed(Exception):
    """An attempt to run a stage has failed, or all have.

    Args:
        story: Why, for people.
        kind: Of failure.
    """

    def __init__(self, story: str, kind: Kind = Kind.error) -> None:
        super().__init__(story)
        self.kind = kind


class Diverged(UserError):
    """The loss is no finite number any more."""


class Failure(BaseModel):
    """Why a stage failed, as the store keeps it.

    Attributes:
        error: The reason, for people.
        kind: Of the last attempt's failure.
        attempts: How often it was tried.
    """

    model_config = ConfigDict(frozen=True)

    error: str
    kind: Kind = Kind.error
    attempts: int = 1

    @property
    def lasts(self) -> bool:
        """Whether the stage stays failed until it is told to retry."""
        return POLICY[self.kind].lasts

    @property
    def happened(self) -> str:
        """What kind of failure it was, and how often the stage was tried."""
        return POLICY[self.kind].words + (f", tried {self.attempts} times" if self.attempts > 1 else "")

    @property
    def summary(self) -> str:
        """The same with the line of the reason that says most: the last of a traceback, the first of what is told in words."""
        lines = self.error.strip().splitlines() or [""]
        tracebacks = [line for line in lines if re.match(r"[\w.]+(Error|Exception|Interrupt)\b", line)]
        return f"{self.happened}: {(tracebacks or lines[:1])[-1]}"


def failure_of(store: ArtifactStore, fingerprint: str) -> Failure | None:
    """Why the stage failed, if it did."""
    content = store.read_document(f"failures/{fingerprint}.json")
    return None if content is None else Failure.model_validate_json(content)


def kind_of(error: BaseException, workers: int) -> Kind:
    """The kind of failure that an exception of a stage's own process is.

    Args:
        error: What the stage raised.
        workers: How many it has: the exception of one of several may be the echo of a peer's death.
    """
    import torch

    if isinstance(error, Diverged | FloatingPointError):
        return Kind.diverged
    if isinstance(error, UserError):
        return Kind.fault
    if isinstance(error, torch.OutOfMemoryError) or (isinstance(error, RuntimeError) and _of_gpu_memory(str(error))):
        return Kind.gpu_memory
    if isinstance(error, MemoryError):
        return Kind.memory
    if isinstance(error, OSError):
        return Kind.passing
    return Kind.error if workers == 1 else Kind.peer


def _of_gpu_memory(message: str) -> bool:
    """CUDA's libraries say it in their own words, without torch's exception."""
    words = ("CUDA error: out of memory", "CUBLAS_STATUS_ALLOC_FAILED", "CUDNN_STATUS_ALLOC_FAILED")
    return any(each in message for each in words)


def persevere(stage: Stage, attempt: Callable[[frozenset[str]], None], wait: Callable[[float], None]) -> None:
    """Run a stage by the policy.

    Args:
        stage: Its settings are what a reason names.
        attempt: Tries once, with what is named ('GPU', 'node') to itself; raises StageFailed.
        wait: Lets so many seconds pass; raises StopRequested if the sweep is being stopped.

    Raises:
        GivenUp: The policy allows no further attempt.
    """
    counts: Counter[Kind] = Counter()
    alone: frozenset[str] = frozenset()
    while True:
        try:
            return attempt(alone)
        except StageFailed as error:
            kind, story = error.kind, str(error)
        rule, counts[kind] = POLICY[kind], counts[kind] + 1
        if rule.tries is not None and counts[kind] >= rule.tries:
            reason = "\n\n".join(part for part in (story.rstrip(), _what_to_do(stage, kind)) if part)
            raise GivenUp(Failure(error=reason, kind=kind, attempts=counts.total()))
        wait(rule.pauses[min(counts[kind], len(rule.pauses)) - 1])
        if rule.alone and counts[kind] + 1 == rule.tries:
            alone |= {rule.alone}


class GivenUp(StageFailed):
    """A stage has failed for good."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.error, failure.kind)
        self.failure = failure

    def remember(self, store: ArtifactStore, fingerprint: str) -> None:
        """Keep it in the store; a store that takes nothing is told of by what failed, and has the stage tried again."""
        facts = self.failure.model_dump(mode="json", exclude={"error"})
        with contextlib.suppress(OSError):
            store.mark_failed(fingerprint, self.failure.error, **facts)


def need_alone(need: Need, alone: Collection[str], nodes: Iterable[Mapping[str, float]]) -> Need:
    """What a stage needs to have a whole GPU or a whole node to itself, as far as there is one.

    A group of workers is left on its nodes: that as many whole ones are there is too much to ask.

    Args:
        need: What it needs beside others.
        alone: 'GPU', 'node'.
        nodes: Resources of each living node.
    """
    if "GPU" in alone:
        need = dataclasses.replace(need, gpus=float(math.ceil(need.gpus)))
    if "node" in alone and need.workers == 1:
        fitting = [node.get("CPU", 0.0) for node in nodes if node.get("GPU", 0.0) >= need.gpus]
        need = dataclasses.replace(need, cpus=max([need.cpus, *map(math.floor, fitting)]))
    return need


def _what_to_do(stage: Stage, kind: Kind) -> str:
    """Which settings to lower, from the stage's own fields; nothing where the reason says it all."""
    if kind is Kind.diverged:
        lower = _named(stage, ("learning_rate",), "lower")
        return f"The training diverged. {_listed([*lower, *_precision(stage, 'float32')]) or 'Look at its curves'}."
    if kind in (Kind.killed, Kind.memory):
        name = type(stage).__name__
        more = f"give it more of a node, so that fewer stages share its memory (--per-stage '{name}.cpus=...')"
        told = "Nothing says why its process died; if the kernel killed it for memory" if kind is Kind.killed else "Out of memory"
        return f"{told}: {_listed([more, *_sizes(stage)])}."
    if kind is Kind.gpu_memory:
        return f"Out of GPU memory, also with a whole GPU to itself: {_listed([*_share(stage), *_sizes(stage)])}."
    return ""


def _share(stage: Stage) -> list[str]:
    """What changes no result."""
    name = type(stage).__name__
    shared = f"let other programs off its GPU and reserve it whole (--per-stage '{name}.gpus=1')"
    return [shared, f"divide each batch among workers (--per-stage '{name}.workers=2')"] if stage.data_parallel else [shared]


def _sizes(stage: Stage) -> list[str]:
    """Settings by which a stage takes less memory; they make it another experiment."""
    large = _named(stage, [name for name in stage.settings() if name.startswith("batch_size") or name.endswith("_frames")], "lower")
    half = _precision(stage, "bfloat16")
    return [f"{each}, which makes it another experiment" for each in (*large, *half)]


def _named(stage: Stage, names: Iterable[str], verb: str) -> list[str]:
    settings = stage.settings()
    return [f"{verb} {name} (it is {settings[name]})" for name in names if name in settings]


def _precision(stage: Stage, better: str) -> list[str]:
    precision = stage.settings().get("precision", better)
    return [] if precision == better else [f"set precision to '{better}' (it is '{precision}')"]


def _listed(ways: list[str]) -> str:
    return "; or ".join(ways)
