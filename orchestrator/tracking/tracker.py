"""Writes one sweep to MLflow without ever holding it up."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from orchestrator.records import Point, Scalar, SearchRecord, StageRecord, Status, SweepRecord, TrialRecord
from orchestrator.tracking.credentials import without_secrets
from orchestrator.tracking.lanes import Lanes
from orchestrator.tracking.points import PointRuns, PointState
from orchestrator.tracking.stages import StageRuns
from orchestrator.tracking.store import Store, is_failure_of_mlflow, is_outage, now, reason_of
from orchestrator.tracking.sweep_runs import SweepRuns

_ROOM = 64 * 2**20  # bytes, about, of what waits to be written
_FOR_POINTS = _ROOM // 2  # of it: the beginnings and ends of runs are worth more than points, which a stage's end delivers again
_BYTES_A_CALL, _BYTES_A_POINT = 2000, 250
_BATCH_SECONDS = 1.0
_THREADS = 4  # one batch takes up to three of a database's connections at a time, of the 15 that MLflow opens
_PATIENCE_SECONDS = 10.0
_TOP = "the sweep's own runs"  # a lane
_log = logging.getLogger(__name__)


class Tracker:
    """Writes one sweep to MLflow.

    Call :meth:`open_sweep` first. No method raises, and but for those that open, write the statistics or close none waits for
    MLflow: what they are told is written by a few threads, for each run in the order it was told, points in batches. While the
    store or its server is away it is asked again, with pauses that grow to a minute. What is kept meanwhile is bounded; what does
    not fit is passed over, and so is everything once the store refuses or this code has a bug. That is logged once, and ``problem``
    says it. The results are in the project's own store all the same, and the next run of the same command sends everything again.

    Args:
        uri: The tracking store, see :func:`orchestrator.tracking.default_uri`.
        artifacts: Where new experiments keep their artifacts, see :func:`orchestrator.tracking.default_artifacts`.
        waits: Whether a call waits for room while the store answers, points of a running stage apart. Otherwise what does not fit
            is passed over.
    """

    def __init__(self, uri: str, artifacts: Path | None, waits: bool = True) -> None:
        self._uri, self._address, self._artifacts, self._waits = uri, without_secrets(uri), artifacts, waits
        self._trouble: str | None = None  # now
        self._passed_over = False
        self._lock = threading.Lock()
        self._points: dict[str, list[Point]] = {}  # by fingerprint, those that no work has taken yet
        self._whole: set[str] = set()  # fingerprints of the stages whose stored results are being delivered
        self._over: set[str] = set()  # fingerprints of the stages whose end was told, written or not
        # One writer for a file: more would only wait for each other.
        self._lanes = Lanes(1 if uri.startswith("sqlite:") else _THREADS, _ROOM, is_outage, self._hear)
        self._sweep: SweepRuns | None = None
        self._search: PointRuns | None = None
        self._stages: StageRuns | None = None

    @property
    def problem(self) -> str | None:
        """Why not everything was logged until now, as a clause for the user; None while all is well."""
        if self._trouble is None and self._passed_over:
            return f"MLflow at {self._address} was away or slow for so long that some of the runs were not sent"
        return self._trouble

    @property
    def healthy(self) -> bool:
        """Whether everything was logged until now, or soon will be."""
        return self.problem is None

    def flush(self, patience: float = _PATIENCE_SECONDS) -> bool:
        """Wait until everything is written; returns whether it is. Given up when MLflow was away for ``patience`` seconds of it."""
        return self._lanes.join(patience) and not self._passed_over

    def leave(self) -> None:
        """:meth:`flush`, then write nothing more: another process or tracker takes over."""
        self.flush()
        self._lanes.end()

    def open_sweep(self, sweep: SweepRecord) -> None:
        """Make the runs of the sweep and of its cells, or set those of an earlier attempt to RUNNING again. Returns when that is
        done, or MLflow was found to be away.
        """

        def do() -> None:
            self._sweep = SweepRuns(Store(self._uri, self._artifacts), sweep)
            self._stages = self._sweep.stages

        self._open(do)

    def open_search(self, search: SearchRecord) -> None:
        """Make the run of a search, or set that of an earlier attempt to RUNNING again. Stages are tracked as in a sweep. Returns
        as :meth:`open_sweep`.
        """

        def do() -> None:
            store = Store(self._uri, self._artifacts)
            self._stages = StageRuns(store, search.key)
            self._search = PointRuns(store, search)

        self._open(do)

    def _open(self, do: Callable[[], None]) -> None:
        self._put(_TOP, do)
        self._lanes.seen(_TOP)

    def point_told(
        self, number: int, point: Mapping[str, Scalar], rungs: Mapping[int, float], value: float | None, state: PointState
    ) -> None:
        """Write what is known of a point of the search, once however often it is told.

        Args:
            number: Its number, from 0.
            point: Its parameters.
            rungs: The probe's score after so many epochs of pretraining, a curve over epochs.
            value: What the search optimises; None until it is known.
            state: How far the point came.
        """
        known = dict(rungs)
        self._put(("point", number), lambda: self._search.told(number, point, known, value, state))

    def close_search(self, status: Status, opened: str = "") -> None:
        """End the search and whatever it left running; ``opened`` says when and after how many trials the test split was opened.
        Returns as :meth:`flush`.
        """

        def do() -> None:
            self._stages.end_left_over(self._search.experiment)
            self._search.close(status, opened)

        self._put(_TOP, do, after=None)
        self.flush()

    def stage_started(self, stage: StageRecord, executing: bool = False) -> None:
        """Open the stage's run, or that of a killed execution, which goes on.

        Args:
            stage: The stage.
            executing: Whether it is really run now: a FINISHED run of the same fingerprint is then superseded, that is, moved to
                MLflow's deleted runs, where it can be restored. Otherwise a stored result is delivered: a FINISHED run that has the
                same closing metrics and code is left alone, another one is superseded when the stage ends.
        """
        self._over.discard(stage.fingerprint)
        self._put(stage.fingerprint, lambda: self._stages.started(stage, executing, stage.fingerprint in self._over))
        if not executing:
            self._whole.add(stage.fingerprint)

    def log_stage(self, fingerprint: str, points: Sequence[Point]) -> None:
        """Add points to the curves of a started stage. A metric has one point per step, and its steps grow: one sent again changes
        nothing, be it delivered twice or computed again by a stage that went on from its checkpoint (which gives the same value).
        Points that come before their stage was started are passed over: the finished stage delivers its whole curves.
        """
        if fingerprint in self._whole:
            whole, size = list(points), _BYTES_A_POINT * len(points)
            self._put(fingerprint, lambda: self._stages.log(fingerprint, whole, whole=True), size)
            return
        with self._lock:
            waiting = self._points.setdefault(fingerprint, [])
            begins = not waiting
            if _BYTES_A_POINT * sum(map(len, self._points.values())) < _FOR_POINTS:
                waiting += points
        if begins and waiting:
            kept = self._lanes.put(fingerprint, lambda: self._log(fingerprint), after=(_TOP,), delay=_BATCH_SECONDS)
            if not kept:
                self._points.pop(fingerprint, None)

    def _log(self, fingerprint: str) -> None:
        with self._lock:
            points = self._points.pop(fingerprint, [])
        try:
            self._stages.log(fingerprint, points)
        except Exception:
            with self._lock:
                self._points[fingerprint] = points + self._points.get(fingerprint, [])
            raise

    def stage_ended(
        self,
        fingerprint: str,
        status: Status,
        metrics: Mapping[str, float],
        provenance: Mapping[str, Scalar],
        pictures: Mapping[str, bytes] | None = None,
    ) -> None:
        """End a started stage. Its closing ``metrics`` are kept as ``result/<name>``, apart from the curves of that name; the entry
        ``code`` of ``provenance`` is the digest of the code that computed it; ``pictures``, by file name, are kept as artifacts of
        its run, once however often they come.
        """
        shown, stamp = dict(pictures or {}), now()
        self._whole.discard(fingerprint)
        self._over.add(fingerprint)
        self._put(
            fingerprint,
            lambda: self._stages.ended(fingerprint, status, metrics, provenance, shown, stamp),
            sum(map(len, shown.values())),
        )

    def trial_ended(self, trial: TrialRecord, status: Status, metrics: Mapping[str, float]) -> None:
        """Write one trial under its cell, once.

        A FINISHED trial with another fingerprint, or with other numbers or code (a stage was forced), is superseded: its run goes
        to MLflow's deleted runs, where it can be restored.
        """
        stamp = now()
        # After its stages, whose runs it links to.
        lane = ("trial", trial.row, trial.seed)
        self._put(lane, lambda: self._sweep.trial_ended(trial, status, metrics, stamp), after=(_TOP, *trial.stages))

    def write_statistics(self, cells: Mapping[str, Mapping[str, float]], told_by: str) -> None:
        """Write the statistics of rows on their cell runs (:meth:`orchestrator.records.CellStatistics.as_metrics`).

        ``told_by`` says what they were computed from (:func:`orchestrator.records.statistics_digest`); it is written last.
        Returns as :meth:`flush`.
        """
        stamp = now()
        self._put(_TOP, lambda: self._sweep.write_statistics(cells, told_by, stamp), after=None)
        self.flush()

    def close_sweep(self, status: Status, artifacts: Sequence[Path] = (), note: str = "", pictures: Sequence[Path] = ()) -> None:
        """End every run the sweep has. Returns as :meth:`flush`.

        ``artifacts`` are kept on the sweep's run, and ``pictures`` in a folder of their own; ``note`` is the Markdown that the UI
        shows as its description.
        """
        self._put(_TOP, lambda: self._sweep.close(status, artifacts, note, pictures), after=None)
        self.flush()

    def _put(self, lane: object, do: Callable[[], None], size: int = 0, after: Sequence[object] | None = (_TOP,)) -> None:
        if not self._lanes.put(lane, do, size=_BYTES_A_CALL + size, after=after, wait=self._waits):
            self._passed_over = True

    def _hear(self, error: Exception | None) -> None:
        """Of the beginning and the end of an outage, and of what ends everything."""
        if error is None:
            _log.warning("MLflow at %s answers again; what was kept for it is being sent", self._address)
            self._trouble = None
            return
        reason = reason_of(error)
        if is_failure_of_mlflow(error):
            self._trouble = f"MLflow at {self._address} does not answer as it should ({reason})"
            advice = "It is tried again, and the sweep goes on; what it misses is delivered by the same command run again."
            _log.warning("%s. %s", self._trouble, advice)
        else:
            self._trouble = f"a bug of this program ended the logging to MLflow ({reason}); its traceback is in the log"
            advice = "The sweep goes on; all results are kept, and the same command run again delivers what is missing."
            _log.error("%s. %s", self._trouble, advice, exc_info=error)
