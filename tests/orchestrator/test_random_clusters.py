"""Sweeps of toy stages on clusters of random shapes: what can be run ends, what cannot is refused, and nothing of it is left.

The ordinary suite tries what must be refused; the rest takes half an hour on 2 cores:

    python -m pytest -m slow -o faulthandler_timeout=0 tests/orchestrator/test_random_clusters.py
"""

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from orchestrator.execution.resources import Need
from tests.orchestrator.changing_cluster import changing_cluster
from tests.orchestrator.test_cluster_shape import by_hand
from tests.orchestrator.toy_driver import disturb, driven, result_of

pytestmark = [pytest.mark.ray, pytest.mark.timeout(1800)]

shapes = st.lists(st.tuples(st.integers(1, 3), st.integers(0, 2)), min_size=1, max_size=3)
sweeps = st.fixed_dictionaries(
    {
        "kinds": st.sampled_from([["Nap"], ["Nap", "GpuNap"], ["GangNap"], ["Nap", "GangNap"], ["Nap", "GangNap", "GpuNap"]]),
        "seeds": st.integers(1, 3),
        "cpus": st.integers(1, 2),
        "workers": st.integers(2, 3),
        "gpus": st.sampled_from([0.25, 0.5, 1.0, 2.0]),
    }
)
endings = st.sampled_from(["success", "stop", "cancel", "crash"])


@pytest.fixture(scope="module")
def cluster():
    with changing_cluster() as running:
        yield running


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["crash", "stop", "cancel"])
def test_a_sweep_that_fits_ends_and_leaves_nothing_on_the_cluster_however_it_was_ended_before(cluster, empty_store, ending):
    sweep = {"kinds": ["Nap", "GpuNap"], "seeds": 1, "cpus": 1, "workers": 2, "gpus": 0.5}
    holds(cluster, empty_store, [(1, 0), (1, 1)], sweep, ending)


def test_what_no_node_has_is_refused_in_seconds_with_the_missing_resource_named(cluster, empty_store):
    sweep = {"kinds": ["Nap", "GangNap", "GpuNap"], "seeds": 1, "cpus": 1, "workers": 3, "gpus": 2.0}
    told = holds(cluster, empty_store, [(1, 1), (1, 1)], sweep, "success")
    assert "3 workers x 1 CPU = 3 CPU, but there are 2 in all" in told["refused"][0]
    assert any("a worker needs 2 GPU, but the largest node has 1" in fault for fault in told["refused"])


@pytest.mark.slow
@pytest.mark.timeout(2 * 3600)
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.explicit, Phase.generate])
@given(shape=shapes, sweep=sweeps, ending=endings)
def test_on_any_cluster_what_fits_ends_what_does_not_is_refused_and_nothing_is_left(cluster, empty_store, shape, sweep, ending):
    holds(cluster, empty_store, shape, sweep, ending)


def holds(cluster, empty_store, shape, sweep, ending):
    """The property for one cluster, one sweep and one way to end it; returns what the last run told."""
    cluster.change(shape)
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        (home / "notes").mkdir()
        shutil.copy(empty_store, home / "mlflow.db")
        needs = {
            "Nap": Need(1, sweep["cpus"], 0.0),
            "GangNap": Need(sweep["workers"], sweep["cpus"], 0.0),
            "GpuNap": Need(1, sweep["cpus"], sweep["gpus"]),
        }
        nodes = [{"CPU": cpus, "GPU": gpus} for cpus, gpus in shape]
        feasible = all(sum(by_hand(node, needs[kind]) for node in nodes) >= needs[kind].workers for kind in sweep["kinds"])
        if feasible and ending != "success":
            with driven(cluster, home, sweep, seconds=3.0) as driver:
                disturb(driver, home, ending)
        with driven(cluster, home, sweep, seconds=3.0 if ending != "success" else 0.2) as driver:
            told = result_of(driver)
        if feasible:
            number = len(sweep["kinds"]) * sweep["seeds"]
            assert told == {"outcome": "FINISHED", "done": number, "stages": number, "failures": []}
        else:
            assert told["seconds"] < 10
        return told
