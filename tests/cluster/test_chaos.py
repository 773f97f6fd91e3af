"""Whatever is killed at random moments, the same command run again ends in the bytes of a sweep that nothing happened to.

python -m pytest -m slow -o faulthandler_timeout=0 tests/cluster/test_chaos.py -s        # a hundred events: half an hour on 2 cores
CHAOS_SEED=7 CHAOS_EVENTS=30 python -m pytest -m slow -o faulthandler_timeout=0 tests/cluster/test_chaos.py -s
"""

import contextlib
import os
import subprocess
import sys
from collections import Counter

import pytest

from orchestrator.checks import Options
from tests.cluster.chaos import Chaos, Settled, cluster, faults_in_tracking
from tests.cluster.hosts import ROOT, why_not
from tests.orchestrator.search.local_search import search_locally, trials
from tests.tiny_corpora import write_tiny_corpora

pytestmark = [
    pytest.mark.ray,
    pytest.mark.skipif(bool(story := why_not()), reason=f"hosts are network namespaces: {story}"),
]
SEED = int(os.environ.get("CHAOS_SEED", "0"))


@pytest.fixture(scope="module")
def corpora(tmp_path_factory):
    return write_tiny_corpora(tmp_path_factory.mktemp("corpora"))


def arguments(corpora, seeds):
    return ("reclr_lambda", "--corpora", str(corpora), "--scale", "smoke", "--seeds", str(seeds))


def undisturbed(corpora, folder, seeds):
    """The table of the same sweep in one process, in one go."""
    command = [sys.executable, "-m", "orchestrator.sweep", *arguments(corpora, seeds), "--local", "--results", str(folder)]
    environment = {name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return table(folder)


def table(results):
    return (results / "tables" / "reclr_lambda" / "table.csv").read_bytes()


def campaign(corpora, folder, number):
    """So many events; a sweep that ends before is followed by one with a seed more, which needs new stages. All their events."""
    events, seeds, hat = [], 0, []
    with cluster(folder) as machines:
        while len(events) < number:
            seeds += 1
            chaos = Chaos(machines, arguments(corpora, seeds), SEED + seeds, hat)
            with contextlib.suppress(Settled):
                chaos.strike(number - len(events))
            chaos.settle()
            events += chaos.events
            print(f"{len(events)} events, {seeds} seeds: {Counter(chaos.events)}", flush=True)
            assert table(folder / "results") == undisturbed(corpora, folder / f"undisturbed-{seeds}", seeds)
            assert not faults_in_tracking(machines.tracking_uri, "reclr_lambda")
    return events


@pytest.mark.timeout(1500)
def test_after_ten_events_the_same_command_ends_in_the_same_table_with_nothing_run_twice_and_no_run_doubled(corpora, tmp_path):
    events = campaign(corpora, tmp_path, 10)
    assert len(set(events)) == 10, "each kind of event once"


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_after_ten_events_a_search_has_the_history_and_the_rungs_of_one_that_nothing_happened_to(corpora, tmp_path):
    """A pretraining takes the whole head, so that trials come one after the other, as they do without Ray."""
    alone = ("--scale", "smoke", "--seeds", "1", "--per-stage", "ContrastivePretraining.cpus=2")
    with cluster(tmp_path) as machines:
        chaos = Chaos(machines, ("reclr_search", "--corpora", str(corpora), *alone), SEED, [])
        with contextlib.suppress(Settled):
            chaos.strike(10)
        chaos.settle()
        print(Counter(chaos.events), flush=True)
        assert not faults_in_tracking(machines.tracking_uri, "reclr_search")
        local = Options("reclr_search", corpora=str(corpora), scale="smoke", seeds=1, results=tmp_path / "undisturbed")
        assert trials(machines.store) == search_locally(local)


@pytest.mark.slow
@pytest.mark.timeout(4 * 3600)
def test_after_a_hundred_events_the_same_command_ends_in_the_same_table_with_nothing_run_twice_and_no_run_doubled(
    corpora, tmp_path
):
    events = campaign(corpora, tmp_path, int(os.environ.get("CHAOS_EVENTS", "100")))
    print(Counter(events))
