"""The writer of a sweep's documents: timely, and never in the way."""

import threading
import time

import pytest

from orchestrator import status_writer
from orchestrator.artifacts import ArtifactStore
from orchestrator.execution.cluster_shape import ClusterShape
from orchestrator.execution.ledger import Ledger
from orchestrator.execution.resources import Need
from orchestrator.status_writer import ledger_activity, local_activity, status_written
from orchestrator.sweep_documents import read_plans, read_statuses
from tests.orchestrator.told_sweeps import PRETRAINING, plan_of
from trainables.errors import UserError


@pytest.fixture(autouse=True)
def _often(monkeypatch):
    monkeypatch.setattr(status_writer, "EVERY_SECONDS", 0.01)


def until(what):
    limit = time.monotonic() + 20
    while not what():
        assert time.monotonic() < limit
        time.sleep(0.01)


def test_the_plan_is_there_before_the_sweep_begins_and_the_status_follows_it(tmp_path):
    store = ArtifactStore(tmp_path)
    with status_written(store, plan_of(), "here") as writer:
        assert read_plans(store) == {"k1": plan_of()}
        assert read_statuses(store)["k1"].lives()
        with writer.following(lambda: local_activity({PRETRAINING.format(0): (0.5, 8.0)})):
            until(lambda: read_statuses(store)["k1"].running)
            assert read_statuses(store)["k1"].running[PRETRAINING.format(0)].fraction == 0.5
        writer.state = "finished"
    status = read_statuses(store)["k1"]
    assert (status.state, status.running, status.at) == ("finished", {}, "here")


@pytest.mark.parametrize(
    ("error", "state", "told"),
    [
        (UserError("2 GPU, but there are 0"), "failed", "2 GPU, but there are 0"),
        (ZeroDivisionError("x"), "failed", "ZeroDivisionError"),
        (KeyboardInterrupt(), "stopped", "KeyboardInterrupt"),
    ],
)
def test_a_sweep_that_ends_by_an_exception_says_so(tmp_path, error, state, told):
    store = ArtifactStore(tmp_path)
    with pytest.raises(type(error)), status_written(store, plan_of(), ""):
        raise error
    status = read_statuses(store)["k1"]
    assert (status.state, status.error) == (state, told)


def test_a_store_that_refuses_does_not_disturb_and_has_everything_once_it_takes_writes_again(tmp_path, monkeypatch):
    store, write, refused = ArtifactStore(tmp_path), ArtifactStore.write_document, []

    def refuse(self, name, content):
        refused.append(name)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(ArtifactStore, "write_document", refuse)
    with status_written(store, plan_of(), ""):
        until(lambda: len(refused) > 2)
        monkeypatch.setattr(ArtifactStore, "write_document", write)
        until(lambda: read_statuses(store))
        assert read_plans(store) == {"k1": plan_of()}


def test_a_store_that_never_answers_does_not_keep_the_sweep_from_ending(tmp_path, monkeypatch):
    store, asleep, waits = ArtifactStore(tmp_path), threading.Event(), threading.Event()
    monkeypatch.setattr(status_writer, "_PATIENCE_SECONDS", 0.1)
    with status_written(store, plan_of(), "") as writer:

        def hang():
            asleep.set()
            waits.wait(60)
            raise OSError

        with writer.following(hang):
            assert asleep.wait(20)
    waits.set()  # the block was left while it hung


def test_nothing_is_looked_at_once_its_block_was_left(tmp_path):
    looks, begun = [], threading.Event()

    def look():
        begun.set()
        time.sleep(0.2)
        looks.append("ended")
        return local_activity({})

    with status_written(ArtifactStore(tmp_path), plan_of(), "") as writer:
        with writer.following(look):
            assert begun.wait(20)
        left = len(looks)
        time.sleep(0.3)
    assert len(looks) == left >= 1


def test_the_ledgers_snapshot_tells_what_runs_where_and_why_the_rest_waits():
    ledger = Ledger(ClusterShape(({"CPU": 2.0, "GPU": 1.0},)))
    first, second = PRETRAINING.format(0), PRETRAINING.format(1)
    assert ledger.ask("k1-abc", "node-7-123-456", {first: Need(gpus=1.0)}) == first
    assert ledger.ask("k1-abc", "node-7-123-457", {second: Need(gpus=1.0)}) is None
    ledger.progress(first, 0.25)
    told = ledger_activity(ledger.snapshot)
    assert (told.running[first].where, told.running[first].fraction, told.running[first].sweep) == ("node-7", 0.25, "k1-abc")
    assert "GPU" in told.queued[second]
