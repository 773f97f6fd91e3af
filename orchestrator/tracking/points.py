"""The runs of a search: one for the search, and below it one for each point that was tried."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Literal

from orchestrator.records import Scalar, SearchRecord, Status
from orchestrator.tracking.store import Store, equals, now, sentences

if TYPE_CHECKING:
    from orchestrator.tracking.store import Run

PointState = Literal["running", "complete", "pruned", "failed"]
_STATUS: Mapping[PointState, Status] = {"complete": "FINISHED", "pruned": "FINISHED", "failed": "FAILED"}


class PointRuns:
    """Writes the runs of one search; see :class:`orchestrator.tracking.Tracker` for what its calls promise.

    A call that raised may be made again; points may be told by several threads, each by one at a time.

    Attributes:
        experiment: Id of the study's experiment.
    """

    def __init__(self, store: Store, search: SearchRecord) -> None:
        self._store, self._search, self._opened = store, search, now()
        self.experiment = store.experiment(search.study, "study", f"{search.title} ({search.source})")
        self._unsure: set[int] = set()  # points of which it is not known what a broken call left behind
        found = store.search(self.experiment, equals("sweep", search.key))
        self._points = _by_number(found)
        known = next((run for run in found if run.data.tags["kind"] == "search"), None)
        params = {"scale": search.scale, "seeds": " ".join(map(str, search.seeds))}
        self._run = self._open(known, f"search of {search.study} {search.scale}", params, {"kind": "search"})
        store.write(self._run, tags={"trials": search.trials, **sentences("stated", search.stated)})

    def told(
        self, number: int, point: Mapping[str, Scalar], rungs: Mapping[int, float], value: float | None, state: PointState
    ) -> None:
        """See :meth:`orchestrator.tracking.Tracker.point_told`."""
        if number in self._unsure:
            self._points |= _by_number(self._store.search(self.experiment, equals("sweep", self._search.key)))
        self._unsure.add(number)
        tags = {"kind": "point", "number": str(number), "state": state, "mlflow.parentRunId": self._run}
        run_id = self._open(self._points.get(str(number)), f"point {number} ({state})", point, tags, 1 + number)
        run = self._points[str(number)] = self._store.get(run_id)
        there = self._store.steps(run_id).get("probe", ())
        points = [("probe", score, epoch, now()) for epoch, score in sorted(rungs.items()) if epoch not in there]
        if value is not None and run.data.metrics.get("value") != value:
            points.append(("value", value, 0, now()))
        self._store.write(run_id, points)
        if state in _STATUS:
            self._store.end(run_id, _STATUS[state])
        self._unsure.discard(number)

    def close(self, status: Status, opened: str) -> None:
        """See :meth:`orchestrator.tracking.Tracker.close_search`."""
        if opened:
            self._store.write(self._run, tags={"test_split_opened": opened})
        self._store.end(self._run, status)

    def _open(self, run: Run | None, name: str, params: Mapping[str, Scalar], tags: Mapping[str, str], position: int = 0) -> str:
        facts = {"sweep": self._search.key, "study": self._search.study, "mlflow.runName": name}
        facts["protocol"] = self._search.protocol
        facts |= sentences("leaks", self._search.leaks)
        return self._store.open(self.experiment, run, name, params, {**facts, **tags}, self._opened - position)


def _by_number(runs: Iterable[Run]) -> dict[str, Run]:
    return {run.data.tags["number"]: run for run in runs if run.data.tags["kind"] == "point"}
