"""Writes one sweep to MLflow: sweep > cell > trial, and the stages they share."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.records import Point, Scalar, SearchRecord, StageRecord, Status, SweepRecord, TrialRecord, TrialResult
from orchestrator.tracking.points import PointRuns, PointState
from orchestrator.tracking.reading import cut_record, trial_result
from orchestrator.tracking.stages import StageRuns
from orchestrator.tracking.store import (
    RUNS_PAGE,
    Store,
    equals,
    is_failure_of_mlflow,
    now,
    reason_of,
    same_numbers,
    sentences,
    without_password,
)
from trainables.pictures import FIGURES

if TYPE_CHECKING:
    from orchestrator.tracking.store import Run
    from search_spaces.table import TableSpec

_ROWS_PAGE = f"{RUNS_PAGE}&searchFilter=tags.kind%20%3D%20%27cell%27"
_NOTE = "mlflow.note.content"
_Place = tuple[str, str, str]  # kind, row, seed
_log = logging.getLogger(__name__)


def _or_give_up(method: Callable[..., Any]) -> Callable[..., Any]:
    """Turn tracking off, with one message, when it fails: a sweep never dies of its logging."""

    @wraps(method)
    def guarded(self: Tracker, *args: Any, **kwargs: Any) -> Any:
        if self.healthy:
            try:
                return method(self, *args, **kwargs)
            except Exception as error:
                self._give_up(error)
        return None

    return guarded


class Tracker:
    """Writes one sweep to MLflow. Synchronous, and meant for one writer: in Ray mode one actor holds it.

    Call :meth:`open_sweep` first. No method raises: when the store is away or refuses, or when this code has a bug, that is logged
    once, ``problem`` says it and every further call returns at once. The results are in the project's own store all the same, and
    the next run of the same command sends everything again.

    Args:
        uri: The tracking store, see :func:`orchestrator.tracking.default_uri`.
        artifacts: Where new experiments keep their artifacts, see :func:`orchestrator.tracking.default_artifacts`.

    Attributes:
        problem: Why nothing is logged any more, as a clause for the user; None while all is well.
    """

    def __init__(self, uri: str, artifacts: Path | None) -> None:
        self.problem: str | None = None
        self._uri = without_password(uri)
        self._runs: dict[_Place, str] = {}  # run ids
        self._trials: dict[tuple[str, int], TrialResult] = {}  # by row and seed
        try:
            self._store = Store(uri, artifacts)
        except Exception as error:
            self._give_up(error)

    @property
    def healthy(self) -> bool:
        """Whether everything was logged until now."""
        return self.problem is None

    @_or_give_up
    def open_sweep(self, sweep: SweepRecord) -> None:
        """Make the runs of the sweep and of its cells, or set those of an earlier attempt to RUNNING again."""
        self._sweep, self._opened = sweep, now()
        self._begin(sweep.study, sweep.key, _about(sweep.table))
        known = self._known_runs()
        self._runs = {place: run.info.run_id for place, run in known.items()}
        name = f"{sweep.study} {sweep.scale} {len(sweep.seeds)} seeds"
        params = {"scale": sweep.scale, "seeds": " ".join(map(str, sweep.seeds))}
        tags = {**self._tags("sweep"), "code": sweep.code, "opened": str(self._opened), **cut_record(sweep)}
        parent = self._open_run(known.get(("sweep", "", "")), name, params, tags)
        for position, row in enumerate(sweep.table.rows, start=1):
            tags = {**self._tags("cell"), "row": row.key, "mlflow.parentRunId": parent}
            self._open_run(known.get(("cell", row.key, "")), " · ".join(filter(None, row.label)), row.params, tags, position)

    def _begin(self, study: str, key: str, about: str) -> None:
        self._key = key
        self._study_id = self._store.experiment(study, "study", about)
        self._stages = StageRuns(self._store, key)

    @_or_give_up
    def open_search(self, search: SearchRecord) -> None:
        """Make the run of a search, or set that of an earlier attempt to RUNNING again. Stages are tracked as in a sweep."""
        self._begin(search.study, search.key, f"{search.title} ({search.source})")
        self._points = PointRuns(self._store, self._study_id, search)

    @_or_give_up
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
        self._points.told(number, point, rungs, value, state)

    @_or_give_up
    def close_search(self, status: Status, opened: str = "") -> None:
        """End the search and whatever it left running; ``opened`` says when and after how many trials the test split was opened."""
        self._end_left_over()
        self._points.close(status, opened)

    def _known_runs(self) -> dict[_Place, Run]:
        known: dict[_Place, Run] = {}
        for run in self._store.search(self._study_id, equals("sweep", self._sweep.key)):
            known.setdefault(_place(run.data.tags), run)
        for (kind, row, seed), run in known.items():
            if kind == "trial":
                self._trials[row, int(seed)] = trial_result(run)
        return known

    @_or_give_up
    def stage_started(self, stage: StageRecord, executing: bool = False) -> None:
        """Open the stage's run, or that of a killed execution, which goes on.

        Args:
            stage: The stage.
            executing: Whether it is really run now: a FINISHED run of the same fingerprint is then superseded, that is, moved to
                MLflow's deleted runs, where it can be restored. Otherwise a stored result is delivered: a FINISHED run that has the
                same closing metrics and code is left alone, another one is superseded when the stage ends.
        """
        self._stages.started(stage, executing)

    @_or_give_up
    def log_stage(self, fingerprint: str, points: Sequence[Point]) -> None:
        """Add points to the curves of a started stage. A metric has one point per step: one sent again changes nothing, be it
        delivered twice or computed again by a stage that went on from its checkpoint (which gives the same value). Points that
        come before their stage was started are passed over: the finished stage delivers its whole curves.
        """
        self._stages.log(fingerprint, points)

    @_or_give_up
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
        self._stages.ended(fingerprint, status, metrics, provenance, pictures or {})

    @_or_give_up
    def trial_ended(self, trial: TrialRecord, status: Status, metrics: Mapping[str, float]) -> None:
        """Write one trial under its cell, once.

        A FINISHED trial with another fingerprint, or with other numbers or code (a stage was forced), is superseded: its run goes
        to MLflow's deleted runs, where it can be restored.
        """
        place = ("trial", trial.row, str(trial.seed))
        before = self._trials.get((trial.row, trial.seed))
        run = self._store.get(self._runs[place]) if before else None
        if run and before and before.status == "FINISHED":
            if before.fingerprint == trial.fingerprint and (status != "FINISHED" or _told_before(before, trial, metrics)):
                self._renew_note(run, trial)
                return
            self._store.delete(run.info.run_id)
            run = None
        row = next(row for row in self._sweep.table.rows if row.key == trial.row)
        position = 1 + len(self._sweep.table.rows) + self._sweep.seeds.index(trial.seed)
        params = {**row.params, "seed": trial.seed}
        run_id = self._open_run(run, f"seed {trial.seed}", params, self._trial_tags(trial), position)
        stamp = now()
        self._store.write(run_id, [(name, value, 0, stamp) for name, value in metrics.items()])
        self._store.end(run_id, status)
        self._trials[trial.row, trial.seed] = trial_result(self._store.get(run_id))

    def _trial_tags(self, trial: TrialRecord) -> dict[str, str]:
        return {
            **self._tags("trial"),
            **{"row": trial.row, "seed": str(trial.seed), "trial": trial.key, "fingerprint": trial.fingerprint},
            **{f"code.{stage}": digest for stage, digest in trial.code.items()},
            "dirty": " ".join(trial.dirty),
            **{f"stage.{number:02d}": fingerprint for number, fingerprint in enumerate(trial.stages, start=1)},
            "mlflow.parentRunId": self._runs["cell", trial.row, ""],
            _NOTE: self._chain_note(trial.stages),
        }

    def _renew_note(self, run: Run, trial: TrialRecord) -> None:
        """A forced stage has a new run even if the trial's numbers are the old ones."""
        note = self._chain_note(trial.stages)
        if run.data.tags.get(_NOTE) != note:
            self._store.write(run.info.run_id, tags={_NOTE: note})

    def _chain_note(self, chain: Sequence[str]) -> str:
        lines = [f"{number}. {self._stages.link(fingerprint)}" for number, fingerprint in enumerate(chain, start=1)]
        return "\n".join(["Stages of this trial, first to last (shared ones ran once):", "", *lines])

    @_or_give_up
    def write_statistics(self, cells: Mapping[str, Mapping[str, float]], told_by: str) -> None:
        """Write the statistics of rows on their cell runs (:meth:`orchestrator.records.CellStatistics.as_metrics`).

        ``told_by`` says what they were computed from (:func:`orchestrator.records.statistics_digest`); it is written last.
        """
        for row, numbers in cells.items():
            run_id, stamp = self._runs["cell", row, ""], now()
            written = self._store.get(run_id).data.metrics
            changed = [name for name in numbers if name not in written or repr(numbers[name]) != repr(written[name])]  # NaN is NaN
            self._store.write(run_id, [(name, numbers[name], 0, stamp) for name in changed])
        self._store.write(self._runs["sweep", "", ""], tags={"statistics": told_by})

    @_or_give_up
    def close_sweep(self, status: Status, artifacts: Sequence[Path] = (), note: str = "", pictures: Sequence[Path] = ()) -> None:
        """End every run the sweep has.

        ``artifacts`` are kept on the sweep's run, and ``pictures`` in a folder of their own; ``note`` is the Markdown that the UI
        shows as its description.
        """
        self._end_left_over()
        for row in self._sweep.table.rows:
            trials = [self._trials[row.key, seed] for seed in self._sweep.seeds if (row.key, seed) in self._trials]
            complete = len(trials) == len(self._sweep.seeds) and all(map(_is_sound, trials))
            ending = "FINISHED" if complete else "KILLED" if status == "KILLED" else "FAILED"
            self._store.end(self._runs["cell", row.key, ""], ending)
        sweep_run = self._runs["sweep", "", ""]
        if note:
            self._store.write(sweep_run, tags={_NOTE: note})
        self._store.keep(sweep_run, artifacts)
        self._store.keep(sweep_run, pictures, FIGURES)
        self._store.end(sweep_run, status)

    def _end_left_over(self) -> None:
        """End the stages and trials that this sweep started, in whichever process, and that did not come to an end."""
        for experiment in (self._stages.experiment, self._study_id):
            for run in self._store.search(experiment, f"{equals('sweep', self._key)} and attributes.status = 'RUNNING'"):
                if run.data.tags["kind"] in ("stage", "trial", "point"):
                    self._store.end(run.info.run_id, "KILLED")
        self._stages.forget()

    def _tags(self, kind: str) -> dict[str, str]:
        sweep = self._sweep
        corpora = {f"corpus.{role}": corpus.digest for role, corpus in sweep.corpora.items()}
        facts = {"study": sweep.study, "scale": sweep.scale, "protocol": sweep.protocol}
        source = {"mlflow.source.name": f"orchestrator.sweep {sweep.study}", "mlflow.source.type": "JOB"}
        return {"kind": kind, "sweep": sweep.key, **facts, **corpora, **source, **sentences("leaks", sweep.leaks)}

    def _open_run(
        self, run: Run | None, name: str, params: Mapping[str, Scalar], tags: Mapping[str, str], position: int = 0
    ) -> str:
        # The UI sorts by start, newest first: a millisecond less for each row and seed keeps the table's order.
        run_id = self._store.open(self._study_id, run, name, params, tags, self._opened - position)
        self._runs[_place(tags)] = run_id
        return run_id

    def _give_up(self, error: Exception) -> None:
        reason = reason_of(error)
        advice = "The sweep goes on without it; all results are kept, and the same command run again delivers what is missing."
        if is_failure_of_mlflow(error):
            self.problem = f"MLflow at {self._uri} does not answer as it should ({reason})"
            _log.warning("%s. %s", self.problem, advice)
            _log.debug("what MLflow answered", exc_info=error)
        else:
            self.problem = f"a bug of this program ended the logging to MLflow ({reason}); its traceback is in the log"
            _log.error("%s. %s", self.problem, advice, exc_info=error)


def _about(table: TableSpec) -> str:
    """What the study's page says above its runs: what they are, and the rows in two orders."""

    def rows(title: str, statistic: str, ascending: bool) -> str:
        return f"[{title}]({_ROWS_PAGE}&orderByKey=metrics.%60{table.headline}_{statistic}%60&orderByAsc={str(ascending).lower()})"

    by_p = f", {rows('by p', 'p_vs_baseline', True)}" if table.baseline else ""
    return f"{table.title} ({table.source}). Rows of the table: {rows('best first', 'mean', False)}{by_p}"


def _place(tags: Mapping[str, str]) -> _Place:
    return tags.get("kind", ""), tags.get("row", ""), tags.get("seed", "")


def _told_before(before: TrialResult, trial: TrialRecord, metrics: Mapping[str, float]) -> bool:
    """Whether a recorded trial holds these numbers and this code; a stage whose result was cleared away meanwhile tells no code."""
    same_code = trial.code.items() <= before.code.items() and trial.dirty == before.dirty
    return same_numbers(before.metrics, metrics) and same_code


def _is_sound(trial: TrialResult) -> bool:
    return trial.status == "FINISHED" and all(map(math.isfinite, trial.metrics.values()))
