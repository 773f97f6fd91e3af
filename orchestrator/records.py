"""The plain records that pass between the sweep, the tracker and the tables.

They are frozen pydantic models of scalars, so that each can be written to MLflow as JSON and read back on another machine.
Nothing here knows Ray, MLflow, torch or pandas.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

from pydantic import Field

from search_spaces.table import Record, Scalar, TableSpec

Status = Literal["FINISHED", "FAILED", "KILLED"]

Point = tuple[str, float, int, int]
"""One point of a curve: metric, value, step, time in milliseconds."""


CURVE_SUFFIX = "_curve"
"""A study's curve is recorded under the study's name with this behind it."""


_OPTION, _VALUE = "--", "="  # in a recorded name; both are fine in a folder's name, and no study or protocol has them


def recorded_name(study: str, curve: bool = False, controls: bool = False, protocol: str | None = None) -> str:
    """The name under which a sweep is recorded, with its table: the study's, and what the command asked besides.

    Other controls or another protocol are another question, whose table must not take the place of the study's own.
    """
    asked = [f"{study}{CURVE_SUFFIX if curve else ''}", *(["controls"] if controls else [])]
    return _OPTION.join(asked + ([f"protocol{_VALUE}{protocol}"] if protocol else []))


def command_words(name: str) -> str:
    """What a recorded name is called on the command line: 'reclr_lambda --curve --controls --protocol daic-official'."""
    study, *asked = name.split(_OPTION)
    curve = ["--curve"] if study.endswith(CURVE_SUFFIX) else []
    return " ".join([study.removesuffix(CURVE_SUFFIX), *curve, *(f"--{word.replace(_VALUE, ' ')}" for word in asked)])


def sweep_command(name: str) -> str:
    """The command whose sweep is recorded under this name."""
    return f"python -m orchestrator.sweep {command_words(name)}"


class CorpusRecord(Record):
    """The corpus that filled a role: its name, its digest, and whether it is a synthetic twin."""

    name: str
    digest: str
    twin: bool


class SweepRecord(Record):
    """One run of a study. The same command gives the same ``key``, so that a resumed sweep finds its own runs again.

    ``study`` is the recorded name (:func:`recorded_name`).

    ``leaks`` and ``stated`` are the leakage audit's findings (:class:`orchestrator.audit.Audit`); with ``leaks`` it went on all the
    same, because that was allowed.
    """

    study: str
    key: str
    table: TableSpec
    seeds: tuple[int, ...]
    scale: str
    corpora: dict[str, CorpusRecord]  # by role
    protocol: str
    code: str  # of all stages, as it was when the sweep was planned
    leaks: tuple[str, ...] = ()
    stated: tuple[str, ...] = ()


class SearchRecord(Record):
    """A search for the best point of a space. The same command gives the same ``key``; ``leaks`` and ``stated`` are the leakage
    audit's findings, as a sweep has them.
    """

    study: str
    key: str
    title: str
    source: str
    scale: str
    seeds: tuple[int, ...]
    trials: int
    protocol: str
    leaks: tuple[str, ...] = ()
    stated: tuple[str, ...] = ()


class StageRecord(Record):
    """One stage as MLflow shows it: its fingerprint, class name, short human title and flattened settings."""

    fingerprint: str
    name: str
    title: str
    settings: dict[str, Scalar] = Field(default_factory=dict)


class TrialRecord(Record):
    """One point of a sweep: a row and a seed, the fingerprint of its last stage and those of its whole chain.

    ``code`` maps the class of each stage of the chain to the digest of the code that computed it, which may be older than the code
    that runs the sweep; digests are joined by ``+`` where two stages of one class differ. Empty while nothing is computed.
    ``dirty`` names the source files that no commit held when a stage of the chain was computed. ``failure`` says which stage of the
    chain failed and why, if one did.
    """

    key: str
    row: str
    seed: int
    fingerprint: str
    stages: tuple[str, ...]
    code: dict[str, str] = Field(default_factory=dict)
    dirty: tuple[str, ...] = ()
    failure: str = ""


class TrialResult(Record):
    """A trial as the store holds it, with the facts that must be alike across one table."""

    row: str
    seed: int
    fingerprint: str
    status: str
    metrics: dict[str, float]
    scale: str
    protocol: str
    code: dict[str, str]  # digest by class of stage, see TrialRecord
    corpora: dict[str, str]  # digest by role
    dirty: tuple[str, ...] = ()  # see TrialRecord
    failure: str = ""  # see TrialRecord


class CellStatistics(Record):
    """The statistics of one row and column over its seeds, in the metric's own unit (fractions, not percent).

    What cannot be known is None: a deviation of one seed, an interval without predictions, a test of the baseline against itself.

    Attributes:
        n: Seeds.
        mean: Over seeds.
        std: Sample standard deviation over seeds.
        ci_low: Lower end of the two-level 95 % interval of the mean (speakers x seeds).
        ci_high: Its upper end.
        speakers: Speakers in the test sets of all seeds together.
        difference: Mean over seeds of the row's value minus the baseline's with the same seed and the same test units.
        difference_low: Lower end of its two-level 95 % interval.
        difference_high: Its upper end.
        p_uncorrected: Two-sided p of "no difference from the baseline".
        p_vs_baseline: The same after Holm's correction over the compared rows; of the headline metric alone.
        p_floor: The least ``p_vs_baseline`` that so many seeds and compared rows allow at all.
        effect_size: Hedges' g of the paired differences over seeds.
        p_superior: P(A>B): share of seeds in which the row is better than the baseline, ties counting half.
        p_equivalence: TOST: p of "further from the published mean than its published standard deviation".
        control_difference: As ``difference``, from the best control of the table (:mod:`orchestrator.statistics.controls`); of the
            headline metric alone.
        control_low: Lower end of its two-level 95 % interval.
        control_high: Its upper end.
        p_null: Two-sided p of "the mean is the column's null", after Holm's correction over the rows of the column.

    Of a column that is no plain mean over seeds, ``mean`` is what it shows, ``n`` the seeds that it is made of, and the interval,
    if there is one, is over speakers alone (:mod:`orchestrator.statistics.over_seeds`).
    """

    n: int
    mean: float
    std: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    speakers: int | None = None
    difference: float | None = None
    difference_low: float | None = None
    difference_high: float | None = None
    p_uncorrected: float | None = None
    p_vs_baseline: float | None = None
    p_floor: float | None = None
    effect_size: float | None = None
    p_superior: float | None = None
    p_equivalence: float | None = None
    control_difference: float | None = None
    control_low: float | None = None
    control_high: float | None = None
    p_null: float | None = None

    def as_metrics(self, column: str) -> dict[str, float]:
        """As MLflow's cell run has them, by the column's key: ``f1_mean``, ``f1_p_vs_baseline``; what is None is NaN."""
        values = {name: getattr(self, name) for name in type(self).model_fields}
        return {f"{column}_{name}": math.nan if value is None else float(value) for name, value in values.items()}

    @classmethod
    def from_metrics(cls, column: str, metrics: Mapping[str, float]) -> CellStatistics | None:
        """The reverse of :meth:`as_metrics`; None if the cell run has no statistics of this column."""
        found = {name: metrics.get(f"{column}_{name}", math.nan) for name in cls.model_fields}
        known = {name: value for name, value in found.items() if not math.isnan(value)}
        if "n" not in known or "mean" not in known:
            return None
        return cls(**known | {name: int(known[name]) for name in ("n", "speakers") if name in known})


class RecordedSweep(Record):
    """A sweep as MLflow has it: everything that its table is made from.

    Attributes:
        sweep: What was asked.
        trials: Every trial, whatever its status.
        cells: The metrics of each row's cell run (:meth:`CellStatistics.as_metrics`).
        links: Address of each row's cell run in MLflow's UI; that of the sweep's run under the key ''.
        told_by: :func:`statistics_digest` of the trials that ``cells`` were computed from; '' if they never were.
    """

    sweep: SweepRecord
    trials: tuple[TrialResult, ...]
    cells: dict[str, dict[str, float]]
    links: dict[str, str] = Field(default_factory=dict)
    told_by: str = ""


def statistics_digest(trials: Iterable[TrialResult]) -> str:
    """What a table's statistics depend on: every finished trial with its numbers, and the code that computes statistics.

    A table whose recorded statistics have another digest would show them beside trials that they are not of.
    """
    digest = hashlib.sha256()
    for file in sorted((Path(__file__).parent / "statistics").glob("*.py")):
        digest.update(file.read_bytes())
    finished = (trial for trial in trials if trial.status == "FINISHED")
    lines = [f"{trial.row} {trial.seed} {trial.fingerprint} {sorted(trial.metrics.items())!r}" for trial in finished]
    digest.update("\n".join(sorted(lines)).encode())
    return digest.hexdigest()[:16]
