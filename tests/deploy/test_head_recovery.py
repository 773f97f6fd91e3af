"""Ray's head dies in the middle of a sweep, by itself or because its Redis does, on the pods of components/head-recovery: the sweep
itself goes on.

    python -m pytest -m slow tests/deploy/test_head_recovery.py

Five minutes. It needs what ``test_declared_command.py`` needs, and a ``redis-server``. The new head has the old one's address,
as on a real cluster it has its name.
"""

import re
import shutil
import threading
import time
from pathlib import Path

import pytest

from tests.cluster.hosts import network
from tests.deploy.local_cluster import LocalCluster
from tests.deploy.test_declared_command import launched, why_not
from tests.tiny_corpora import write_tiny_corpora

story = why_not() or ("" if shutil.which("redis-server") else "there is no redis-server")
pytestmark = [
    pytest.mark.ray,
    pytest.mark.slow,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(bool(story), reason=f"pods are processes of this machine: {story}"),
]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    objects = launched(tmp_path_factory.mktemp("overlay"), "corpora", "head-recovery")
    with network() as net:
        made = LocalCluster(net, tmp_path_factory.mktemp("cluster"), objects)
        write_tiny_corpora(made.volume("corpora")).parent.chmod(0o755)
        made.begin()
        yield made


def published(cluster):
    """Every result, with the time at which it was published."""
    return {str(marker): marker.stat().st_mtime_ns for marker in (cluster.volume("store") / "results").rglob("_SUCCESS")}


def sweeps(cluster):
    """The sweep's own processes."""
    return {
        pid
        for pod in cluster.pods
        for pid in pod.host.processes()
        if Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"python\0-m\0orchestrator.sweep")
    }


def until(condition, seconds):
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.1)


def lose_head(cluster):
    cluster.head.die()


def lose_redis(cluster):
    """Ray's control store ends itself when it can write nothing, and the head's container with it."""
    cluster.redis.die()
    until(lambda: not cluster.head.host.processes(), 120)
    cluster.begin_redis()
    cluster.head.die()


@pytest.fixture(scope="module", params=[lose_head, lose_redis])
def recovered(cluster, request):
    """The job and its log, and what there was before and after its head died."""
    name = request.param.__name__.replace("_", "-")
    shutil.rmtree(cluster.volume("store") / "results", ignore_errors=True)  # of the sweep before
    submitter = threading.Thread(target=cluster.submit, args=[name], daemon=True)  # it loses its connection, and ends
    submitter.start()
    until(lambda: len(published(cluster)) >= 2, 400)
    before = published(cluster), sweeps(cluster)
    request.param(cluster)
    submitter.join(120)
    time.sleep(10)  # as long as a new pod may take to be there
    cluster.begin_head()
    after = published(cluster), sweeps(cluster)
    log = cluster.submit(name)
    return cluster.told(name), log, before, after


def test_the_job_ends_well_in_the_process_that_began_it_and_makes_its_table(recovered):
    job, log, (_, begun), (_, alive) = recovered
    assert len(begun) == 1
    assert alive == begun
    assert (job["status"], job["driver_exit_code"]) == ("SUCCEEDED", 0), log
    assert "8 of 8 trials finished" in log
    assert re.search(r"^fixed +ReCLR \(λ = 0\.2\) ", log, re.MULTILINE)


def test_what_was_published_before_is_not_computed_again(cluster, recovered):
    (before, _), (between, _) = recovered[2:]
    assert before.items() <= between.items() < published(cluster).items()


def test_whatever_must_outlive_the_head_and_workers_is_on_the_pod_of_the_drivers(cluster, recovered):
    (drivers,) = [node["node_id"] for node in cluster.state("nodes") if node["resources_total"].get("driver")]
    actors = cluster.state("actors")
    assert {actor["class_name"] for actor in actors} >= {"ImplicitFunc", "TrackerActor", "LedgerActor"}
    assert {actor["node_id"] for actor in actors} == {drivers}
