"""Failures and leases on a Ray cluster: what Ray says of a death is understood, and the policy is kept there too."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from ray.exceptions import ActorDiedError, NodeDiedError, OutOfMemoryError, RayTaskError, WorkerCrashedError
from ray.train import ControllerError, WorkerGroupError
from ray.train.v2._internal.exceptions import WorkerGroupStartupTimeoutError, WorkerHealthCheckFailedError

from orchestrator.execution.failures import Kind, StageFailed
from orchestrator.execution.ray_failures import diagnosis
from trainables.errors import UserError
from trainables.stage import StopRequested


def raised_in_task(cause):
    """What ``ray.get`` raises."""
    return RayTaskError("train", "Traceback ...", cause).as_instanceof_cause()


def of_workers(*errors):
    return WorkerGroupError("several", dict(enumerate(errors)))


KILLED = WorkerHealthCheckFailedError("unhealthy", ActorDiedError())


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (raised_in_task(StageFailed("a zebra", Kind.fault)), Kind.fault),
        (raised_in_task(StageFailed("full", Kind.passing)), Kind.passing),
        (raised_in_task(ModuleNotFoundError("no torch on this node")), Kind.error),
        (raised_in_task(UserError("no such corpus")), Kind.fault),
        (OutOfMemoryError("the node runs out of memory"), Kind.memory),
        (NodeDiedError("unreachable"), Kind.lost),
        (WorkerCrashedError(), Kind.killed),
        (of_workers(StageFailed("connection closed", Kind.peer), KILLED), Kind.killed),
        (of_workers(StageFailed("connection closed", Kind.peer), StageFailed("CUDA", Kind.gpu_memory)), Kind.gpu_memory),
        (of_workers(StageFailed("connection closed", Kind.peer)), Kind.peer),
        (of_workers(WorkerHealthCheckFailedError("unhealthy", OutOfMemoryError("low"))), Kind.memory),
        (ControllerError(WorkerGroupStartupTimeoutError(2)), Kind.lost),
        (ControllerError(ActorDiedError()), Kind.killed),
    ],
)
def test_whatever_ray_wraps_a_failure_in_its_kind_is_found(error, kind):
    assert diagnosis(error).kind is kind


def test_a_stopped_stage_has_not_failed():
    with pytest.raises(StopRequested):
        diagnosis(raised_in_task(StopRequested()))
    with pytest.raises(StopRequested):
        diagnosis(of_workers(StageFailed("connection closed", Kind.peer), StopRequested()))


PROLOGUE = """
import contextlib, json, sys, threading, time
from datetime import UTC, datetime
from pathlib import Path
from orchestrator.execution.environment import WORKER_ENVIRONMENT, set_environment
set_environment(sys.argv[2])
import ray
from orchestrator.artifacts import ArtifactStore
from orchestrator.execution.failures import StageFailed, failure_of
from orchestrator.execution.ray_drivers import ChainRunner
from orchestrator.execution.ray_session import RaySession
from orchestrator.execution.resources import ResourceRequest
from orchestrator.execution.store_lease import Holder, lease_sentence, stage_document
from tests.orchestrator.toy_failures import Failing, FailingTogether, Slow
from tests.toys import toy_setting

home, told = Path(sys.argv[1]), {}
store = ArtifactStore(home / "store")

def notes(name):
    (home / name).mkdir()
    return str(home / name)

def finish(stage, workers=1):
    setting = toy_setting(home / "store", sweep=session.name)
    with contextlib.suppress(StageFailed):
        ChainRunner(setting, ResourceRequest(workers=workers), has_gpus=False).finish(stage)
    return setting.fingerprint(stage)

def run(kind, times, stage=Failing, workers=1):
    folder = notes(f"{stage.__name__} {kind} {times}")
    name = finish(stage(notes=folder, planted=kind, times=times), workers)
    failure = failure_of(store, name)
    given = [json.loads(file.read_text()).get("CPU") for file in sorted(Path(folder).iterdir())]
    return {"given": given, "done": store.is_done(name), "kind": failure and failure.kind, "error": failure and failure.error}

def wait_for(condition):
    limit = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < limit, "waited in vain"
        time.sleep(0.05)

def joined():
    return RaySession("toy", str(home / "store"), f"sqlite:///{home}/mlflow.db", home / "artifacts")

HOOK = {"worker_process_setup_hook": "tests.orchestrator.toy_failures.known"}
"""

ON_ONE_NODE = """
ray.init(address=sys.argv[2], log_to_driver=False, logging_level="ERROR", namespace="speech-orchestrator", runtime_env=HOOK)

def lease(name, **changes):
    other = {"id": "other", "host": "elsewhere", "space": "elsewhere", "pid": 1, "cluster": "another", "time": datetime.now(UTC)}
    store.write_document(stage_document(name), Holder(**(other | changes)).model_dump_json())

session = joined()
with session.joined():
    for kind, times in (("killed", 1), ("memory", 1), ("GPU memory", 9), ("fault", 9), ("error", 9), ("diverged", 9)):
        told[kind] = run(kind, times)

    folder = notes("slow")
    stage = Slow(notes=folder, steps=300)
    name = toy_setting(home / "store").fingerprint(stage)
    lease(name)
    thread = threading.Thread(target=finish, args=(stage,))
    thread.start()
    told["sentence"] = lease_sentence(store, name)
    told["beside"] = run("passing", 0)["done"]
    told["waits"] = name not in session.snapshot().running and not list(Path(folder).iterdir())
    store.delete_document(stage_document(name))
    wait_for(lambda: (Path(folder) / "from-0").exists())
    wait_for(lambda: name in session.snapshot().running)
    lease(name)
    wait_for(lambda: name not in session.snapshot().running)
    told["other's"] = Holder.model_validate_json(store.read_document(stage_document(name))).id
    (Path(folder) / "enough").touch()
    store.delete_document(stage_document(name))
    thread.join()
    told["first"] = store.read_json(name, "metrics.json")["first"]
    told["left"] = store.list_documents("leases")
print("TOLD", json.dumps(told), flush=True)
ray.shutdown()
"""


def tell(script, folder, address, environment, seconds):
    command = [sys.executable, "-c", PROLOGUE + script, str(folder), address]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, env=os.environ | environment)
    lines = [line for line in done.stdout.splitlines() if line.startswith("TOLD")]
    assert lines, done.stdout + done.stderr
    return json.loads(lines[0].removeprefix("TOLD"))


@pytest.fixture(scope="module")
def told(ray_head, tmp_path_factory):
    """What a script tells that has the cluster of two CPUs for itself."""
    return tell(ON_ONE_NODE, tmp_path_factory.mktemp("ray"), ray_head.address, ray_head.environment, 240)


pytestmark = pytest.mark.timeout(600)


@pytest.mark.ray
def test_on_ray_a_stage_whose_process_is_killed_is_tried_again(told):
    assert (len(told["killed"]["given"]), told["killed"]["done"], told["killed"]["kind"]) == (2, True, None)


@pytest.mark.ray
def test_on_ray_a_stage_that_ran_out_of_memory_is_tried_once_more_with_a_node_to_itself(told):
    assert told["memory"]["given"] == [0.95, 1.9]
    assert told["memory"]["done"]


@pytest.mark.ray
@pytest.mark.parametrize(("kind", "attempts"), [("GPU memory", 2), ("fault", 1), ("error", 1), ("diverged", 1)])
def test_on_ray_what_would_fail_again_is_marked_failed_with_its_reason_after_as_many_attempts_as_stated(told, kind, attempts):
    assert (len(told[kind]["given"]), told[kind]["done"], told[kind]["kind"]) == (attempts, False, kind)


@pytest.mark.ray
def test_on_ray_out_of_gpu_memory_says_which_setting_to_lower(told):
    assert "lower batch_size (it is 64)" in told["GPU memory"]["error"]


@pytest.mark.ray
def test_on_ray_a_stage_that_another_cluster_computes_waits_without_keeping_anything_from_others(told):
    assert told["sentence"].startswith("computed by process 1 on elsewhere of the cluster another")
    assert (told["waits"], told["beside"]) == (True, True)


@pytest.mark.ray
def test_on_ray_a_stage_that_was_taken_over_stops_with_a_checkpoint_and_goes_on_when_it_is_free_again(told):
    assert told["other's"] == "other"
    assert told["first"] > 0
    assert told["left"] == []


# A node beside the head, on which alone a stage of two CPUs fits, is killed as often as a killed process would be forgiven.
WITH_NODES_LOST = """
from ray.cluster_utils import Cluster

cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "dashboard_port": 0, "include_dashboard": False})
ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR", namespace="speech-orchestrator", runtime_env=HOOK)
session = joined()
with session.joined():
    told["peer"] = run("killed", 1, FailingTogether, workers=2)
    folder = notes("slow")
    stage = Slow(notes=folder, steps=3000)
    setting = toy_setting(home / "store", sweep=session.name, checkpoint_seconds=0.5)
    node = cluster.add_node(num_cpus=4)
    runner = ChainRunner(setting, ResourceRequest(cpus_per_worker=4), has_gpus=False)
    thread = threading.Thread(target=runner.finish, args=(stage,))
    thread.start()
    attempts = lambda: len(list(Path(folder).glob("from-*")))
    for lost in range(2):
        wait_for(lambda: attempts() > lost)
        time.sleep(3)
        cluster.remove_node(node, allow_graceful=False)
        node = cluster.add_node(num_cpus=4)
    wait_for(lambda: attempts() == 3)
    (Path(folder) / "enough").touch()
    thread.join()
    told["first"], told["attempts"] = store.read_json(setting.fingerprint(stage), "metrics.json")["first"], attempts()
print("TOLD", json.dumps(told), flush=True)
ray.shutdown()
cluster.shutdown()
"""


@pytest.mark.slow
@pytest.mark.ray
def test_one_of_several_workers_that_is_killed_and_nodes_that_are_lost_are_survived(tmp_path):
    """``pytest -m slow tests/orchestrator/test_ray_failures.py``; a minute and a half."""
    told = tell(WITH_NODES_LOST, tmp_path, "auto", {"RAY_AUTH_MODE": "disabled"}, 400)
    assert (len(told["peer"]["given"]), told["peer"]["done"]) == (2, True)
    assert (told["attempts"], told["first"] > 0) == (3, True)
