"""Stages that do nothing but report, at a given pace, to a tracker."""

from __future__ import annotations

import time
from dataclasses import dataclass

from orchestrator.records import Point, StageRecord
from orchestrator.tracking import Tracker
from orchestrator.tracking.store import Store

TICKS_A_SECOND = 10


@dataclass(frozen=True)
class Load:
    """What was told, and how long the tracker kept its caller.

    Attributes:
        told: The points of each stage, by fingerprint.
        slowest: Seconds of the slowest call.
        behind: Seconds that MLflow still needed after the last call.
    """

    told: dict[str, list[Point]]
    slowest: float
    behind: float


def stages(count: int) -> list[StageRecord]:
    """So many stages, each with a run of its own."""
    return [StageRecord(fingerprint=f"Sleeper/{n}-{n:08d}", name="Sleeper", title="sleeper") for n in range(count)]


def put_under_load(tracker: Tracker, count: int, metrics_a_second: int, seconds: float) -> Load:
    """Report for so many stages at a time; a tick of a stage is five metrics, or as many as there are, at one step."""
    records, slowest = stages(count), 0.0
    told: dict[str, list[Point]] = {record.fingerprint: [] for record in records}
    for record in records:
        tracker.stage_started(record, executing=True)
    began = time.monotonic()
    for tick in range(int(seconds * TICKS_A_SECOND)):
        for fingerprint, points in told.items():
            stamp = time.time_ns() // 1_000_000
            fresh = [(f"train/metric{n}", tick + n / 100, tick, stamp) for n in range(metrics_a_second // TICKS_A_SECOND)]
            points += fresh
            called = time.perf_counter()
            tracker.log_stage(fingerprint, fresh)
            slowest = max(slowest, time.perf_counter() - called)
        time.sleep(max(0.0, began + (tick + 1) / TICKS_A_SECOND - time.monotonic()))
    ended = time.monotonic()
    for record in records:
        tracker.stage_ended(record.fingerprint, "FINISHED", {}, {"code": "c"})
    assert tracker.flush(120)
    return Load(told, slowest, time.monotonic() - ended)


def logged(uri: str) -> dict[str, list[Point]]:
    """The points that MLflow has of every stage, in the order of steps and names."""
    store = Store(uri)
    found: dict[str, list[Point]] = {}
    for run in store.search(store.find_experiment("stages"), ""):
        assert run.info.status == "FINISHED"
        history = [point for name in run.data.metrics for point in store._client.get_metric_history(run.info.run_id, name)]
        points = sorted((point.step, point.key, point.value, point.timestamp) for point in history)
        assert run.data.tags["fingerprint"] not in found
        found[run.data.tags["fingerprint"]] = [(key, value, step, stamp) for step, key, value, stamp in points]
    return found
