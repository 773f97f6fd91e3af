"""From the store to MLflow: what a finished stage or trial has to say, delivered once however often it is sent.

The store keeps every result with its curves, so MLflow may be away, or its server lost: the next run of the same command delivers
what is missing. Every call of the tracker is idempotent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from orchestrator.artifacts import ArtifactStore
from orchestrator.provenance import dirty_files, stage_code
from orchestrator.records import RecordedSweep, Scalar, StageRecord, TrialRecord, statistics_digest
from trainables.errors import UserError
from trainables.stage import Stage, stage_class

Call = Callable[..., Any]
"""Calls a method of the tracker by name, here or in its actor."""


def stage_record(stage: Stage, fingerprint: str) -> StageRecord:
    """How MLflow shows a stage: its own settings, and what it is upstream of in words."""
    settings: dict[str, Scalar] = {}
    for name, value in {**stage.settings(), **stage.roles()}.items():
        settings[name] = value if isinstance(value, bool | int | float | str) else str(value)
    return StageRecord(fingerprint=fingerprint, name=type(stage).__name__, title=stage.label, settings=settings)


def deliver_stage(call: Call, stage: Stage, fingerprint: str, store: ArtifactStore) -> None:
    """Make sure that MLflow has the finished stage's run, with its whole curves and its pictures."""
    call("stage_started", stage_record(stage, fingerprint))
    call("log_stage", fingerprint, [tuple(point) for point in store.read_json(fingerprint, "history.json")])
    metrics = store.read_json(fingerprint, "metrics.json")
    provenance = _flat(store.read_json(fingerprint, "provenance.json"))
    # The bytes of pictures and not their place: the tracker may be on another node than the result.
    call("stage_ended", fingerprint, "FINISHED", metrics, provenance, store.pictures(fingerprint) if stage.draws else {})


def deliver_trial(call: Call, trial: TrialRecord, store: ArtifactStore) -> dict[str, float]:
    """Make sure that MLflow has the finished trial's run, with the code that computed it; returns its metrics."""
    metrics = store.read_json(trial.fingerprint, "metrics.json")
    done = [name for name in trial.stages if store.is_done(name)]  # what is upstream of a finished stage may have been cleared away
    codes: dict[str, set[str]] = {}
    dirty: set[str] = set()
    for name in done:
        provenance = store.read_json(name, "provenance.json")
        codes.setdefault(name.partition("/")[0], set()).add(provenance["code"])
        if provenance.get("dirty") and not _committed_since(store.read_json(name, "config.json"), provenance):
            dirty.update(provenance["dirty"])
    code = {stage: "+".join(sorted(digests)) for stage, digests in codes.items()}
    call("trial_ended", trial.model_copy(update={"code": code, "dirty": tuple(sorted(dirty))}), "FINISHED", metrics)
    return metrics


def deliver_statistics(call: Call, recorded: RecordedSweep, store: ArtifactStore) -> None:
    """Compute the statistics of every row from the predictions of its finished trials, and write them on the cell runs.

    Raises:
        UserError: A metric is not finite, or predictions are not those of their trial.
    """
    import pandas as pd

    from orchestrator.statistics import table_statistics

    def read(fingerprint: str, name: str) -> pd.DataFrame:
        file = store.path(fingerprint) / name
        try:
            return pd.read_parquet(file)
        except FileNotFoundError:
            raise
        except (OSError, ValueError) as error:  # pyarrow's own errors are of these kinds
            raise UserError(f"{file} cannot be read ({error}); compute it again with --redo force") from error

    twins = any(corpus.twin for corpus in recorded.sweep.corpora.values())
    cells = table_statistics(
        recorded.sweep.table,
        recorded.trials,
        read,
        with_published=not twins,  # a twin's numbers are never comparable to a paper's
    )
    rows: dict[str, dict[str, float]] = {}
    for (row, column), statistics in cells.items():
        rows.setdefault(row, {}).update(statistics.as_metrics(column))
    call("write_statistics", rows, statistics_digest(recorded.trials))


def _committed_since(config: Mapping[str, Any], provenance: Mapping[str, Any]) -> bool:
    """Whether the code that computed a result is that of the checkout, in which everything is committed by now.

    The digest of a stage's code is of ``trainables`` alone, so of other files it cannot be told.
    """
    if dirty_files() or not all(file.startswith("trainables/") for file in provenance["dirty"]):
        return False
    try:
        return stage_code(stage_class(config["stage"])) == provenance["code"]
    except UserError:
        return False  # this version of the program has no such stage


def _flat(nested: Mapping[str, Any], prefix: str = "") -> dict[str, Scalar]:
    """``{"a": {"b": 1}}`` as ``{"a.b": 1}``."""
    flat: dict[str, Scalar] = {}
    for name, value in nested.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = ", ".join(value) if isinstance(value, list) else value
    return flat
