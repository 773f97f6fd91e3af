"""Machines that share nothing but a store rarely compute a stage twice, wait for each other, and take over from the dead."""

import json
import os
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from orchestrator.artifacts import ArtifactStore
from orchestrator.execution import store_lease
from orchestrator.execution.local import LocalExecutor
from orchestrator.execution.store_lease import Holder, LeaseWatch, lease_sentence, stage_document, stage_holder, stage_lease
from orchestrator.processes import process_space
from tests.orchestrator.test_local_executor import Calls, trials
from tests.orchestrator.toy_failures import Slow
from tests.toys import Number, toy_setting
from trainables.stage import StopRequested

NAME = "Slow/0123456789ab"


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(store_lease, "RENEW_SECONDS", 0.05)
    monkeypatch.setattr(store_lease, "_STAGE_SETTLE_SECONDS", 0.05)
    monkeypatch.setattr("orchestrator.execution.local._LOOK_SECONDS", 0.05)
    monkeypatch.setattr("orchestrator.execution.context._PROGRESS_SECONDS", 0.0)


@pytest.fixture(params=["local", "memory"])
def store(request, tmp_path):
    return ArtifactStore(tmp_path / "store" if request.param == "local" else f"memory://{tmp_path.name}")


def another(store, name=NAME, **changes):
    """Write another process' lease."""
    holder = Holder(**{"id": "other", "host": "elsewhere", "space": "elsewhere", "pid": 1, "time": datetime.now(UTC), **changes})
    store.write_document(stage_document(name), holder.model_dump_json())


def ago(seconds):
    return datetime.now(UTC) - timedelta(seconds=seconds)


def wait_for(condition, seconds=60.0):
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit, "waited in vain"
        time.sleep(0.02)


def test_a_lease_is_had_by_one_and_given_back(store):
    first, second = stage_lease(store, NAME), stage_lease(store, NAME)
    assert first.take()
    assert not second.take()
    first.release()
    assert stage_holder(store, NAME) is None
    assert second.take()
    first.release()
    assert second.is_ours(), "nobody gives back what is another's"


def test_of_many_that_take_a_lease_at_once_one_has_it(store, monkeypatch):
    monkeypatch.setattr(store_lease, "_STAGE_SETTLE_SECONDS", 0.5)
    taken, begin = [], threading.Barrier(8)

    def attempt():
        lease = stage_lease(store, NAME)
        begin.wait()
        taken.append(lease.take())

    threads = [threading.Thread(target=attempt) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == [False] * 7 + [True]


def test_a_lease_is_renewed_while_it_is_held_and_given_back_also_after_an_error(store):
    lease = stage_lease(store, NAME)
    assert lease.take()

    def compute():
        with lease.held():
            first = lease.holder().time
            wait_for(lambda: lease.holder().time > first)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        compute()
    assert lease.holder() is None


def test_a_silent_holder_is_replaced_after_a_stated_time(store):
    another(store, time=ago(store_lease.GONE_SECONDS - 2))
    assert not stage_lease(store, NAME).take()
    another(store, time=ago(store_lease.GONE_SECONDS + 1))
    assert stage_lease(store, NAME).take()


def test_a_killed_process_of_this_machine_is_replaced_at_once(store):
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    another(store, space=process_space(), pid=process.pid)
    assert not stage_lease(store, NAME).take()
    process.kill()
    process.communicate()
    assert stage_lease(store, NAME).take()


def test_a_process_of_the_same_number_in_another_container_is_not_taken_for_dead(store):
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    another(store, host=os.uname().nodename, space="another container", pid=process.pid)
    assert not stage_lease(store, NAME).take()


def test_within_a_cluster_the_ledger_says_who_is_dead_unless_it_was_restarted_itself(store):
    another(store, cluster="here", time=ago(15))
    assert not stage_lease(store, NAME, "here").take(), "a ledger that was restarted has not heard of the holder yet"
    another(store, cluster="here", time=ago(25))
    assert not stage_lease(store, NAME, "there").take()
    assert stage_lease(store, NAME, "here").take()


def test_a_damaged_lease_is_nobodys(store):
    store.write_document(stage_document(NAME), '{"id": "')
    assert stage_holder(store, NAME) is None
    assert stage_lease(store, NAME).take()


def test_who_waits_is_told_for_whom(store):
    assert lease_sentence(store, NAME) is None
    another(store, cluster="session_2026", pid=7)
    assert lease_sentence(store, NAME).startswith("computed by process 7 on elsewhere of the cluster session_2026, whose last sign")


def test_a_running_stage_looks_at_its_lease_as_often_as_it_is_renewed(store):
    lease, clock = stage_lease(store, NAME), iter([0.0, 0.01, 0.02, 0.08, 0.08, 0.09])
    assert lease.take()
    watch = LeaseWatch(store, NAME, lease.id, lambda: next(clock))
    another(store)
    assert [watch.lost(), watch.lost(), watch.lost(), watch.lost()] == [False, False, True, True]


def executor(store, **options):
    calls = Calls()
    return LocalExecutor(toy_setting(store), calls, **options), calls


@pytest.fixture
def notes(tmp_path):
    (tmp_path / "notes").mkdir()
    return tmp_path / "notes"


def test_two_machines_compute_a_stage_once_and_who_waits_does_something_else_meanwhile(tmp_path, notes):
    stage, other = Slow(notes=str(notes)), Number()
    first, second = executor(tmp_path / "store")[0], executor(tmp_path / "store")[0]
    threads = [threading.Thread(target=first.run, args=(trials(first.setting, stage),))]
    threads[0].start()
    wait_for(lambda: (notes / "from-0").exists())
    threads.append(threading.Thread(target=second.run, args=(trials(second.setting, stage, other),)))
    threads[1].start()
    wait_for(lambda: second.store.is_done(second.setting.fingerprint(other)))
    (notes / "enough").touch()
    for thread in threads:
        thread.join()
    assert [first.executed, second.executed] == [[first.setting.fingerprint(stage)], [first.setting.fingerprint(other)]]


def test_who_waits_can_be_stopped(tmp_path, notes):
    stopping = threading.Event()
    run, _ = executor(tmp_path / "store", stopping=stopping)
    stage = Slow(notes=str(notes))
    another(run.store, run.setting.fingerprint(stage))
    threading.Timer(0.2, stopping.set).start()
    with pytest.raises(StopRequested):
        run.finish_chain(stage)
    assert run.executed == []


def test_who_finds_its_stage_taken_over_saves_a_checkpoint_waits_and_goes_on_when_the_other_is_dead(tmp_path, notes):
    run, calls = executor(tmp_path / "store")
    stage = Slow(notes=str(notes), steps=40)
    name = run.setting.fingerprint(stage)
    thread = threading.Thread(target=run.finish_chain, args=(stage,))
    thread.start()
    wait_for(lambda: (notes / "from-0").exists())
    another(run.store, name)
    wait_for(lambda: calls.named("stage_ended"))
    assert calls.named("stage_ended")[0][1] == "KILLED"
    assert stage_lease(run.store, name).holder().id == "other", "the other's lease is left alone"
    another(run.store, name, time=ago(100))
    thread.join(60)
    assert run.store.read_json(name, "metrics.json")["first"] > 0
    assert run.executed == [name, name]
    assert not list((tmp_path / "store" / "leases").rglob("*.json"))


def test_a_stage_of_a_killed_process_is_taken_over_at_once(tmp_path, notes):
    program = f"""
from pathlib import Path
from orchestrator.execution.local import LocalExecutor
from tests.orchestrator.toy_failures import Slow
from tests.toys import toy_setting
LocalExecutor(toy_setting({str(tmp_path / "store")!r}), lambda *call: None).finish_chain(Slow(notes={str(notes)!r}))
"""
    process = subprocess.Popen([sys.executable, "-c", program], cwd=Path(__file__).parents[2])
    wait_for(lambda: (notes / "from-0").exists() or process.poll() is not None)
    run, _ = executor(tmp_path / "store")
    stage = Slow(notes=str(notes))
    assert stage_holder(run.store, run.setting.fingerprint(stage)).pid == process.pid
    process.kill()
    process.wait()
    (notes / "enough").touch()
    clock = time.monotonic()
    run.finish_chain(stage)
    assert time.monotonic() - clock < store_lease.GONE_SECONDS / 4
    assert json.loads((run.store.path(run.setting.fingerprint(stage)) / "metrics.json").read_text())["f1_macro"] == 0.5
