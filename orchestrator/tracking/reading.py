"""The read side: what a store knows of the sweeps of a study and of their trials.

A sweep's record is cut into tags of its run, not kept as an artifact: a tag can be read wherever the server can be reached.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from orchestrator.records import SweepRecord, TrialResult
from orchestrator.tracking.store import TAG_LENGTH, Store, equals, parts, sqlite_file, without_password
from trainables.errors import UserError

if TYPE_CHECKING:
    from orchestrator.tracking.store import Run


def read_studies(uri: str) -> list[str]:
    """Names of the studies that the store has, in alphabetical order. Raises UserError if the store cannot be read."""
    return sorted(_open(uri).experiments("tags.kind = 'study'"))


def read_sweeps(uri: str, study: str) -> list[SweepRecord]:
    """The sweeps of a study, the most lately run first. Raises UserError naming the studies found if there is none."""
    return _sweeps(_open(uri), study)[1]


def read_trials(uri: str, study: str, sweep_key: str | None = None) -> tuple[SweepRecord, list[TrialResult]]:
    """A sweep (the most lately run one unless its key is given) and every trial of it, whatever its status."""
    store = _open(uri)
    experiment, sweeps = _sweeps(store, study)
    chosen = [sweep for sweep in sweeps if sweep_key in (None, sweep.key)]
    if not chosen:
        raise UserError(f"MLflow at {store.uri} has no sweep {sweep_key!r} of the study {study!r}")
    runs = store.search(experiment, f"{equals('sweep', chosen[0].key)} and tags.kind = 'trial'")
    return chosen[0], [trial_result(run) for run in runs]


def _sweeps(store: Store, study: str) -> tuple[str, list[SweepRecord]]:
    experiment = store.find_experiment(study)
    runs = store.search(experiment, "tags.kind = 'sweep'") if experiment else []
    if experiment is None or not runs:
        found = ", ".join(sorted(store.experiments("tags.kind = 'study'"))) or "none"
        raise UserError(
            f"MLflow at {store.uri} has no sweep of the study {study!r}; studies there: {found}. "
            f"Check the name, or run `python -m orchestrator.sweep {study}` first"
        )
    runs.sort(key=lambda run: int(run.data.tags["opened"]), reverse=True)
    return experiment, [SweepRecord.model_validate_json(join_record(run.data.tags)) for run in runs]


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
        code=tags["code"],
        corpora={name.removeprefix("corpus."): value for name, value in tags.items() if name.startswith("corpus.")},
    )


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
        raise UserError(
            f"no MLflow store at {uri}; run a sweep first, or point --results or MLFLOW_TRACKING_URI to where one ran"
        )
    try:
        store = Store(uri)
        store.experiments()
    except (
        Exception
    ) as error:  # whatever the driver of a database or the network raises, it is the address that is to be mended
        reason = without_password(str(error).splitlines()[0][:300])
        raise UserError(f"cannot read MLflow at {without_password(uri)}: {reason}; check MLFLOW_TRACKING_URI") from error
    return store
