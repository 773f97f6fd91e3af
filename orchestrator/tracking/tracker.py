"""Writes one sweep to MLflow: sweep > cell > trial, and the stages they share."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.records import Scalar, StageRecord, Status, SweepRecord, TrialRecord, TrialResult
from orchestrator.statistics import summarize
from orchestrator.tracking.reading import cut_record, trial_result
from orchestrator.tracking.store import Point, Store, equals, now, without_password
from trainables.errors import UserError

if TYPE_CHECKING:
    from orchestrator.tracking.store import Run

_STAGES = "stages"
_ROWS_PAGE = "#/experiments/{experiment}/runs?workflowType=machine_learning&searchFilter=tags.kind%20%3D%20%27cell%27"
_Place = tuple[str, str, str]  # kind, row, seed
_log = logging.getLogger(__name__)


def _or_give_up(method: Callable[..., Any]) -> Callable[..., Any]:
    """Turn tracking off, with one warning, when MLflow fails: a sweep never dies of its logging."""

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

    Call :meth:`open_sweep` first. No method raises when the store is away or refuses: a warning is logged once, ``healthy``
    becomes False and every further call returns at once. The results are in the project's own store all the same, and the next
    run of the same command sends everything again.

    Args:
        uri: The tracking store, see :func:`orchestrator.tracking.default_uri`.
        artifacts: Where new experiments keep their artifacts, see :func:`orchestrator.tracking.default_artifacts`.
    """

    def __init__(self, uri: str, artifacts: Path | None) -> None:
        self.healthy = True
        self._uri = without_password(uri)
        self._runs: dict[_Place, str] = {}  # run ids
        self._trials: dict[tuple[str, int], TrialResult] = {}  # by row and seed
        self._stages: dict[str, str | None] = {}  # fingerprint -> run id, None for a stage that was recorded before
        self._open_stages: set[str] = set()
        self._logged: dict[str, set[tuple[str, int]]] = {}  # fingerprint -> metric and step of the points that are there
        try:
            self._store = Store(uri, artifacts)
        except Exception as error:
            self._give_up(error)

    @_or_give_up
    def open_sweep(self, sweep: SweepRecord) -> None:
        """Make the runs of the sweep and of its cells, or set those of an earlier attempt to RUNNING again."""
        self._sweep, self._opened = sweep, now()
        rows = _ROWS_PAGE + f"&orderByKey=metrics.%60{sweep.table.headline}_mean%60&orderByAsc=false"
        about = f"{sweep.table.title} ({sweep.table.source}). [Rows of the table, best first]({rows})"
        self._study_id = self._store.experiment(sweep.study, "study", about)
        self._stages_id = self._store.experiment(_STAGES, "stages", "One run per executed stage.")
        known = self._known_runs()
        self._runs = {place: run.info.run_id for place, run in known.items()}
        name = f"{sweep.study} {sweep.scale} {len(sweep.seeds)} seeds"
        params = {**sweep.params, "scale": sweep.scale, "seeds": " ".join(map(str, sweep.seeds))}
        tags = {**self._tags("sweep"), "opened": str(self._opened), **cut_record(sweep)}
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
    def stage_started(self, stage: StageRecord) -> None:
        """Open the stage's run: that of a killed execution goes on; a stage that FINISHED before is not recorded twice."""
        if stage.fingerprint in self._open_stages:
            return
        found = self._store.search(self._stages_id, equals("fingerprint", stage.fingerprint))
        if any(run.info.status == "FINISHED" for run in found):
            self._stages[stage.fingerprint] = None
            return
        unfinished = next((run for run in found if run.info.status in ("RUNNING", "KILLED")), None)
        facts = {"stage": stage.name, "fingerprint": stage.fingerprint, "code": self._sweep.code}
        tags = {"kind": "stage", **facts, "sweep": self._sweep.key}  # the sweep that runs it now
        name = f"{stage.title} {_short(stage.fingerprint)}"
        self._stages[stage.fingerprint] = self._store.open(self._stages_id, unfinished, name, stage.settings, tags, now())
        self._open_stages.add(stage.fingerprint)
        self._logged[stage.fingerprint] = self._store.points(unfinished) if unfinished else set()

    @_or_give_up
    def log_stage(self, fingerprint: str, points: Sequence[Point]) -> None:
        """Add points to the curves of a started stage. A metric has one point per step: one sent again changes nothing, be it
        delivered twice or computed again by a stage that went on from its checkpoint (which gives the same value). Points that
        come before their stage was started are passed over: the finished stage delivers its whole curves.
        """
        run_id = self._stages.get(fingerprint)
        if run_id is not None:
            logged = self._logged[fingerprint]
            fresh = {(point[0], point[2]): point for point in points if (point[0], point[2]) not in logged}
            self._store.write(run_id, metrics=list(fresh.values()))
            logged.update(fresh)

    @_or_give_up
    def stage_ended(
        self,
        fingerprint: str,
        status: Status,
        metrics: Mapping[str, float],
        provenance: Mapping[str, Scalar],
        artifacts: Sequence[Path] = (),
    ) -> None:
        """End a started stage. Its closing ``metrics`` are kept as ``result/<name>``, apart from the curves of that name."""
        run_id = self._stages[fingerprint]
        if run_id is None:
            return
        stamp = now()
        points = [(f"result/{name}", value, 0, stamp) for name, value in metrics.items()]
        self._store.write(run_id, points, tags={f"provenance.{name}": value for name, value in provenance.items()})
        self._store.keep(run_id, artifacts)
        self._store.end(run_id, status)
        self._open_stages.discard(fingerprint)

    @_or_give_up
    def trial_ended(self, trial: TrialRecord, status: Status, metrics: Mapping[str, float]) -> None:
        """Write one trial under its cell, once.

        A FINISHED trial with another fingerprint, or with other numbers (a stage was forced), is superseded: its run goes to
        MLflow's deleted runs, where it can be restored.
        """
        place = ("trial", trial.row, str(trial.seed))
        before = self._trials.get((trial.row, trial.seed))
        run = self._store.get(self._runs[place]) if before else None
        if before and before.status == "FINISHED":
            if before.fingerprint == trial.fingerprint and (status != "FINISHED" or _same(before.metrics, metrics)):
                return
            self._store.delete(self._runs[place])
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
            **({"code": trial.code} if trial.code else {}),
            **{f"stage.{number:02d}": fingerprint for number, fingerprint in enumerate(trial.stages, start=1)},
            "mlflow.parentRunId": self._runs["cell", trial.row, ""],
            "mlflow.note.content": self._chain_note(trial.stages),
        }

    def _chain_note(self, chain: Sequence[str]) -> str:
        lines = ["Stages of this trial, first to last (shared ones ran once):", ""]
        for number, fingerprint in enumerate(chain, start=1):
            found = self._store.search(self._stages_id, equals("fingerprint", fingerprint))
            run = next((run for run in found if run.info.status == "FINISHED"), None)
            page = f"#/experiments/{self._stages_id}/runs/{run.info.run_id}" if run else ""
            lines.append(f"{number}. [{run.info.run_name}]({page})" if run else f"{number}. `{fingerprint}` (no run recorded)")
        return "\n".join(lines)

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
            self._store.write(sweep_run, tags={"mlflow.note.content": note})
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
        for experiment in (self._stages_id, self._study_id):
            for run in self._store.search(experiment, f"{equals('sweep', self._sweep.key)} and attributes.status = 'RUNNING'"):
                if run.data.tags["kind"] in ("stage", "trial"):
                    self._store.end(run.info.run_id, "KILLED")
        self._open_stages.clear()

    def _tags(self, kind: str) -> dict[str, str]:
        sweep = self._sweep
        corpora = {f"corpus.{role}": corpus.digest for role, corpus in sweep.corpora.items()}
        facts = {"study": sweep.study, "scale": sweep.scale, "protocol": sweep.protocol, "code": sweep.code}
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
        self.healthy = False
        reason = without_password(f"{type(error).__name__}: {error}".splitlines()[0][:300])
        _log.warning(
            "MLflow at %s does not answer as it should (%s). The sweep goes on without it; all results are kept, and the same "
            "command run again delivers what is missing.",
            self._uri,
            reason,
        )
        _log.debug("what MLflow answered", exc_info=error)


def _place(tags: Mapping[str, str]) -> _Place:
    return tags.get("kind", ""), tags.get("row", ""), tags.get("seed", "")


def _same(stored: Mapping[str, float], given: Mapping[str, float]) -> bool:
    """Whether two sets of metrics are equal to the last bit, NaN being itself."""
    return {name: repr(float(value)) for name, value in stored.items()} == {name: repr(float(v)) for name, v in given.items()}


def _short(fingerprint: str) -> str:
    return fingerprint.rsplit("-", 1)[-1][:8]
