"""The plain records that pass between the sweep, the tracker and the tables.

They are frozen pydantic models of scalars, so that each can be written to MLflow as JSON and read back on another machine.
Nothing here knows Ray, MLflow, torch or pandas.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from search_spaces.table import Record, Scalar, TableSpec

Status = Literal["FINISHED", "FAILED", "KILLED"]

Point = tuple[str, float, int, int]
"""One point of a curve: metric, value, step, time in milliseconds."""


class CorpusRecord(Record):
    """The corpus that filled a role: its name, its digest, and whether it is a synthetic twin."""

    name: str
    digest: str
    twin: bool


class SweepRecord(Record):
    """One run of a study. The same command gives the same ``key``, so that a resumed sweep finds its own runs again."""

    study: str
    key: str
    table: TableSpec
    seeds: tuple[int, ...]
    scale: str
    corpora: dict[str, CorpusRecord]  # by role
    protocol: str
    code: str  # of all stages, as it was when the sweep was planned


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
    """

    key: str
    row: str
    seed: int
    fingerprint: str
    stages: tuple[str, ...]
    code: dict[str, str] = Field(default_factory=dict)


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
