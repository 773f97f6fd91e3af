"""What the store itself tells of the stages behind sweeps: which are finished or failed, what they took, who holds them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

from orchestrator.artifacts import ArtifactStore
from orchestrator.execution.failures import Failure, failure_of
from orchestrator.execution.store_lease import lease_sentence
from trainables.errors import UserError

_AT_ONCE = 16  # a store on a network answers many questions in the time of one
_ENDING = ".json"


@dataclass(frozen=True)
class Cost:
    """What computing a stage took, by its ``provenance.json``: of its last attempt, if it was interrupted.

    Attributes:
        wall: Seconds from start to end.
        cpu: Seconds of CPU cores that were reserved for it.
        gpu: Seconds of GPUs that were reserved for it; of a result that does not tell how many, of those that it computed on.
    """

    wall: float
    cpu: float
    gpu: float


@dataclass(frozen=True)
class Facts:
    """What the store holds of some stages.

    Attributes:
        done: Fingerprints of finished stages.
        failures: Of failed stages, by fingerprint.
        leases: Who computes a stage, in a sentence, by fingerprint.
        costs: Of finished stages, as far as they can be read.
    """

    done: frozenset[str] = frozenset()
    failures: Mapping[str, Failure] = field(default_factory=dict)
    leases: Mapping[str, str] = field(default_factory=dict)
    costs: Mapping[str, Cost] = field(default_factory=dict)


class StoreFacts:
    """Looks at a store, again and again; what a finished stage took is read once.

    Args:
        store: Where to look.
    """

    def __init__(self, store: ArtifactStore) -> None:
        self._store = store
        self._costs: dict[str, Cost | None] = {}

    def look(self, stages: Iterable[str]) -> Facts:
        """The facts about these stages, by fingerprint."""
        stages = list(stages)
        done = {name for name, there in _each(self._store.is_done, stages) if there}
        missing = set(stages) - done
        self._costs = {name: cost for name, cost in self._costs.items() if name in done}  # it may be computed again
        self._costs |= _each(self._cost, done - self._costs.keys())
        failures = dict(_each(lambda name: failure_of(self._store, name), missing & self._named("failures")))
        leases = dict(_each(lambda name: lease_sentence(self._store, name), missing & self._named("leases")))
        return Facts(
            frozenset(done),
            {name: failure for name, failure in failures.items() if failure is not None},
            {name: sentence for name, sentence in leases.items() if sentence is not None},
            {name: cost for name, cost in self._costs.items() if cost is not None},
        )

    def _named(self, folder: str) -> set[str]:
        """The fingerprints that have a document in a folder."""
        names = self._store.list_documents(folder)
        return {name.removeprefix(f"{folder}/").removesuffix(_ENDING) for name in names}

    def _cost(self, fingerprint: str) -> Cost | None:
        try:
            known = self._store.read_json(fingerprint, "provenance.json")
            wall, gpu = float(known["wall_seconds"]), float(known["gpu_seconds"])
            each = float(known.get("gpus", 1.0))  # results from before it was recorded count as if they had had whole GPUs
            return Cost(wall, wall * int(known["workers"]) * int(known["threads"]), gpu * each)
        except (UserError, OSError, KeyError, TypeError, ValueError):
            return None  # a sum over the others is still worth telling; the next sweep refuses a damaged result


_Answer = TypeVar("_Answer")


def _each(ask: Callable[[str], _Answer], names: Iterable[str]) -> list[tuple[str, _Answer]]:
    """The answers for all names; in threads, each with a share of the names, because a single question may take microseconds."""
    names = list(names)
    shares = [names[start::_AT_ONCE] for start in range(min(_AT_ONCE, len(names)))]
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        answered = threads.map(lambda share: [(name, ask(name)) for name in share], shares)
        return [pair for share in answered for pair in share]
