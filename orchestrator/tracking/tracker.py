"""Writes one sweep to MLflow: sweep > cell > trial, and the stages they share."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.records import Point, Scalar, StageRecord, Status, SweepRecord, TrialRecord, TrialResult
from orchestrator.statistics import summarize
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
    without_password,
)
from trainables.errors import UserError

if TYPE_CHECKING:
    from orchestrator.tracking.store import Run

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
        rows = _ROWS_PAGE + f"&orderByKey=metrics.%60{sweep.table.headline}_mean%60&orderByAsc=false"
        about = f"{sweep.table.title} ({sweep.table.source}). [Rows of the table, best first]({rows})"
        self._study_id = self._store.experiment(sweep.study, "study", about)
        self._stages = StageRuns(self._store, sweep.key)
        known = self._known_runs()
        self._runs = {place: run.info.run_id for place, run in known.items()}
        name = f"{sweep.study} {sweep.scale} {len(sweep.seeds)} seeds"
        params = {"scale": sweep.scale, "seeds": " ".join(map(str, sweep.seeds))}
        tags = {**self._tags("sweep"), "code": sweep.code, "opened": str(self._opened), **cut_record(sweep)}
        parent = self._open_run(known.get(("sweep", "", "")), name, params, tags)
        for position, row in enumerate(sweep.table.rows, start=1):
            tags = {**self._tags("cell"), "row": row.key, "mlflow.parentRunId": parent}
            self._open_run(known.get(("cell", row.key, "")), " · ".join(filter(None, row.label)), row.params, tags, position)

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
    def stage_ended(self, fingerprint: str, status: Status, metrics: Mapping[str, float], provenance: Mapping[str, Scalar]) -> None:
        """End a started stage. Its closing ``metrics`` are kept as ``result/<name>``, apart from the curves of that name; the entry
        ``code`` of ``provenance`` is the digest of the code that computed it.
        """
        self._stages.ended(fingerprint, status, metrics, provenance)

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
    def close_sweep(self, status: Status, artifacts: Sequence[Path] = (), note: str = "") -> None:
        """Write mean, std, n, ci_low and ci_high per metric on the cell runs, and end every run the sweep has.

        ``artifacts`` are kept on the sweep's run; ``note`` is the Markdown that the UI shows as its description.
        """
        self._end_left_over()
        for row in self._sweep.table.rows:
            trials = [self._trials[row.key, seed] for seed in self._sweep.seeds if (row.key, seed) in self._trials]
            finished = [trial for trial in trials if trial.status == "FINISHED"]
            sound = self._write_cell(self._runs["cell", row.key, ""], finished)
            complete = sound and len(finished) == len(self._sweep.seeds)
            ending = "FINISHED" if complete else "KILLED" if status == "KILLED" else "FAILED"
            self._store.end(self._runs["cell", row.key, ""], ending)
        sweep_run = self._runs["sweep", "", ""]
        if note:
            self._store.write(sweep_run, tags={_NOTE: note})
        self._store.keep(sweep_run, artifacts)
        self._store.end(sweep_run, status)

    def _write_cell(self, run_id: str, trials: list[TrialResult]) -> bool:
        """Write what has changed of a cell's statistics; False if a metric gets none because a trial's value is not finite."""
        names = set.intersection(*(set(trial.metrics) for trial in trials)) if trials else set()
        written, stamp, sound, points = self._store.get(run_id).data.metrics, now(), True, []
        for name in sorted(names):
            try:
                summary = summarize({f"{name} of {trial.row}, seed {trial.seed},": trial.metrics[name] for trial in trials})
            except UserError as error:
                _log.warning("no statistics of %s in MLflow: %s", name, error)
                sound = False
                continue
            numbers = {f"{name}_{key}": value for key, value in vars(summary).items() if value is not None}
            points += [(key, value, 0, stamp) for key, value in numbers.items() if written.get(key) != value]
        self._store.write(run_id, points)
        return sound

    def _end_left_over(self) -> None:
        """End the stages and trials that this sweep started, in whichever process, and that did not come to an end."""
        for experiment in (self._stages.experiment, self._study_id):
            for run in self._store.search(experiment, f"{equals('sweep', self._sweep.key)} and attributes.status = 'RUNNING'"):
                if run.data.tags["kind"] in ("stage", "trial"):
                    self._store.end(run.info.run_id, "KILLED")
        self._stages.forget()

    def _tags(self, kind: str) -> dict[str, str]:
        sweep = self._sweep
        corpora = {f"corpus.{role}": corpus.digest for role, corpus in sweep.corpora.items()}
        facts = {"study": sweep.study, "scale": sweep.scale, "protocol": sweep.protocol}
        source = {"mlflow.source.name": f"orchestrator.sweep {sweep.study}", "mlflow.source.type": "JOB"}
        return {"kind": kind, "sweep": sweep.key, **facts, **corpora, **source}

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


def _place(tags: Mapping[str, str]) -> _Place:
    return tags.get("kind", ""), tags.get("row", ""), tags.get("seed", "")


def _told_before(before: TrialResult, trial: TrialRecord, metrics: Mapping[str, float]) -> bool:
    """Whether a recorded trial holds these numbers and this code; a stage whose result was cleared away meanwhile tells no code."""
    return same_numbers(before.metrics, metrics) and trial.code.items() <= before.code.items()
