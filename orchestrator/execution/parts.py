"""Parts of a stage's work: which there are, which are finished already, doing one, and giving them back in order.

Where they run is for a kind of :class:`Parts` to say: one after the other in this process (:class:`InTurn`), or as tasks of a Ray
cluster (:mod:`orchestrator.execution.ray_parts`).
"""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from orchestrator.artifacts import ArtifactStore
from orchestrator.execution.context import result_of
from orchestrator.execution.job import StageJob
from orchestrator.provenance import stage_code
from trainables.errors import Faults, UserError
from trainables.stage import Stage, StopRequested

if TYPE_CHECKING:
    from trainables.corpora.corpus import CorpusSource

Look = Callable[[float], bool]
"""Told the fraction of the parts that is done; answers whether the sweep is being stopped."""


class Part(BaseModel):
    """One part of a stage's work, as data that travels to any process.

    Attributes:
        job: The stage.
        number: Which part it is, from 0.
        work: What the part is to do.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    job: StageJob
    number: int
    work: Any

    @property
    def name(self) -> str:
        """Its name among the stage's finished parts: what other code made, or of other work, bears another."""
        work = hashlib.sha256(json.dumps(self.work).encode()).hexdigest()
        return f"{self.number:05d}-{stage_code(type(self.job.stage()))}-{work[:12]}"


class Parts(ABC):
    """Does the parts of a stage's work."""

    def finish(self, job: StageJob, work: Sequence[Any], look: Look, tick: Callable[[float], None]) -> Iterator[Path]:
        """Do the parts that are missing; yield each part's directory, in order, while later ones are still being done.

        Args:
            job: The stage.
            work: What each part is to do, JSON-able.
            look: Called now and then with the fraction done.
            tick: Called in its place where a part is all there is; may raise StopRequested midway, because nothing is lost.

        Raises:
            UserError: With the faults of all parts.
            StopRequested: The sweep is being stopped; what was begun is finished and kept.
        """
        parts = [Part(job=job, number=number, work=piece) for number, piece in enumerate(work)]
        if len(parts) == 1:
            yield from _alone(parts[0], tick)
        elif parts:
            yield from self._shared(parts, look)

    def _shared(self, parts: list[Part], look: Look) -> Iterator[Path]:
        store, stage = ArtifactStore(parts[0].job.setting.store), parts[0].job.fingerprint
        names = [part.name for part in parts]
        finished = store.finished_parts(stage)
        missing = [part for part, name in zip(parts, names, strict=True) if name not in finished]
        share = len(missing) / len(parts)
        ended = self._run(missing, lambda fraction: look(1 - share + fraction * share))
        faults = Faults(type(parts[0].job.stage()).label)
        for name in names:
            while name not in finished:
                if (outcome := next(ended, None)) is None:
                    raise StopRequested
                part, messages = outcome
                finished.add(part.name)
                for message in messages:
                    faults.add(message)
            if not faults.messages:  # else the rest is only tried, so that all faults are told at once
                with store.part(stage, name) as directory:
                    yield directory
        faults.raise_if_any()

    @abstractmethod
    def _run(self, parts: Sequence[Part], look: Look) -> Iterator[tuple[Part, list[str]]]:
        """Do the parts and yield each that has ended, in any order, with its faults.

        Once ``look``, which is told the fraction of ``parts`` that is done, answers that the sweep is being stopped, none is begun,
        and the iterator ends after those that run.
        """


class InTurn(Parts):
    """Runs parts one after the other in this process."""

    def _run(self, parts: Sequence[Part], look: Look) -> Iterator[tuple[Part, list[str]]]:
        for done, part in enumerate(parts):
            if look(done / len(parts)):
                return
            yield part, do_part(part, lambda fraction, done=done: look((done + fraction) / len(parts)))


class PartWorker:
    """Implements :class:`trainables.stage.PartContext`.

    Args:
        part: What is being done.
        store: Where its upstream results are; what was read of them stays on this node as long as it does.
        directory: Where it writes.
        show: Told the fraction done.
    """

    def __init__(self, part: Part, store: ArtifactStore, directory: Path, show: Callable[[float], object]) -> None:
        self.directory = directory
        self._part, self._store, self._show = part, store, show

    def result(self, stage: Stage) -> Path:
        """Directory of an upstream stage's result."""
        return result_of(stage, self._part.job, self._store)

    def corpus(self, role: str) -> CorpusSource:
        """The corpus of this role."""
        return self._part.job.setting.corpora[role]

    def tick(self, fraction: float) -> None:
        """Pass it on. A part is short, so it is never stopped midway unless ``show`` raises."""
        self._show(fraction)


def do_part(part: Part, show: Callable[[float], object]) -> list[str]:
    """Do one part in this process and keep what it has made; or return its faults and keep nothing."""
    store = ArtifactStore(part.job.setting.store)
    with store.scratch(f"{part.job.fingerprint}-part") as directory:
        try:
            part.job.check_code()
            part.job.stage().run_part(part.work, PartWorker(part, store, directory, show))
        except UserError as error:
            return list(error.messages)
        store.keep_part(part.job.fingerprint, part.name, directory)
    return []


def _alone(part: Part, tick: Callable[[float], None]) -> Iterator[Path]:
    """There is nothing to share out, so the work neither travels nor is kept."""
    store = ArtifactStore(part.job.setting.store)
    with store.scratch(f"{part.job.fingerprint}-part") as directory:
        part.job.stage().run_part(part.work, PartWorker(part, store, directory, tick))
        yield directory
