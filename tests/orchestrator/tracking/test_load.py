"""Many stages at a time: nothing that they report is lost, and none of them waits.

The slow test is `pytest -m slow tests/orchestrator/tracking/test_load.py`; it needs PostgreSQL's programs on the PATH.
"""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from orchestrator.tracking import Tracker, default_uri
from tests.load import logged, put_under_load, stages
from tests.postgres import missing, postgres
from tests.recorded import sweep, tracker_of


def test_eight_stages_at_fifty_metrics_a_second_lose_no_point_and_never_wait(results: Path) -> None:
    tracker = tracker_of(results)
    tracker.open_sweep(sweep())
    load = put_under_load(tracker, 8, 50, seconds=2)
    assert tracker.healthy
    assert logged(default_uri(results)) == load.told
    assert load.slowest < 1.0  # a call to MLflow's file takes ten times what a call here does, and there are 160 of them


def test_points_that_there_was_no_room_for_are_delivered_with_the_whole_curves(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.tracking.tracker._FOR_POINTS", 250 * 7)
    tracker = tracker_of(results)
    tracker.open_sweep(sweep())
    (stage,) = stages(1)
    points = [("loss", 1 / (step + 1), step, 1000 + step) for step in range(40)]
    tracker.stage_started(stage, executing=True)
    for few in range(0, 20, 5):
        tracker.log_stage(stage.fingerprint, points[few : few + 5])  # two of them find room
    tracker.flush()
    tracker.log_stage(stage.fingerprint, points[20:25])
    tracker.stage_started(stage)  # from here on as at the end of every stage
    tracker.log_stage(stage.fingerprint, points)
    tracker.stage_ended(stage.fingerprint, "FINISHED", {}, {"code": "c"})
    assert tracker.flush()
    assert logged(default_uri(results)) == {stage.fingerprint: points}


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(missing() is not None, reason=str(missing()))
def test_on_postgresql_sixty_four_stages_at_fifty_metrics_a_second_lose_no_point(caplog: pytest.LogCaptureFixture) -> None:
    with postgres() as uri, caplog.at_level(logging.WARNING):
        tracker = Tracker(uri, None)
        tracker.open_sweep(sweep())
        load = put_under_load(tracker, 64, 50, seconds=20)
        print(f"slowest call {load.slowest * 1000:.0f} ms; {load.behind:.1f} s behind at the end")
        assert sum(map(len, load.told.values())) == 64 * 50 * 20
        assert tracker.healthy
        assert logged(uri) == load.told
        assert not caplog.records
        assert load.slowest < 1.0
