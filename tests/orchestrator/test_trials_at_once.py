"""As many trials at a time as the cluster has room for, now and when it changes."""

import pickle

import pytest
import ray
from ray import tune

from orchestrator.execution.cluster_shape import ClusterShape, NodeGroup
from orchestrator.execution.ray_drivers import driver_resources
from orchestrator.execution.ray_trials import GridAtOnce, TrialTask, shares, trials_at_once
from orchestrator.execution.resources import Need
from orchestrator.records import TrialRecord

SHAPE = ClusterShape(({"CPU": 8.0, "GPU": 2.0},), (NodeGroup("gpu", {"CPU": 8.0, "GPU": 2.0}, 2),))


def test_the_smallest_stages_decide_how_many_trials_are_worth_a_process_and_the_autoscaler_s_nodes_count():
    assert trials_at_once(SHAPE, {Need(gpus=1.0)}) == 6 + 2
    assert trials_at_once(SHAPE, {Need(gpus=1.0), Need(gpus=0.25)}) == 24 + 2
    assert trials_at_once(SHAPE, {Need(2, 1, 1.0)}) == 3 + 2
    assert trials_at_once(SHAPE, {Need(), Need(gpus=1.0)}) == 24 + 2


def test_no_more_trials_are_begun_than_a_cluster_has_processes_for():
    assert trials_at_once(ClusterShape(({"CPU": 10_000.0},)), {Need()}) == 1000
    assert trials_at_once(ClusterShape(()), {Need()}) == 2, "a cluster may be empty until its autoscaler starts"


def many(number):
    """Trials of ten rows."""
    places = [(seed, row) for seed in range(number // 10) for row in range(10)]
    return [
        TrialTask(TrialRecord(key=f"r{row}-seed{seed}", row=f"r{row}", seed=seed, fingerprint=f"Nap/{row}-{seed}", stages=()), {})
        for seed, row in places
    ]


def test_a_sweep_of_a_few_hundred_trials_has_each_by_itself_and_named_after_it():
    divided = shares(many(200), 4)
    assert [len(theirs) for theirs in divided.values()] == [1] * 200
    assert list(divided)[:2] == ["r0-seed0", "r1-seed0"]


def test_a_share_of_many_trials_is_a_cut_through_the_whole_sweep_in_its_order_and_none_is_left_out():
    trials = many(1010)
    divided = shares(trials, 4)
    assert len(divided) == 200
    assert sorted(map(len, divided.values())) == [5] * 190 + [6] * 10
    assert next(iter(divided.items())) == ("r0-seed0-and-5-more", trials[::200])
    assert sorted(trial.record.key for theirs in divided.values() for trial in theirs) == sorted(t.record.key for t in trials)


def test_a_large_cluster_has_a_share_for_every_driver():
    assert len(shares(many(2000), 700)) == 700
    assert len(shares(many(500), 700)) == 500


@pytest.mark.parametrize(("offered", "kind"), [({"CPU": 4.0}, "cpu"), ({"CPU": 4.0, "driver": 1000.0}, "driver")])
def test_drivers_go_where_a_cluster_offers_room_for_drivers(offered, kind, monkeypatch):
    monkeypatch.setattr(ray, "cluster_resources", lambda: offered)
    assert driver_resources().keys() == {kind}


def begun(grid):
    """Trials that Tune would begin before one ends."""
    names = []
    while (trial := grid.next_trial()) is not None:
        names.append(trial.trial_id)
    return names


def test_tune_begins_more_trials_when_nodes_have_come_and_waits_when_they_have_gone(monkeypatch):
    monkeypatch.setattr("orchestrator.execution.ray_trials._LOOK_SECONDS", 0.0)
    room = [2]
    grid = GridAtOnce(lambda: room[0])
    tune.register_trainable("toy", lambda config: None)
    grid.add_configurations({"toy": {"run": "toy", "config": {"row": tune.grid_search(list(range(10)))}}})
    first = begun(grid)
    assert len(first) == 2
    room[0] = 5
    assert len(begun(grid)) == 3
    room[0] = 1
    for name in first:
        grid.on_trial_complete(name)
    assert begun(grid) == []


def test_what_cannot_be_asked_for_a_while_stays_as_it_was_and_nothing_of_it_is_written_to_disk(monkeypatch):
    monkeypatch.setattr("orchestrator.execution.ray_trials._LOOK_SECONDS", 0.0)

    def away():
        raise ray.exceptions.RpcError("the control store is away")

    grid = GridAtOnce(lambda: 7)
    assert grid.max_concurrent == 7
    grid._most = away
    assert grid.max_concurrent == 7
    assert pickle.loads(pickle.dumps(grid))._now == 7
    assert "_most" not in grid.get_state()
