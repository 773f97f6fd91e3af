"""Sweeps as their documents tell of them, with a store to go with it, for the tests of what is told of sweeps."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

from orchestrator.artifacts import ArtifactStore
from orchestrator.sweep_documents import PlanDocument, RunningInfo, StageInfo, SweepStatus, TrialInfo

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
PRETRAINING = "Pretraining/lr={}-aaaa"
CLASSIFIER = "Classifier/lr={},seed={}-bbbb"


def plan_of(rows: int = 2, seeds: int = 3, key: str = "k1", study: str = "toy") -> PlanDocument:
    """Each row has a pretraining of its own, which a classifier for each seed reads."""
    stages: dict[str, StageInfo] = {}
    for row in range(rows):
        stages[PRETRAINING.format(row)] = StageInfo(label="pretraining")
        for seed in range(seeds):
            stages[CLASSIFIER.format(row, seed)] = StageInfo(label="classifier", upstream=[PRETRAINING.format(row)])
    return PlanDocument(
        key=key,
        study=study,
        title="Toy <table>",
        scale="demo",
        protocol="70/30",
        code="abc",
        rows={f"r{row}": f"fixed · λ = {row}" for row in range(rows)},
        seeds=list(range(seeds)),
        stages=stages,
        trials=[
            TrialInfo(row=f"r{row}", seed=s, fingerprint=CLASSIFIER.format(row, s)) for s in range(seeds) for row in range(rows)
        ],
    )


def status_of(key: str = "k1", silent: float = 1.0, **changes: object) -> SweepStatus:
    """Of a sweep that runs on another machine since an hour."""
    seen = NOW - timedelta(seconds=silent)
    fields = {"study": "toy", "host": "elsewhere", "pid": 1, "started": NOW - timedelta(hours=1), "seen": seen, "state": "running"}
    return SweepStatus(key=key, **{**fields, **changes})


def running(fraction: float = 0.4, seconds: float = 60.0, **changes: object) -> RunningInfo:
    return RunningInfo(**{"fraction": fraction, "seconds": seconds, "where": "node-7", "sweep": "k1-abc", **changes})


def finish(store: ArtifactStore, fingerprint: str, folder: Path, wall: float = 100.0, gpu: float = 0.0, **changes: object) -> None:
    """Publish a result that has only what its costs are read from."""
    folder.mkdir(parents=True)
    provenance = {"wall_seconds": wall, "gpu_seconds": gpu, "workers": 1, "threads": 1, **changes}
    (folder / "provenance.json").write_text(json.dumps(provenance))
    store.publish(fingerprint, folder)
