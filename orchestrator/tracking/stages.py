"""The runs of the experiment ``stages``: one per stage execution that counts, however many trials and sweeps share it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from orchestrator.records import Point, Scalar, StageRecord, Status
from orchestrator.tracking.store import Store, equals, now, same_numbers
from trainables.pictures import FIGURES

if TYPE_CHECKING:
    from orchestrator.tracking.store import Run

_EXPERIMENT = "stages"
_RESULT = "result/"


@dataclass
class _Writing:
    """A run that is being written, and metric and step of the points that it has."""

    run_id: str
    points: set[tuple[str, int]]
    ended: bool = False


@dataclass
class _Delivery:
    """A stored result on its way to a stage that has a FINISHED run: only its end tells whether it is the one recorded there."""

    stage: StageRecord
    recorded: Run
    points: list[Point] = field(default_factory=list)


class StageRuns:
    """Writes the runs of the stages of one sweep; see :class:`orchestrator.tracking.Tracker` for what its calls promise."""

    def __init__(self, store: Store, sweep: str) -> None:
        self._store, self._sweep = store, sweep
        self._writing: dict[str, _Writing] = {}  # this and the next by fingerprint
        self._deliveries: dict[str, _Delivery] = {}
        self._links: dict[str, str] = {}
        self.experiment = store.experiment(_EXPERIMENT, "stages", "One run per executed stage.")

    def started(self, stage: StageRecord, executing: bool) -> None:
        """See :meth:`orchestrator.tracking.Tracker.stage_started`."""
        writing = self._writing.get(stage.fingerprint)
        if writing and not writing.ended:
            return
        found = self._found(stage.fingerprint)
        finished = [run for run in found if run.info.status == "FINISHED"]
        if finished and not executing:
            self._deliveries[stage.fingerprint] = _Delivery(stage, finished[0])
            return
        for run in finished:
            self._store.delete(run.info.run_id)
        self._open(stage, next((run for run in found if run.info.status in ("RUNNING", "KILLED")), None))

    def log(self, fingerprint: str, points: Sequence[Point]) -> None:
        """See :meth:`orchestrator.tracking.Tracker.log_stage`."""
        if delivery := self._deliveries.get(fingerprint):
            delivery.points += points
        elif writing := self._writing.get(fingerprint):
            fresh = {(point[0], point[2]): point for point in points if (point[0], point[2]) not in writing.points}
            self._store.write(writing.run_id, metrics=list(fresh.values()))
            writing.points.update(fresh)

    def ended(
        self,
        fingerprint: str,
        status: Status,
        metrics: Mapping[str, float],
        provenance: Mapping[str, Scalar],
        pictures: Mapping[str, bytes],
    ) -> None:
        """See :meth:`orchestrator.tracking.Tracker.stage_ended`."""
        if delivery := self._deliveries.pop(fingerprint, None):
            if _tells_the_same(delivery.recorded, metrics, provenance):
                self._keep(delivery.recorded.info.run_id, pictures, delivery.recorded.data.tags.get(FIGURES))
                return
            self._store.delete(delivery.recorded.info.run_id)
            self._open(delivery.stage, None)
            self.log(fingerprint, delivery.points)
        writing, stamp = self._writing[fingerprint], now()
        points = [(f"{_RESULT}{name}", value, 0, stamp) for name, value in metrics.items()]
        self._store.write(writing.run_id, points, tags={f"provenance.{name}": value for name, value in provenance.items()})
        self._keep(writing.run_id, pictures)
        self._store.end(writing.run_id, status)
        writing.ended = True

    def forget(self) -> None:
        """Count no stage as being written any more: their runs were ended."""
        self._writing.clear()

    def link(self, fingerprint: str) -> str:
        """Markdown that leads to a stage's run."""
        if fingerprint not in self._links:
            run = next((run for run in self._found(fingerprint) if run.info.status == "FINISHED"), None)
            if run is None:
                return f"`{fingerprint}` (no run recorded)"
            self._links[fingerprint] = f"[{run.info.run_name}](#/experiments/{self.experiment}/runs/{run.info.run_id})"
        return self._links[fingerprint]

    def _found(self, fingerprint: str) -> list[Run]:
        return self._store.search(self.experiment, equals("fingerprint", fingerprint))

    def _keep(self, run_id: str, pictures: Mapping[str, bytes], kept: str | None = None) -> None:
        """Keep pictures with a run, unless ``kept`` says that it has them; a tag says so as soon as they are all there."""
        each = "".join(f"{name} {hashlib.sha256(pictures[name]).hexdigest()}\n" for name in sorted(pictures))
        told = hashlib.sha256(each.encode()).hexdigest()[:16]
        if pictures and told != kept and self._store.keep_contents(run_id, pictures, FIGURES):
            self._store.write(run_id, tags={FIGURES: told})

    def _open(self, stage: StageRecord, unfinished: Run | None) -> None:
        tags = {"kind": "stage", "stage": stage.name, "fingerprint": stage.fingerprint, "sweep": self._sweep}  # that runs it now
        name = f"{stage.title} {stage.fingerprint.rsplit('-', 1)[-1][:8]}"
        run_id = self._store.open(self.experiment, unfinished, name, stage.settings, tags, now())
        self._writing[stage.fingerprint] = _Writing(run_id, self._store.points(unfinished) if unfinished else set())
        self._links.pop(stage.fingerprint, None)


def _tells_the_same(recorded: Run, metrics: Mapping[str, float], provenance: Mapping[str, Scalar]) -> bool:
    """Whether a run holds this result: its numbers, and the code that computed them."""
    numbers = {name.removeprefix(_RESULT): n for name, n in recorded.data.metrics.items() if name.startswith(_RESULT)}
    return same_numbers(numbers, metrics) and str(recorded.data.tags.get("provenance.code")) == str(provenance.get("code"))
