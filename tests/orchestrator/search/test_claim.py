"""A search has one writer, on however many machines it is begun."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta

import pytest

from orchestrator.artifacts import ArtifactStore
from orchestrator.execution.store_lease import Holder
from orchestrator.processes import process_space
from orchestrator.search.claim import Claim, claimed
from trainables.errors import UserError

PLACE = "searches/key/claim.json"


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr("orchestrator.search.claim._SETTLE_SECONDS", 0.05)
    monkeypatch.setattr("orchestrator.execution.store_lease.RENEW_SECONDS", 0.02)


def claim(store):
    return claimed(store, "key", "toy_search")


def another(store, **changes):
    """Write another process' claim."""
    holder = Holder(**{"id": "other", "host": "elsewhere", "pid": 1, "time": datetime.now(UTC), **changes})
    store.write_document(PLACE, holder.model_dump_json())


def holder(store):
    return Holder.model_validate_json(store.read_document(PLACE))


@pytest.mark.parametrize("root", ["local", "memory"])
def test_a_search_that_runs_is_refused_with_who_runs_it_and_what_to_do_and_afterwards_it_is_free(tmp_path, root):
    store = ArtifactStore(tmp_path if root == "local" else f"memory://{tmp_path.name}")
    with claim(store):
        mine = f"being run by process {os.getpid()} on .* sign of life was 0 s ago. Wait for it, or stop it"
        with pytest.raises(UserError, match=mine), claim(store):
            pass
    assert store.read_document(PLACE) is None
    with claim(store):
        pass


def test_a_claim_is_renewed_while_the_search_runs(tmp_path):
    store = ArtifactStore(tmp_path)
    with claim(store):
        first = holder(store)
        for _ in range(200):
            if (now := holder(store)).time > first.time:
                break
            threading.Event().wait(0.02)
        assert (now.time > first.time, now.id) == (True, first.id)


@pytest.mark.parametrize(("seconds", "lives"), [(59, True), (61, False), (-30, True)])
def test_a_claim_on_another_machine_counts_as_gone_a_minute_after_its_last_sign_of_life(tmp_path, seconds, lives):
    store = ArtifactStore(tmp_path)
    another(store, time=datetime.now(UTC) - timedelta(seconds=seconds))
    if lives:
        with pytest.raises(UserError, match="by process 1 on elsewhere"), claim(store):
            pass
    else:
        with claim(store) as taken:
            assert taken.is_ours()


def test_a_killed_process_of_this_machine_is_gone_at_once(tmp_path):
    store = ArtifactStore(tmp_path)
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    another(store, host=os.uname().nodename, space=process_space(), pid=process.pid)
    with pytest.raises(UserError, match=f"by process {process.pid}"), claim(store):
        pass
    process.kill()
    process.communicate()
    with claim(store) as taken:
        assert taken.is_ours()


def test_of_many_that_claim_at_once_one_at_most_runs(tmp_path, monkeypatch):
    monkeypatch.setattr("orchestrator.search.claim._SETTLE_SECONDS", 0.5)
    store, outcomes, begin = ArtifactStore(tmp_path), [], threading.Barrier(8)

    def attempt():
        mine = Claim(store, "key", "toy_search")
        begin.wait()
        try:
            mine.take()
            outcomes.append("taken")
        except UserError:
            outcomes.append("refused")

    threads = [threading.Thread(target=attempt) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["refused"] * 7 + ["taken"]


def test_a_process_that_slept_and_lost_its_claim_knows_it_and_leaves_the_others_alone(tmp_path):
    store = ArtifactStore(tmp_path)
    with claim(store) as lost:
        lost.confirm()
        another(store)
        assert not lost.is_ours()
        with pytest.raises(UserError, match="was taken over by process 1 on elsewhere"):
            lost.confirm()
    assert holder(store).id == "other"


def test_a_claim_is_given_back_when_the_search_fails(tmp_path):
    store = ArtifactStore(tmp_path)
    with pytest.raises(ZeroDivisionError), claim(store):
        raise ZeroDivisionError
    assert store.read_document(PLACE) is None
