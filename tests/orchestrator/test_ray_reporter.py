"""What a stage in a Ray worker tells the tracker: in batches, one at a time, and never so that the stage waits or fails."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest
import ray

from orchestrator.execution import ray_reporter
from orchestrator.execution.ray_reporter import RayReporter


class Remote:
    """Stands for the tracker's actor: remembers its calls, which are done when the test says so."""

    def __init__(self) -> None:
        self.calls: list[tuple] = []
        self.done = True
        self.call = self

    def remote(self, *call: object) -> str:
        self.calls.append(call)
        return "reference"


@pytest.fixture
def tracker(monkeypatch: pytest.MonkeyPatch) -> Iterator[Remote]:
    stand_in = Remote()
    monkeypatch.setattr(ray_reporter, "find_ledger", lambda store: None)
    monkeypatch.setattr(ray_reporter, "find_tracker", lambda sweep: stand_in)
    monkeypatch.setattr(ray_reporter, "_BATCH_SECONDS", 0.02)
    monkeypatch.setattr(ray, "wait", lambda references, timeout: (references, []) if stand_in.done else ([], references))
    yield stand_in
    time.sleep(0.1)  # until no timer is left


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.005)
    assert condition()


def points(*steps: int) -> list:
    return [("loss", 1.0, step, 0) for step in steps]


def test_points_of_many_reports_go_in_one_call_in_their_order(tracker: Remote) -> None:
    reporter = RayReporter("store", "sweep")
    for step in range(50):
        reporter.points("stage", points(step))
    until(lambda: bool(tracker.calls))
    assert [step for call in tracker.calls for _, _, step, _ in call[2]] == list(range(50))
    assert len(tracker.calls) <= 3


def test_while_the_tracker_is_busy_points_are_kept_up_to_a_limit(tracker: Remote, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_reporter, "_MOST_POINTS", 3)
    reporter = RayReporter("store", "sweep")
    reporter.points("stage", points(0))
    until(lambda: len(tracker.calls) == 1)
    tracker.done = False
    for step in range(1, 10):
        reporter.points("stage", points(step))
    time.sleep(0.1)
    assert len(tracker.calls) == 1
    tracker.done = True
    until(lambda: len(tracker.calls) == 2)
    assert tracker.calls[1][2] == points(1, 2, 3)  # the rest comes with the whole curves at the stage's end


def test_at_the_end_of_a_stage_nothing_waits_any_more(tracker: Remote) -> None:
    reporter = RayReporter("store", "sweep")
    reporter.points("stage", points(0, 1))
    reporter.flush()
    assert tracker.calls == [("log_stage", "stage", points(0, 1))]


def test_a_tracker_that_is_gone_is_no_reason_to_fail(tracker: Remote, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(sweep: str) -> None:
        raise ValueError("no such actor")

    monkeypatch.setattr(ray_reporter, "find_tracker", absent)
    reporter = RayReporter("store", "sweep")
    reporter.points("stage", points(0))
    reporter.flush()
    assert tracker.calls == []
