"""Work in lanes: in order, again after an outage, once, and never more of it than there is room for."""

from __future__ import annotations

import itertools
import threading
import time

import pytest

from orchestrator.tracking import lanes as module
from orchestrator.tracking.lanes import Lanes


class Away(Exception):
    """An outage."""


@pytest.fixture(autouse=True)
def _quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_FIRST_PAUSE", 0.01)


def lanes(threads: int = 4, room: int = 1000) -> tuple[Lanes, list]:
    told: list = []
    return Lanes(threads, room, lambda error: isinstance(error, Away), told.append), told


def test_work_of_a_lane_is_done_in_its_order_and_never_two_pieces_at_a_time() -> None:
    many, _ = lanes()
    done: dict[int, list[int]] = {lane: [] for lane in range(8)}
    busy: set[int] = set()

    def do(lane: int, number: int) -> None:
        assert lane not in busy
        busy.add(lane)
        time.sleep(0.0005)
        done[lane].append(number)
        busy.remove(lane)

    for number in range(20):
        for lane in done:
            many.put(lane, lambda lane=lane, number=number: do(lane, number))
    assert many.join(5)
    assert done == {lane: list(range(20)) for lane in range(8)}


def test_lanes_are_served_at_the_same_time() -> None:
    two, _ = lanes(threads=2)
    met = threading.Barrier(2, timeout=10)
    two.put("a", met.wait)
    two.put("b", met.wait)
    assert two.join(5)


def test_work_comes_after_the_lanes_it_names_and_after_all_if_it_says_so() -> None:
    some, _ = lanes()
    done: list[str] = []

    def slowly(name: str) -> None:
        time.sleep(0.02)
        done.append(name)

    for name in ("a", "b", "c"):
        some.put(name, lambda name=name: slowly(name))
    some.put("trial", lambda: done.append("after a and b"), after=("a", "b", "unknown"))
    some.put("close", lambda: done.append("after all"), after=None)
    assert some.join(5)
    assert done.index("after a and b") > max(done.index("a"), done.index("b"))
    assert done[-1] == "after all"


def test_what_fails_in_an_outage_is_tried_again_in_its_place_until_it_works() -> None:
    one, told = lanes()
    failures, done = [Away("1"), Away("2"), Away("3")], []

    def do() -> None:
        if failures:
            raise failures.pop(0)
        done.append("first")

    one.put("a", do)
    one.put("a", lambda: done.append("second"))
    assert one.join(5)
    assert done == ["first", "second"]
    assert [str(error) for error in told] == ["1", "None"]  # the beginning of the outage and its end


def test_an_outage_is_asked_about_by_one_thread_with_pauses_that_double(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_FIRST_PAUSE", 0.05)
    many, _ = lanes()
    attempts: list[float] = []

    def do() -> None:
        attempts.append(time.monotonic())
        raise Away

    many.put("a", do)
    while not many.away:
        time.sleep(0.001)
    for lane in range(10):
        many.put(lane, do)
    assert not many.join(0.5)  # given up; attempts after 0.05, 0.15, 0.35 s
    assert 3 <= len(attempts) <= 5
    pauses = [later - sooner for sooner, later in itertools.pairwise(attempts)]
    assert all(pause >= least for pause, least in zip(pauses, (0.05, 0.1, 0.2, 0.4), strict=False))


def test_any_other_exception_ends_everything() -> None:
    some, told = lanes(threads=1)
    done: list[str] = []
    some.put("a", lambda: {}["absent"])
    some.put("b", lambda: done.append("b"), after=("a",))
    assert not some.join(5)
    assert not some.put("c", lambda: done.append("c"))
    assert ([type(error) for error in told], done) == ([KeyError], [])


def test_what_finds_no_room_is_refused_or_waits_for_room() -> None:
    small, _ = lanes(threads=1, room=10)
    go_on, done = threading.Event(), []
    small.put("a", go_on.wait, size=6)
    assert not small.put("b", lambda: None, size=6)
    threading.Timer(0.05, go_on.set).start()
    assert small.put("c", lambda: done.append("c"), size=6, wait=True)
    assert small.join(5)
    assert (done, small.free) == (["c"], 10)


def test_nothing_waits_for_room_during_an_outage() -> None:
    small, _ = lanes(room=10)

    def do() -> None:
        raise Away

    small.put("a", do, size=10)
    assert not small.put("b", do, size=1, wait=True)
    small.end()


def test_delayed_work_is_not_begun_before_its_time_unless_its_lane_goes_on_or_somebody_waits() -> None:
    one, _ = lanes()
    done: list[str] = []
    one.put("a", lambda: done.append("delayed"), delay=60.0)
    time.sleep(0.05)
    assert done == []
    one.put("a", lambda: done.append("next"))
    deadline = time.monotonic() + 5
    while len(done) < 2 and time.monotonic() < deadline:
        time.sleep(0.005)
    one.put("b", lambda: done.append("b"), delay=60.0)
    assert one.join(5)
    assert done == ["delayed", "next", "b"]


def test_threads_that_have_nothing_to_do_end_and_begin_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_IDLE_SECONDS", 0.02)
    before = threading.active_count()
    one, _ = lanes()
    done: list[str] = []
    one.put("a", lambda: done.append("a"))
    assert one.join(5)
    deadline = time.monotonic() + 5
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() <= before
    one.put("a", lambda: done.append("b"))
    assert one.join(5)
    assert done == ["a", "b"]


def test_while_somebody_waits_an_outage_is_asked_about_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_FIRST_PAUSE", 60.0)
    monkeypatch.setattr(module, "_AWAITED_PAUSE", 0.02)
    one, _ = lanes()
    failures, done = [Away(), Away()], []

    def do() -> None:
        if failures:
            raise failures.pop()
        done.append("done")

    one.put("a", do)
    assert one.join(5)
    assert done == ["done"]
