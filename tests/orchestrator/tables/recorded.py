"""Recorded sweeps to make tables of: what MLflow would give back, with statistics that the tests choose."""

from __future__ import annotations

import math
from statistics import fmean, stdev

from orchestrator.records import CellStatistics, RecordedSweep, SweepRecord, TrialResult, statistics_digest
from search_spaces.table import Column, Published, Row, TableSpec

TABLE = TableSpec(
    study="toy",
    title="Toy & table",
    source="A Paper, Table 1",
    row_titles=("Cnn10", "Method"),
    rows=(
        Row(key="chance", label=("none", "chance"), compared=False),
        Row(key="simclr", label=("fixed", "SimCLR"), published={"f1": Published(mean=76.56, std=2.11, runs=10)}),
        Row(key="reclr", label=("fixed", "ReCLR (λ = 0.4)"), published={"f1": Published(mean=77.9)}),
        Row(key="crnn", label=("tuning", "50 % | <CRNN_x>")),
    ),
    columns=(
        Column(metric="f1", title="F1", percent=True, higher_is_better=True),
        Column(metric="loss", title="loss", percent=False, higher_is_better=False, decimals=1),
    ),
    headline="f1",
    baseline="simclr",
)
VALUES = {"chance": (0.5, 0.4, 0.6), "simclr": (0.7, 0.8, 0.75), "reclr": (0.8, 0.8, 0.8), "crnn": (0.6, 0.5, 0.7)}
COMPARED = {
    "reclr": {
        **{"difference": 0.05, "difference_low": 0.0125, "difference_high": 0.0875, "p_uncorrected": 0.006, "p_vs_baseline": 0.012},
        **{"p_floor": 0.01, "effect_size": 1.25, "p_superior": 5 / 6},
    },
    "crnn": {
        **{"difference": -0.15, "difference_low": -0.25, "difference_high": -0.05, "p_uncorrected": 0.3, "p_vs_baseline": 0.3},
        **{"p_floor": 0.01, "effect_size": -2.5, "p_superior": 0.0},
    },
}
"""Differences from the baseline in f1. That 3 seeds can tell so much is pretended."""


def sweep(table: TableSpec = TABLE, twin: bool = True, seeds: tuple[int, ...] = (0, 1, 2)) -> SweepRecord:
    """A sweep of the toy table."""
    corpora = {"mdd": {"name": "twin-mdd" if twin else "MDD", "digest": "d1", "twin": twin}}
    return SweepRecord(
        study=table.study, key="k", table=table, seeds=seeds, scale="demo", corpora=corpora, protocol="70/30", code="abc"
    )


def trial(row: str, seed: int, **changes: object) -> TrialResult:
    """A finished trial with the values above."""
    fields = {
        "status": "FINISHED",
        "metrics": {"f1": VALUES[row][seed], "loss": 1.0 + seed},
        "scale": "demo",
        "protocol": "70/30",
        "fingerprint": f"Last/{row}-{seed}",
        "code": {"LogMel": "l1", "Classifier": "c1"},
        "corpora": {"mdd": "d1"},
    }
    return TrialResult(row=row, seed=seed, **{**fields, **changes})


def trials() -> list[TrialResult]:
    """All 3 seeds of all rows, in no order at all."""
    return [trial(row, seed) for seed in (2, 0, 1) for row in ("crnn", "reclr", "chance", "simclr")]


def statistics(values: tuple[float, ...], **more: float) -> CellStatistics:
    """Of some values, with an interval of a tenth around the mean."""
    mean = fmean(values)
    std = stdev(values) if len(values) > 1 else None
    return CellStatistics(**{"n": len(values), "mean": mean, "std": std, "ci_low": mean - 0.1, "ci_high": mean + 0.1, **more})


def cells(of: list[TrialResult], compared: dict[str, dict[str, float]] = COMPARED) -> dict[str, dict[str, float]]:
    """What is on the cell runs of these trials, as far as they are finished; the loss has no predictions of speakers behind it."""
    found: dict[str, dict[str, float]] = {}
    for row in sorted({trial.row for trial in of}):
        done = [trial for trial in of if trial.row == row and trial.status == "FINISHED"]
        for metric in sorted(set.intersection(*(set(trial.metrics) for trial in done)) if done else ()):
            more = {"speakers": 12, **compared.get(row, {})} if metric == "f1" else {}
            values = tuple(trial.metrics[metric] for trial in done)
            if all(map(math.isfinite, values)):
                found.setdefault(row, {}).update(statistics(values, **more).as_metrics(metric))
    return found


def recorded(
    of: list[TrialResult] | None = None,
    table: TableSpec = TABLE,
    compared: dict[str, dict[str, float]] = COMPARED,
    twin: bool = True,
) -> RecordedSweep:
    """A sweep with its trials and the statistics of them."""
    of = trials() if of is None else of
    links = {row: f"http://127.0.0.1:5000/#/experiments/1/runs/{row or 'sweep'}" for row in ("", *VALUES)}
    told_by = statistics_digest(of)
    return RecordedSweep(sweep=sweep(table, twin), trials=tuple(of), cells=cells(of, compared), links=links, told_by=told_by)
