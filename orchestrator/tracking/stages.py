"""The runs of the experiment ``stages``: one per stage execution that counts, however many trials and sweeps share it."""

from __future__ import annotations

import hashlib
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from orchestrator.records import Point, Scalar, StageRecord, Status
from orchestrator.tracking.store import Store, equals, now, same_numbers
from trainables.pictures import FIGURES

if TYPE_CHECKING:
    from orchestrator.tracking.store import Run

_EXPERIMENT = "stages"
_RESULT = "result/"
_LOOK_SECONDS = 10.0  # between two looks whether another sweep writes too


@dataclass
class _Curve:
    """What a run has of a metric: all points that were sent up to a step, but those that were passed over."""

    last: int
    points: int


@dataclass
class _Writing:
    """A run that is being written."""

    run_id: str
    name: str
    curves: dict[str, _Curve]
    params: Mapping[str, Scalar] = field(default_factory=dict)  # that are still to be written
    whole: Sequence[Point] = ()  # curves of the stored result; they go with the run's end, because each call to MLflow is dear
    ended: bool = False


@dataclass
class _Delivery:
    """A stored result on its way to a stage that has a FINISHED run: only its end tells whether it is the one recorded there."""

    stage: StageRecord
    recorded: Run
    points: list[Point] = field(default_factory=list)


class StageRuns:
    """Writes the runs of the stages of one sweep; see :class:`orchestrator.tracking.Tracker` for what its calls promise.

    A call that raised may be made again.
    """

    def __init__(self, store: Store, sweep: str) -> None:
        self._store, self._sweep = store, sweep
        self._writing: dict[str, _Writing] = {}  # this and the next three by fingerprint
        self._deliveries: dict[str, _Delivery] = {}
        self._links: dict[str, str] = {}
        self._known: dict[str, list[Run]] = defaultdict(list)
        self.experiment = store.experiment(_EXPERIMENT, "stages", "One run per executed stage.")
        for run in store.search(self.experiment, equals("sweep", sweep)):  # one question for what would be thousands
            self._known[run.data.tags["fingerprint"]].append(run)
        self._strangers, self._looked = False, -_LOOK_SECONDS

    def started(self, stage: StageRecord, executing: bool, over: bool = False) -> None:
        """See :meth:`orchestrator.tracking.Tracker.stage_started`. Of a stage that is ``over``, what is known of its beginning is
        written with its end.
        """
        writing = self._writing.get(stage.fingerprint)
        if writing and not writing.ended:
            return
        found = self._recorded(stage.fingerprint, executing)
        finished = [run for run in found if run.info.status == "FINISHED"]
        kept = finished[-1:] if finished and not executing else []  # the oldest, if two sweeps delivered it at one time
        for run in finished:
            if run not in kept:
                self._delete(stage.fingerprint, run)
        if kept:
            self._deliveries[stage.fingerprint] = _Delivery(stage, kept[0])
        else:
            self._open(stage, next((run for run in found if run.info.status in ("RUNNING", "KILLED")), None), over)

    def _recorded(self, fingerprint: str, executing: bool) -> list[Run]:
        """Runs of a stage. To look for them takes MLflow longer the more runs there are, of any stage."""
        known = self._known[fingerprint]
        if (known and not executing) or (fingerprint not in self._writing and not self._others_write()):
            return known
        return self._store.search(self.experiment, equals("fingerprint", fingerprint))

    def _others_write(self) -> bool:
        """Whether other sweeps have runs of stages, as of a moment ago."""
        if not self._strangers and time.monotonic() - self._looked >= _LOOK_SECONDS:
            self._strangers = self._store.holds(self.experiment, f"tags.sweep != '{self._sweep}'")
            self._looked = time.monotonic()  # not if that has raised: it is asked again
        return self._strangers

    def log(self, fingerprint: str, points: Sequence[Point], whole: bool = False) -> None:
        """See :meth:`orchestrator.tracking.Tracker.log_stage`; ``whole`` curves fill whatever gaps their run has."""
        if delivery := self._deliveries.get(fingerprint):
            delivery.points += points
        elif writing := self._writing.get(fingerprint):
            if whole:
                writing.whole = points
            else:
                self._send(writing, points)

    def ended(
        self,
        fingerprint: str,
        status: Status,
        metrics: Mapping[str, float],
        provenance: Mapping[str, Scalar],
        pictures: Mapping[str, bytes],
        stamp: int,
    ) -> None:
        """See :meth:`orchestrator.tracking.Tracker.stage_ended`; ``stamp`` is the time of the closing metrics in ms."""
        if delivery := self._deliveries.get(fingerprint):
            if _tells_the_same(delivery.recorded, metrics, provenance):
                self._keep(delivery.recorded.info.run_id, pictures, delivery.recorded.data.tags.get(FIGURES))
                self._note_link(fingerprint, delivery.recorded.info.run_id, delivery.recorded.info.run_name)
                del self._deliveries[fingerprint]
                return
            self._supersede(delivery)
        if (writing := self._writing.get(fingerprint)) is None:
            return  # it began while nothing more could be kept for MLflow: the end of the sweep delivers it
        points = [(f"{_RESULT}{name}", value, 0, stamp) for name, value in metrics.items()] + self._lacking(writing)
        tags = {f"provenance.{name}": value for name, value in provenance.items()}
        self._store.write(writing.run_id, points, writing.params, tags)
        self._keep(writing.run_id, pictures)
        self._store.end(writing.run_id, status)
        writing.ended = True
        if status == "FINISHED":
            self._note_link(fingerprint, writing.run_id, writing.name)

    def end_left_over(self, experiment: str) -> None:
        """End the stages, and in ``experiment`` the trials and points, that the sweep started, in whichever process, and that did
        not come to an end.
        """
        for place in (self.experiment, experiment):
            for run in self._store.search(place, f"{equals('sweep', self._sweep)} and attributes.status = 'RUNNING'"):
                if run.data.tags["kind"] in ("stage", "trial", "point"):
                    self._store.end(run.info.run_id, "KILLED")
        self._writing.clear()

    def link(self, fingerprint: str) -> str:
        """Markdown that leads to a stage's run."""
        if fingerprint not in self._links:
            found = self._known[fingerprint] or self._store.search(self.experiment, equals("fingerprint", fingerprint))
            run = next((run for run in found if run.info.status == "FINISHED"), None)
            if run is None:
                return f"`{fingerprint}` (no run recorded)"
            self._note_link(fingerprint, run.info.run_id, run.info.run_name)
        return self._links[fingerprint]

    def _note_link(self, fingerprint: str, run_id: str, name: str) -> None:
        self._links[fingerprint] = f"[{name}](#/experiments/{self.experiment}/runs/{run_id})"

    def _send(self, writing: _Writing, points: Sequence[Point]) -> None:
        fresh = _beyond(writing.curves, points)
        self._store.write(writing.run_id, list(fresh.values()))
        writing.curves |= _extended(writing.curves, fresh)

    def _lacking(self, writing: _Writing) -> list[Point]:
        """What a run lacks of the whole curves: the latest points, and such as were passed over because there was no room."""
        whole = {(point[0], point[2]): point for point in writing.whole}
        fresh = _beyond(writing.curves, writing.whole)
        sent = _extended(writing.curves, fresh)
        if all(sent[name].points == curve.points for name, curve in _extended({}, whole).items()):
            return list(fresh.values())
        there = self._store.steps(writing.run_id)
        return [point for key, point in whole.items() if key[1] not in there.get(key[0], ())]

    def _supersede(self, delivery: _Delivery) -> None:
        """Give a stored result a run of its own in place of the recorded one, which is not of it."""
        stage, writing = delivery.stage, self._writing.get(delivery.stage.fingerprint)
        if writing is None or writing.ended:
            self._delete(stage.fingerprint, delivery.recorded)
            found = self._store.search(self.experiment, equals("fingerprint", stage.fingerprint))
            self._open(stage, next((run for run in found if run.info.status == "RUNNING"), None))
        self._writing[stage.fingerprint].whole = delivery.points
        del self._deliveries[stage.fingerprint]

    def _delete(self, fingerprint: str, run: Run) -> None:
        self._known.pop(fingerprint, None)
        self._store.delete(run.info.run_id)

    def _keep(self, run_id: str, pictures: Mapping[str, bytes], kept: str | None = None) -> None:
        """Keep pictures with a run, unless ``kept`` says that it has them; a tag says so as soon as they are all there."""
        each = "".join(f"{name} {hashlib.sha256(pictures[name]).hexdigest()}\n" for name in sorted(pictures))
        told = hashlib.sha256(each.encode()).hexdigest()[:16]
        if pictures and told != kept and self._store.keep_contents(run_id, pictures, FIGURES):
            self._store.write(run_id, tags={FIGURES: told})

    def _open(self, stage: StageRecord, unfinished: Run | None, over: bool = False) -> None:
        tags = {"kind": "stage", "stage": stage.name, "fingerprint": stage.fingerprint, "sweep": self._sweep}  # that runs it now
        name = f"{stage.title} {stage.fingerprint.rsplit('-', 1)[-1][:8]}"
        self._known.pop(stage.fingerprint, None)
        self._links.pop(stage.fingerprint, None)
        later = stage.settings if over and unfinished is None else {}
        run_id = self._store.open(self.experiment, unfinished, name, {} if later else stage.settings, tags, now())
        there = self._store.steps(run_id) if unfinished else {}
        curves = {metric: _Curve(max(steps), len(steps)) for metric, steps in there.items()}
        self._writing[stage.fingerprint] = _Writing(run_id, name, curves, later)


def _beyond(curves: Mapping[str, _Curve], points: Iterable[Point]) -> dict[tuple[str, int], Point]:
    """Points beyond the last step of their metric, by metric and step: what was sent before is there, once."""
    return {(point[0], point[2]): point for point in points if point[0] not in curves or point[2] > curves[point[0]].last}


def _extended(curves: Mapping[str, _Curve], points: Iterable[tuple[str, int]]) -> dict[str, _Curve]:
    """Curves with more points, given by metric and step."""
    extended = dict(curves)
    for name, step in points:
        before = extended.get(name)
        extended[name] = _Curve(max(step, before.last), before.points + 1) if before else _Curve(step, 1)
    return extended


def _tells_the_same(recorded: Run, metrics: Mapping[str, float], provenance: Mapping[str, Scalar]) -> bool:
    """Whether a run holds this result: its numbers, and the code that computed them."""
    numbers = {name.removeprefix(_RESULT): n for name, n in recorded.data.metrics.items() if name.startswith(_RESULT)}
    return same_numbers(numbers, metrics) and str(recorded.data.tags.get("provenance.code")) == str(provenance.get("code"))
