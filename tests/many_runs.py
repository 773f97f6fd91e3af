"""A finished sweep of any number of trials in an MLflow store, without the half hour that logging it would take.

Everything but the trials is written by the tracker itself, and so is the first trial; the others are copies of its rows in MLflow's
tables, with row, seed, fingerprint and number of their own.
"""

from __future__ import annotations

import uuid
from pathlib import Path

from orchestrator.records import CellStatistics, SweepRecord, TrialRecord, statistics_digest
from orchestrator.tracking import Tracker, read_sweep
from search_spaces.table import Row
from tests.recorded import SHARED, record_stage, sweep, trial

SEEDS = 10


def record_many(uri: str, artifacts: Path, trials: int) -> SweepRecord:
    """Record a sweep of so many trials, ten seeds to a row, with its statistics."""
    rows = tuple(Row(key=f"row{n}", label=("fixed", f"row {n}"), params={"lambda_": n / 100}) for n in range(trials // SEEDS))
    record = sweep(table=sweep().table.model_copy(update={"rows": rows}), seeds=tuple(range(SEEDS)))
    tracker = Tracker(uri, artifacts)
    tracker.open_sweep(record)
    record_stage(tracker)
    tracker.trial_ended(many_trials(record)[0], "FINISHED", {"f1": 0.5, "accuracy": 0.6, "recall": 0.4})
    tracker.flush()
    _copy_trial(uri, record)
    recorded = read_sweep(uri, record.study, record.key)
    statistics = CellStatistics(n=SEEDS, mean=0.5, std=0.1, ci_low=0.4, ci_high=0.6)
    cells = {row.key: statistics.as_metrics("f1") for row in rows}
    tracker.write_statistics(cells, statistics_digest(recorded.trials))
    tracker.close_sweep("FINISHED")
    assert tracker.healthy
    return record


def many_trials(record: SweepRecord) -> list[TrialRecord]:
    """The trials of such a sweep, as their delivery names them; of their stages one is recorded, which they all share."""
    places = [(row.key, seed) for row in record.table.rows for seed in record.seeds]
    return [trial(row, seed).model_copy(update={"stages": (SHARED.fingerprint,)}) for row, seed in places]


def _copy_trial(uri: str, record: SweepRecord) -> None:
    from mlflow.store.tracking.dbmodels.models import SqlLatestMetric, SqlMetric, SqlParam, SqlRun, SqlTag
    from sqlalchemy import create_engine, insert, select

    with create_engine(uri).begin() as database:
        tags: dict[str, dict[str, str]] = {}
        for run, key, value in database.execute(select(SqlTag.run_uuid, SqlTag.key, SqlTag.value)):
            tags.setdefault(run, {})[key] = value
        (first,) = (run for run, told in tags.items() if told.get("kind") == "trial")
        cells = {told["row"]: run for run, told in tags.items() if told.get("kind") == "cell"}
        for model in (SqlRun, SqlTag, SqlParam, SqlMetric, SqlLatestMetric):
            table = model.__table__
            found = [dict(row._mapping) for row in database.execute(select(table).where(table.c.run_uuid == first))]
            copies = []
            for number, (row, seed) in enumerate((row.key, seed) for row in record.table.rows for seed in record.seeds):
                if number:
                    copies += [_copied(entry, row, seed, cells[row], number) for entry in found]
            database.execute(insert(table), copies)


def _copied(entry: dict, row: str, seed: int, cell: str, number: int) -> dict:
    """A row of a table for another trial; one with a key is a tag, a param or a metric."""
    told = {"row": row, "seed": str(seed), "trial": f"{row}-seed{seed}", "fingerprint": f"Classifier/{row}-{seed}"}
    told["mlflow.parentRunId"] = cell
    entry = entry | {"run_uuid": uuid.uuid5(uuid.NAMESPACE_OID, f"{row} {seed}").hex}
    if isinstance(entry.get("value"), float) and entry["key"] == "f1":
        entry["value"] = 0.5 + (number % 97) / 1000
    elif entry.get("key") in told:
        entry["value"] = told[entry["key"]]
    return entry
