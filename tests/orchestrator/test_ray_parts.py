"""Parts on a Ray cluster of two CPUs: shared between processes, none lost with a process, none done twice after a stop."""

import json
import os
import subprocess
import sys

import pytest

pytestmark = [pytest.mark.ray, pytest.mark.timeout(900)]
WHOLE = "abbcccaaaabbbbbcccccc"
SCRIPT = """
import contextlib, json, sys, threading
from pathlib import Path
from orchestrator.execution.environment import set_environment
set_environment(sys.argv[2])
import ray
from orchestrator.artifacts import ArtifactStore
from orchestrator.execution.ray_drivers import ChainRunner
from orchestrator.execution.ray_session import RaySession
from orchestrator.execution.resources import ResourceRequest
from tests.orchestrator.toy_parts import Letters, begun, processes
from tests.toys import toy_setting
from trainables.stage import StopRequested

home = Path(sys.argv[1])
ray.init(address=sys.argv[2], log_to_driver=False, logging_level="ERROR", namespace="speech-orchestrator",
         runtime_env={"worker_process_setup_hook": "tests.orchestrator.toy_parts.known"})

@contextlib.contextmanager
def session():
    it = RaySession("toy", str(home / "store"), f"sqlite:///{home}/mlflow.db", home / "artifacts")
    with it.joined():
        yield it

def text(session, stage, cpus=1):
    setting = toy_setting(home / "store", sweep=session.name)
    ChainRunner(setting, ResourceRequest(cpus_per_worker=cpus), has_gpus=False).finish(stage)
    return (ArtifactStore(setting.store).path(setting.fingerprint(stage)) / "letters.txt").read_text()

def notes(name):
    (home / name).mkdir()
    return home / name

@contextlib.contextmanager
def watched(look):
    ended = threading.Event()
    def watch():
        while not ended.wait(0.1):
            look()
    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()

told, seen, a, b, c = {}, set(), notes("a"), notes("b"), notes("c")
stopped = Letters(notes=str(c), seconds=0.8, parts=8)
with session() as first:
    with watched(lambda: seen.update(fraction for fraction, _ in first.running().values())):
        told["killed"] = text(first, Letters(notes=str(a), seconds=0.6, deadly=3, together=2))
    told["begun"], told["processes"], told["fractions"] = begun(a), len(processes(a)), sorted(seen)
    told["whole cluster"] = text(first, Letters(notes=str(b)), cpus=2)
    with watched(lambda: len(begun(c)) >= 2 and not first.asked_to_stop and first.stop()):
        with contextlib.suppress(StopRequested):
            text(first, stopped)
    told["begun at stop"] = begun(c)
with session() as second:
    told["resumed"], told["begun in all"] = text(second, stopped), begun(c)
print("TOLD", json.dumps(told), flush=True)
ray.shutdown()
"""


@pytest.fixture(scope="module")
def told(ray_head, tmp_path_factory):
    """What a script tells that has the cluster for itself."""
    command = [sys.executable, "-c", SCRIPT, str(tmp_path_factory.mktemp("ray")), ray_head.address]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, env=os.environ | ray_head.environment)
    lines = [line for line in done.stdout.splitlines() if line.startswith("TOLD")]
    assert lines, done.stdout + done.stderr
    return json.loads(lines[0].removeprefix("TOLD"))


def test_on_ray_parts_run_in_several_processes_and_the_death_of_one_changes_nothing(told):
    assert told["killed"] == WHOLE
    assert told["processes"] >= 2
    assert told["begun"] == [0, 1, 2, 3, 3, 4, 5]


def test_on_ray_the_sweep_sees_the_fraction_of_parts_that_are_done(told):
    assert len([fraction for fraction in told["fractions"] if 0 < fraction < 1]) >= 2


def test_on_ray_a_stage_that_holds_every_cpu_lends_them_to_its_parts_while_it_waits(told):
    assert told["whole cluster"] == WHOLE


def test_on_ray_a_stopped_stage_goes_on_with_the_parts_that_are_missing(told):
    assert 2 <= len(told["begun at stop"]) < 8
    assert told["begun in all"] == list(range(8)), "each was done once"
    assert told["resumed"].startswith(WHOLE)
