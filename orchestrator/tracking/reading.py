"""The read side: what a store knows of the sweeps of a study and of their trials.

A sweep's record is cut into tags of its run, not kept as an artifact: a tag can be read wherever the server can be reached.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from pydantic import ValidationError

from orchestrator.records import RecordedSweep, SweepRecord, TrialResult, sweep_command
from orchestrator.tracking.credentials import without_secrets
from orchestrator.tracking.sqlite import sqlite_file
from orchestrator.tracking.store import (
    RUNS_PAGE,
    TAG_LENGTH,
    Store,
    equals,
    is_failure_of_mlflow,
    page,
    parts,
    reason_of,
)
from trainables.errors import UserError

if TYPE_CHECKING:
    from orchestrator.tracking.store import Run


def read_sweep(uri: str, study: str, sweep_key: str | None = None) -> RecordedSweep:
    """A sweep (the most lately run one unless its key is given) with its trials, whatever their status, and its rows' statistics.

    Raises:
        UserError: The store cannot be read; it has no such sweep (the studies found are named); or another version of this program
            recorded the sweep.
    """
    store = _open(uri)
    experiment, sweeps = _sweeps(store, study)
    chosen = next((run for run in sweeps if sweep_key in (None, run.data.tags["sweep"])), None)
    if chosen is None:
        raise UserError(f"MLflow at {store.uri} has no sweep {sweep_key!r} of the study {study!r}")
    try:
        sweep = SweepRecord.model_validate_json(join_record(chosen.data.tags))
    except ValidationError as error:
        raise UserError(
            f"the sweep {chosen.info.run_name!r} of MLflow at {store.uri} was recorded by another version of this program "
            f"({error.error_count()} fields differ); run `{sweep_command(study)}` again to record it anew"
        ) from error
    runs = store.search(experiment, equals("sweep", sweep.key))
    cells = {run.data.tags["row"]: run for run in runs if run.data.tags["kind"] == "cell"}
    return RecordedSweep(
        sweep=sweep,
        trials=tuple(trial_result(run) for run in runs if run.data.tags["kind"] == "trial"),
        cells={row: run.data.metrics for row, run in cells.items()},
        told_by=chosen.data.tags.get("statistics", ""),
        links={row: page(uri, f"#/experiments/{experiment}/runs/{run.info.run_id}") for row, run in {**cells, "": chosen}.items()},
    )


def studies(uri: str) -> list[str]:
    """Names of the studies that have a sweep, in alphabetical order. Raises UserError if the store cannot be read."""
    store = _open(uri)
    named = {name: store.find_experiment(name) for name in store.experiments("tags.kind = 'study'")}
    return sorted(name for name, experiment in named.items() if experiment and store.search(experiment, "tags.kind = 'sweep'"))


def study_page(uri: str, study: str) -> str:
    """Address of the study's runs in MLflow's UI. Raises as `read_sweep`."""
    return page(uri, RUNS_PAGE.format(experiment=_sweeps(_open(uri), study)[0]))


def _sweeps(store: Store, study: str) -> tuple[str, list[Run]]:
    """Id of a study's experiment, and the runs of its sweeps, the most lately run first."""
    experiment = store.find_experiment(study)
    runs = store.search(experiment, "tags.kind = 'sweep'") if experiment else []
    if experiment is None or not runs:
        found = ", ".join(sorted(store.experiments("tags.kind = 'study'"))) or "none"
        raise UserError(
            f"MLflow at {store.uri} has no sweep of the study {study!r}; studies there: {found}. "
            f"Check the name, or run `{sweep_command(study)}` first"
        )
    return experiment, sorted(runs, key=lambda run: int(run.data.tags["opened"]), reverse=True)


def trial_result(run: Run) -> TrialResult:
    """A trial's run as a record."""
    tags = run.data.tags
    return TrialResult(
        row=tags["row"],
        seed=int(tags["seed"]),
        fingerprint=tags["fingerprint"],
        status=run.info.status,
        metrics=run.data.metrics,
        scale=tags["scale"],
        protocol=tags["protocol"],
        code=_group(tags, "code."),
        corpora=_group(tags, "corpus."),
        dirty=tuple(tags.get("dirty", "").split()),
        failure=tags.get("failure", ""),
    )


def _group(tags: Mapping[str, str], prefix: str) -> dict[str, str]:
    """The tags whose names begin with ``prefix``, without it."""
    return {name.removeprefix(prefix): value for name, value in tags.items() if name.startswith(prefix)}


def cut_record(sweep: SweepRecord) -> dict[str, str]:
    """A sweep's record as tags ``record.00``, ``record.01``, ... of at most MLflow's length each."""
    text = json.dumps(sweep.model_dump(mode="json"))  # ASCII: one character is one byte, however a database counts
    return {f"record.{number:02d}": part for number, part in enumerate(parts(text, TAG_LENGTH))}


def join_record(tags: Mapping[str, str]) -> str:
    """The JSON that :func:`cut_record` cut."""
    return "".join(tags[key] for key in sorted(tags) if re.fullmatch(r"record\.\d\d", key))


def _open(uri: str) -> Store:
    """A store that has answered. One that is away or was never made is told, not created."""
    file = sqlite_file(uri)
    if file is not None and not file.exists():
        raise UserError(f"no MLflow store at {uri}; run a sweep first, or point --results or MLFLOW_TRACKING_URI to where one ran")
    try:
        store = Store(uri)
        store.experiments()
    except Exception as error:
        if not is_failure_of_mlflow(error):
            raise
        raise UserError(f"cannot read MLflow at {without_secrets(uri)}: {reason_of(error)}; check MLFLOW_TRACKING_URI") from error
    return store
