"""As many trials at a time as the cluster has room for, now and when it changes."""

import pickle

import ray
from ray import tune

from orchestrator.execution.cluster_shape import ClusterShape, NodeGroup
from orchestrator.execution.ray_trials import GridAtOnce, trials_at_once
from orchestrator.execution.resources import Need

SHAPE = ClusterShape(({"CPU": 8.0, "GPU": 2.0},), (NodeGroup("gpu", {"CPU": 8.0, "GPU": 2.0}, 2),))


def test_the_smallest_stages_decide_how_many_trials_are_worth_a_process_and_the_autoscaler_s_nodes_count():
    assert trials_at_once(SHAPE, {Need(gpus=1.0)}, 1000) == 6 + 2
    assert trials_at_once(SHAPE, {Need(gpus=1.0), Need(gpus=0.25)}, 1000) == 24 + 2
    assert trials_at_once(SHAPE, {Need(2, 1, 1.0)}, 1000) == 3 + 2
    assert trials_at_once(SHAPE, {Need(), Need(gpus=1.0)}, 1000) == 24 + 2


def test_no_more_trials_are_begun_than_there_are_nor_than_a_machine_has_processes_for():
    assert trials_at_once(SHAPE, {Need()}, 3) == 3
    assert trials_at_once(ClusterShape(({"CPU": 1000.0},)), {Need()}, 1000) == 200
    assert trials_at_once(ClusterShape(()), {Need()}, 1000) == 2, "a cluster may be empty until its autoscaler starts"


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
