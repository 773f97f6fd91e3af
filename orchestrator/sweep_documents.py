"""What a sweep writes of itself into the store, so that any machine that sees the store can tell how it gets on, without Ray.

    <store>/sweeps/<key>/plan.json      every trial and every stage behind it; written when the sweep begins, and by a search, which
                                        is told as a sweep with a trial for each of its points, whenever there is news of a point
    <store>/sweeps/<key>/status.json    what is computed and what waits; replaced every few seconds, and once more at the end

What is finished or has failed is in neither: the store's results and failures say so themselves, and stay true when a sweep dies.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from orchestrator.processes import process_runs, process_space
from trainables.errors import UserError

if TYPE_CHECKING:
    from orchestrator.artifacts import ArtifactStore
    from orchestrator.execution.setting import Setting
    from orchestrator.plan import Plan
    from trainables.stage import Stage

SILENT_SECONDS = 60.0
"""A running sweep that has written nothing for so long gives no sign of life; it writes twelve times as often."""

State = Literal["running", "stopped", "finished", "failed"]

_FOLDER = "sweeps"
_AT_ONCE = 16  # documents read at a time: a store may be far away


class Document(BaseModel):
    """A frozen document. Fields that it does not know are left out: a newer version of the program may have written them."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class StageInfo(Document):
    """A stage: what people call it, and the fingerprints of the stages that it reads."""

    label: str
    upstream: list[str] = []

    @classmethod
    def of(cls, stage: Stage, setting: Setting) -> StageInfo:
        """What is told of a stage."""
        return cls(label=stage.label, upstream=list(dict.fromkeys(map(setting.fingerprint, stage.upstream().values()))))


class TrialInfo(Document):
    """A trial: its row, its seed and the fingerprint of its last stage.

    Attributes:
        others: Fingerprints of its other last stages; a point of a search has several.
        ended: Whether nothing more is computed for it, whatever the store has: a search told its end, be it an early one.
    """

    row: str
    seed: int
    fingerprint: str
    others: list[str] = []
    ended: bool = False

    @property
    def last(self) -> tuple[str, ...]:
        """All its last stages."""
        return (self.fingerprint, *self.others)


class PlanDocument(Document):
    """Everything that a sweep comes to, as far as telling its state needs it.

    Attributes:
        key: Of the sweep; the same command has the same (:class:`orchestrator.records.SweepRecord`).
        study: The recorded name (:func:`orchestrator.records.recorded_name`).
        title: Of the table.
        rows: Label of each row by its key, in the table's order.
        stages: By fingerprint.
        points: Of a search, how many it draws in all; each that is drawn is a row with one trial. 0: no search.
    """

    key: str
    study: str
    title: str
    scale: str
    protocol: str
    code: str
    rows: dict[str, str]
    seeds: list[int]
    stages: dict[str, StageInfo]
    trials: list[TrialInfo]
    points: int = 0

    def chain(self, trial: TrialInfo, hidden: frozenset[str] | set[str] = frozenset()) -> list[str]:
        """The last stages of a trial and everything upstream of them, each once; hidden as :meth:`walk` has it."""
        return list(dict.fromkeys(name for last in trial.last for name in self.walk(last, hidden)))

    def walk(self, fingerprint: str, hidden: frozenset[str] | set[str]) -> Iterator[str]:
        """A stage and everything upstream of it, each once, but no stage of ``hidden`` nor what is upstream of it alone: a finished
        result hides what it was made from.
        """
        seen, left = set(), [fingerprint]
        while left:
            name = left.pop()
            if name not in seen and name not in hidden:
                seen.add(name)
                yield name
                left += self.stages[name].upstream

    @classmethod
    def of(cls, plan: Plan) -> PlanDocument:
        """The document of a plan."""
        sweep = plan.sweep
        return cls(
            key=sweep.key,
            study=sweep.study,
            title=sweep.table.title,
            scale=sweep.scale,
            protocol=sweep.protocol,
            code=sweep.code,
            rows={row.key: " · ".join(filter(None, row.label)) for row in sweep.table.rows},
            seeds=list(sweep.seeds),
            stages={each.fingerprint: StageInfo.of(each.stage, plan.setting) for each in plan.stages},
            trials=[TrialInfo(row=t.record.row, seed=t.record.seed, fingerprint=t.record.fingerprint) for t in plan.trials],
        )


class RunningInfo(Document):
    """A stage that is being computed.

    Attributes:
        fraction: Of it that is done, 0 to 1.
        seconds: Since it began or went on.
        where: The machine.
        sweep: Name of the sweep's process that computes it; it begins with that sweep's key.
        workers: Processes.
        gpus: Of each of them.
    """

    fraction: float
    seconds: float
    where: str = ""
    sweep: str = ""
    workers: int = 1
    gpus: float = 0.0


class SweepStatus(Document):
    """How a sweep stood when it last wrote.

    Attributes:
        key: Of the sweep.
        study: The recorded name.
        host: Where its own process runs.
        pid: That process.
        space: What its process id is counted in (:func:`orchestrator.processes.process_space`).
        started: When that process began with the sweep.
        seen: When it wrote this, by the clock of its host.
        state: ``failed``: it has ended and trials are missing.
        at: What it runs on.
        error: What it has ended by, if by a fault.
        running: What is being computed there, for other sweeps as well, by fingerprint.
        queued: Why a stage that could begin has not, by fingerprint.
    """

    key: str
    study: str
    host: str
    pid: int
    started: datetime
    seen: datetime
    state: State
    space: str = ""
    at: str = ""
    error: str = ""
    running: dict[str, RunningInfo] = Field(default_factory=dict)
    queued: dict[str, str] = Field(default_factory=dict)

    def silent_seconds(self, now: datetime | None = None) -> float:
        """Since the last sign of life; 0 if the writer's clock is ahead."""
        return max(0.0, ((now or datetime.now(UTC)) - self.seen).total_seconds())

    def lives(self, now: datetime | None = None) -> bool:
        """Whether the sweep is running, as far as can be told; of one on this very machine it is known at once whether it died."""
        if self.state != "running" or (self.space == process_space() and not process_runs(self.pid)):
            return False
        return self.silent_seconds(now) <= SILENT_SECONDS


def write_plan(store: ArtifactStore, plan: PlanDocument) -> None:
    """Write ``plan.json``."""
    store.write_document(f"{_FOLDER}/{plan.key}/plan.json", plan.model_dump_json())


def write_status(store: ArtifactStore, status: SweepStatus) -> None:
    """Write ``status.json``."""
    store.write_document(f"{_FOLDER}/{status.key}/status.json", status.model_dump_json(indent=1))


def read_plans(store: ArtifactStore, apart_from: Collection[str] = ()) -> dict[str, PlanDocument]:
    """The plans of all sweeps that were begun on this store, by key; ``apart_from`` are keys of which none is wanted.

    Raises:
        UserError: All that cannot be read.
    """
    return _read_all(store, PlanDocument, "plan.json", apart_from)


def read_statuses(store: ArtifactStore) -> dict[str, SweepStatus]:
    """The last status of all sweeps that were begun on this store, by key.

    Raises:
        UserError: All that cannot be read.
    """
    return _read_all(store, SweepStatus, "status.json", ())


_Kind = TypeVar("_Kind", bound=Document)


def _read_all(store: ArtifactStore, kind: type[_Kind], name: str, apart_from: Collection[str]) -> dict[str, _Kind]:
    paths = map(PurePosixPath, store.list_documents(_FOLDER))
    keys = [path.parts[1] for path in paths if len(path.parts) == 3 and path.name == name and path.parts[1] not in apart_from]

    def read(key: str) -> bytes | None:
        return store.read_document(f"{_FOLDER}/{key}/{name}")

    found, damaged = {}, []
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        for key, content in zip(keys, threads.map(read, keys), strict=True):
            try:
                if content is not None:  # removed since it was listed
                    found[key] = kind.model_validate_json(content)
            except ValidationError as error:
                damaged.append(f"{_FOLDER}/{key}/{name} in {store.uri}: {error.errors()[0]['msg']}")
    if damaged:
        raise UserError(
            f"documents of sweeps cannot be read: {'; '.join(damaged)}. Update this checkout if a newer one wrote them; "
            f"otherwise delete them, or run their sweeps again, which writes them anew",
            tuple(damaged),
        )
    return found
