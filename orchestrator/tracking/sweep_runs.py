"""The runs of one sweep: sweep > cell > trial, written one call after the other."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.records import Point, Scalar, Status, SweepRecord, TrialRecord, TrialResult
from orchestrator.tracking.reading import cut_record, trial_result
from orchestrator.tracking.stages import StageRuns
from orchestrator.tracking.store import RUNS_PAGE, Store, equals, now, same_numbers, sentences
from trainables.pictures import FIGURES

if TYPE_CHECKING:
    from orchestrator.tracking.store import Run
    from search_spaces.table import TableSpec

_ROWS_PAGE = f"{RUNS_PAGE}&searchFilter=tags.kind%20%3D%20%27cell%27"
_NOTE = "mlflow.note.content"
_Place = tuple[str, str, str]  # kind, row, seed


class SweepRuns:
    """Writes the runs of one sweep; see :class:`orchestrator.tracking.Tracker` for what its calls promise.

    Makes the runs of the sweep and of its cells, or sets those of an earlier attempt to RUNNING again. Raises whatever MLflow
    raises; a call that raised may be made again. Trials may be written by several threads, each by one at a time.
    """

    def __init__(self, store: Store, sweep: SweepRecord) -> None:
        self._store, self._sweep, self._opened = store, sweep, now()
        self._unsure: set[_Place] = set()  # trials whose run is to be looked up: written here, or left behind by a broken call
        self._experiment = store.experiment(sweep.study, "study", _about(sweep.table))
        self.stages = StageRuns(store, sweep.key)
        self._rows = {row.key: (position, row) for position, row in enumerate(sweep.table.rows, start=1)}
        self._positions = {seed: position for position, seed in enumerate(sweep.seeds, start=1 + len(self._rows))}
        self._tags = _common_tags(sweep)
        self._known = self._look()
        self._sound = {place for place, run in self._known.items() if _is_sound(run.info.status, run.data.metrics)}
        self._run = self._open_sweep()
        self._cells = {row: self._open_cell(row) for row in self._rows}
        self._written = {row: dict(run.data.metrics) for row in self._rows if (run := self._known.get(("cell", row, "")))}

    def _look(self, condition: str = "") -> dict[_Place, Run]:
        """The runs of the sweep; of several in one place (two processes, or one whose server died) the one that counts."""
        known: dict[_Place, Run] = {}
        for run in self._store.search(self._experiment, equals("sweep", self._sweep.key) + condition):
            tags = run.data.tags
            place = tags["kind"], tags.get("row", ""), tags.get("seed", "")
            other = known.setdefault(place, run)
            if other is not run:
                known[place], superfluous = (run, other) if _counts_more(run, other) else (other, run)
                self._store.delete(superfluous.info.run_id)
        return known

    def _open_sweep(self) -> str:
        sweep = self._sweep
        params = {"scale": sweep.scale, "seeds": " ".join(map(str, sweep.seeds))}
        tags = {"code": sweep.code, "opened": str(self._opened), **cut_record(sweep)}
        return self._open(("sweep", "", ""), f"{sweep.study} {sweep.scale} {len(sweep.seeds)} seeds", params, tags)

    def _open_cell(self, key: str) -> str:
        position, row = self._rows[key]
        tags = {"row": key, "mlflow.parentRunId": self._run}
        return self._open(("cell", key, ""), " · ".join(filter(None, row.label)), row.params, tags, position)

    def _open(
        self,
        place: _Place,
        name: str,
        params: Mapping[str, Scalar],
        tags: Mapping[str, str],
        position: int = 0,
        points: Sequence[Point] = (),
    ) -> str:
        # The UI sorts by start, newest first: a millisecond less for each row and seed keeps the table's order.
        tags = {**self._tags, "kind": place[0], **tags}
        return self._store.open(self._experiment, self._known.get(place), name, params, tags, self._opened - position, points)

    def trial_ended(self, trial: TrialRecord, status: Status, metrics: Mapping[str, float], stamp: int) -> None:
        """See :meth:`orchestrator.tracking.Tracker.trial_ended`; ``stamp`` is the time of the metrics in ms."""
        place = ("trial", trial.row, str(trial.seed))
        if place in self._unsure:
            self._known.pop(place, None)
            self._known |= self._look(f" and tags.kind = 'trial' and {equals('row', trial.row)} and tags.seed = '{trial.seed}'")
        self._unsure.add(place)
        before = self._known.get(place)
        if before and before.info.status == "FINISHED" and not self._is_superseded(before, trial, status, metrics):
            self._renew_note(before, trial)
            self._unsure.discard(place)
        else:
            self._write_trial(place, trial, status, metrics, stamp)

    def _is_superseded(self, before: Run, trial: TrialRecord, status: Status, metrics: Mapping[str, float]) -> bool:
        told = trial_result(before)
        if told.fingerprint == trial.fingerprint and (status != "FINISHED" or _told_before(told, trial, metrics)):
            return False
        self._store.delete(before.info.run_id)
        del self._known["trial", trial.row, str(trial.seed)]
        return True

    def _write_trial(self, place: _Place, trial: TrialRecord, status: Status, metrics: Mapping[str, float], stamp: int) -> None:
        params = {**self._rows[trial.row][1].params, "seed": trial.seed}
        points = [(name, value, 0, stamp) for name, value in metrics.items()]
        run_id = self._open(place, f"seed {trial.seed}", params, self._trial_tags(trial), self._positions[trial.seed], points)
        self._store.end(run_id, status)
        self._known.pop(place, None)
        (self._sound.add if _is_sound(status, metrics) else self._sound.discard)(place)

    def _trial_tags(self, trial: TrialRecord) -> dict[str, str]:
        return {
            **{"row": trial.row, "seed": str(trial.seed), "trial": trial.key, "fingerprint": trial.fingerprint},
            **{f"code.{stage}": digest for stage, digest in trial.code.items()},
            "dirty": " ".join(trial.dirty),
            "failure": trial.failure,
            **{f"stage.{number:02d}": fingerprint for number, fingerprint in enumerate(trial.stages, start=1)},
            "mlflow.parentRunId": self._cells[trial.row],
            _NOTE: self._chain_note(trial.stages),
        }

    def _renew_note(self, run: Run, trial: TrialRecord) -> None:
        """A forced stage has a new run even if the trial's numbers are the old ones."""
        note = self._chain_note(trial.stages)
        if run.data.tags.get(_NOTE) != note:
            self._store.write(run.info.run_id, tags={_NOTE: note})

    def _chain_note(self, chain: Sequence[str]) -> str:
        lines = [f"{number}. {self.stages.link(fingerprint)}" for number, fingerprint in enumerate(chain, start=1)]
        return "\n".join(["Stages of this trial, first to last (shared ones ran once):", "", *lines])

    def write_statistics(self, cells: Mapping[str, Mapping[str, float]], told_by: str, stamp: int) -> None:
        """See :meth:`orchestrator.tracking.Tracker.write_statistics`; ``stamp`` is the time of the metrics in ms."""
        for row, numbers in cells.items():
            written = self._written.setdefault(row, {})
            changed = [name for name in numbers if name not in written or repr(numbers[name]) != repr(written[name])]  # NaN is NaN
            self._store.write(self._cells[row], [(name, numbers[name], 0, stamp) for name in changed])
            written.update(numbers)
        self._store.write(self._run, tags={"statistics": told_by})

    def close(self, status: Status, artifacts: Sequence[Path], note: str, pictures: Sequence[Path]) -> None:
        """See :meth:`orchestrator.tracking.Tracker.close_sweep`."""
        self.stages.end_left_over(self._experiment)
        for row, run_id in self._cells.items():
            complete = all(("trial", row, str(seed)) in self._sound for seed in self._sweep.seeds)
            self._store.end(run_id, "FINISHED" if complete else "KILLED" if status == "KILLED" else "FAILED")
        if note:
            self._store.write(self._run, tags={_NOTE: note})
        self._store.keep(self._run, artifacts)
        self._store.keep(self._run, pictures, FIGURES)
        self._store.end(self._run, status)


def _common_tags(sweep: SweepRecord) -> dict[str, str]:
    corpora = {f"corpus.{role}": corpus.digest for role, corpus in sweep.corpora.items()}
    facts = {"sweep": sweep.key, "study": sweep.study, "scale": sweep.scale, "protocol": sweep.protocol}
    source = {"mlflow.source.name": f"orchestrator.sweep {sweep.study}", "mlflow.source.type": "JOB"}
    return {**facts, **corpora, **source, **sentences("leaks", sweep.leaks)}


def _about(table: TableSpec) -> str:
    """What the study's page says above its runs: what they are, and the rows in two orders."""

    def rows(title: str, statistic: str, ascending: bool) -> str:
        return f"[{title}]({_ROWS_PAGE}&orderByKey=metrics.%60{table.headline}_{statistic}%60&orderByAsc={str(ascending).lower()})"

    by_p = f", {rows('by p', 'p_vs_baseline', True)}" if table.baseline else ""
    return f"{table.title} ({table.source}). Rows of the table: {rows('best first', 'mean', False)}{by_p}"


def _counts_more(run: Run, other: Run) -> bool:
    """A finished run counts more than another, and of two alike the older one: every process comes to the same choice."""

    def rank(each: Run) -> tuple[bool, int, str]:
        return each.info.status == "FINISHED", -each.info.start_time, each.info.run_id

    return rank(run) > rank(other)


def _told_before(before: TrialResult, trial: TrialRecord, metrics: Mapping[str, float]) -> bool:
    """Whether a recorded trial holds these numbers and this code; a stage whose result was cleared away meanwhile tells no code."""
    same_code = trial.code.items() <= before.code.items() and trial.dirty == before.dirty
    return same_numbers(before.metrics, metrics) and same_code


def _is_sound(status: str, metrics: Mapping[str, float]) -> bool:
    return status == "FINISHED" and all(map(math.isfinite, metrics.values()))
