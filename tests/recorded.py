"""A toy sweep as a tracker records it, for the tests of MLflow's two sides."""

from __future__ import annotations

from pathlib import Path

from orchestrator.records import CellStatistics, StageRecord, SweepRecord, TrialRecord, statistics_digest
from orchestrator.tracking import Tracker, default_artifacts, default_uri, read_sweep
from orchestrator.tracking.store import Store
from search_spaces.table import Column, Row, TableSpec

SHARED = StageRecord(
    fingerprint="Pretraining/objective=simclr-aaaabbbbcccc", name="Pretraining", title="pretraining", settings={"lr": 0.1}
)
CODE = {"Pretraining": "p1", "Classifier": "c1"}
SCORES = {("a", 0): 0.5, ("a", 1): 0.7, ("b", 0): 0.6, ("b", 1): 0.65}
STATISTICS = {
    "a": CellStatistics(n=2, mean=0.6, std=0.02**0.5, ci_low=0.1, ci_high=0.9, speakers=12, p_vs_baseline=0.25),
    "b": CellStatistics(n=2, mean=0.625, std=0.05 / 2**0.5),
}


def sweep(key: str = "sweep1", **changes) -> SweepRecord:
    table = TableSpec(
        study="toy",
        title="Toy {table}",
        source="A Paper, Table 1",
        row_titles=("Cnn10", "Method"),
        rows=(Row(key="a", label=("fixed", "A (λ = 0.2)"), params={"lambda_": 0.2}), Row(key="b", label=("fixed", "B"))),
        columns=(Column(metric="f1", title="F1", percent=True, higher_is_better=True),),
        headline="f1",
    )
    fields = {"study": "toy", "table": table, "seeds": (0, 1), "scale": "demo", "protocol": "70/30", "code": "abc"}
    return SweepRecord(key=key, corpora={"mdd": {"name": "twin-mdd", "digest": "d1", "twin": True}}, **{**fields, **changes})


def tracker_of(results: Path) -> Tracker:
    uri = default_uri(results)
    return Tracker(uri, default_artifacts(uri, results))


def trial(row: str, seed: int, version: str = "", code: dict[str, str] = CODE) -> TrialRecord:
    last = f"Classifier/{row}-{seed}{version}"
    return TrialRecord(key=f"{row}-seed{seed}", row=row, seed=seed, fingerprint=last, stages=(SHARED.fingerprint, last), code=code)


def record_stage(tracker: Tracker, executing: bool = False, loss: float = 0.2, code: str = "p1") -> None:
    tracker.stage_started(SHARED, executing)
    tracker.log_stage(SHARED.fingerprint, [("train/loss", 5 * loss / (step + 1), step, 1000 + step) for step in range(5)])
    tracker.stage_ended(SHARED.fingerprint, "FINISHED", {"loss": loss}, {"code": code, "wall_seconds": 1.5})


def record_all(tracker: Tracker, record: SweepRecord | None = None, **close) -> None:
    tracker.open_sweep(record or sweep())
    record_stage(tracker)
    for (row, seed), score in SCORES.items():
        tracker.trial_ended(trial(row, seed), "FINISHED", {"f1": score})
    cells = {row: statistics.as_metrics("f1") for row, statistics in STATISTICS.items()}
    tracker.flush()
    recorded = read_sweep(tracker._uri, (record or sweep()).study, (record or sweep()).key)
    tracker.write_statistics(cells, statistics_digest(recorded.trials))
    tracker.close_sweep("FINISHED", **close)
    assert tracker.healthy


def runs(results: Path, experiment: str = "toy", condition: str = "") -> list:
    store = Store(default_uri(results))
    return store.search(store.find_experiment(experiment), condition)


def by_name(results: Path, experiment: str = "toy") -> dict:
    return {run.info.run_name: run for run in runs(results, experiment)}


def everything(results: Path) -> list:
    """All that the store holds, apart from the times at which runs were closed again."""
    found = [run for name in ("toy", "stages") for run in runs(results, name)]
    tags = [{name: value for name, value in run.data.tags.items() if name != "opened"} for run in found]
    facts = [
        (run.info.run_id, run.info.status, repr(run.data.metrics), run.data.params, tag)
        for run, tag in zip(found, tags, strict=True)
    ]
    return sorted(facts, key=lambda fact: fact[0])
