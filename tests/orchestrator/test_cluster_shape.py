"""What fits on a cluster: exact for workers that are alike, by node and by device, with what an autoscaler may add."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ray.core.generated.autoscaler_pb2 import ClusterConfig, NodeGroupConfig

from orchestrator.execution.autoscaler import NONE, Limits, limits_of_config, limits_of_report, read_config
from orchestrator.execution.cluster import shape_of
from orchestrator.execution.cluster_shape import UNLIMITED, ClusterShape, NodeGroup
from orchestrator.execution.packing import Packing
from orchestrator.execution.resources import Need

nodes = st.fixed_dictionaries({"CPU": st.integers(0, 4).map(float), "GPU": st.integers(0, 3).map(float)})
groups = st.lists(st.tuples(nodes, st.integers(0, 2)), max_size=2).map(
    lambda found: tuple(NodeGroup(f"group{number}", *each) for number, each in enumerate(found))
)
shapes = st.builds(ClusterShape, st.lists(nodes, max_size=3).map(tuple), groups, st.none() | st.integers(0, 3))
needs = st.builds(Need, st.integers(1, 4), st.integers(1, 3), st.sampled_from([0.0, 0.25, 0.3, 0.5, 1.0, 2.0]))


def by_hand(node, need):
    """Workers on one node, counted one after the other."""
    cpus, gpus, count = node["CPU"], [1.0] * int(node["GPU"]), 0
    while cpus >= need.cpus:
        free = [device for device, left in enumerate(gpus) if left >= min(need.gpus, 1) - 1e-9]
        wanted = 0 if not need.gpus else max(1, int(need.gpus))
        if len(free) < wanted:
            break
        for device in free[:wanted]:
            gpus[device] -= min(need.gpus, 1)
        cpus, count = cpus - need.cpus, count + 1
    return count


@given(shapes, needs)
def test_the_room_for_workers_is_what_counting_them_over_all_ways_to_grow_gives(shape, need):
    limit = UNLIMITED if shape.most_more is None else shape.most_more
    ways = itertools.product(*(range(group.more + 1) for group in shape.growth))
    added = [
        sum(number * by_hand(group.resources, need) for number, group in zip(way, shape.growth, strict=True))
        for way in ways
        if sum(way) <= limit
    ]
    assert shape.room(need) == sum(by_hand(node, need) for node in shape.nodes) + max(added)


@given(shapes, needs)
def test_workers_are_placed_together_if_and_only_if_there_is_room_for_all(shape, need):
    assert (Packing(shape).place(need) is not None) == (shape.room(need) >= need.workers)


@given(shapes, st.lists(needs, max_size=8), st.data())
def test_no_node_and_no_device_is_used_twice_and_what_is_given_back_is_free_again(shape, wanted, data):
    packing = Packing(shape)
    placed = [placement for need in wanted if (placement := packing.place(need)) is not None]
    for node in packing._nodes:
        assert node.cpu >= -1e-6
        assert all(-1e-6 <= free <= 1 for free in node.gpus)
    for placement in data.draw(st.permutations(placed)):
        packing.free_again(placement)
    assert packing.free() == shape.total()


def test_small_shares_of_gpus_go_together_so_that_a_whole_one_stays_free():
    packing = Packing(ClusterShape(({"CPU": 4.0, "GPU": 1.0}, {"CPU": 4.0, "GPU": 1.0})))
    for _ in range(2):
        packing.place(Need(gpus=0.5))
    assert packing.fits(Need(gpus=1.0))


def test_a_share_of_a_gpu_does_not_span_two_devices():
    packing = Packing(ClusterShape(({"CPU": 8.0, "GPU": 2.0},)))
    assert [packing.place(Need(gpus=0.6)) is not None for _ in range(3)] == [True, True, False]


def test_who_needs_no_gpu_leaves_nodes_with_gpus_free():
    packing = Packing(ClusterShape(({"CPU": 1.0, "GPU": 1.0}, {"CPU": 1.0, "GPU": 0.0})))
    packing.place(Need())
    assert packing.fits(Need(gpus=1.0))


CONFIG = {
    "head_node_type": "head",
    "max_workers": 5,
    "available_node_types": {
        "head": {"resources": {"CPU": 4}, "max_workers": 0},
        "gpu": {"resources": {"CPU": 8, "GPU": 1, "memory": 10**9}, "max_workers": 3},
        "cpu": {"resources": {"CPU": 16}},
    },
}


def test_an_autoscaler_s_configuration_gives_what_may_come_less_what_is_there():
    limits = limits_of_config(CONFIG)
    assert limits == Limits({"gpu": ({"CPU": 8.0, "GPU": 1.0}, 3), "cpu": ({"CPU": 16.0, "GPU": 0.0}, 5)}, 5)
    shape = shape_of([("head", {"CPU": 4.0}), ("gpu", {"CPU": 8.0, "GPU": 1.0}), ("gpu", {"CPU": 8.0, "GPU": 1.0})], limits)
    assert {group.name: group.more for group in shape.growth} == {"gpu": 1, "cpu": 5}
    assert shape.most_more == 3
    assert shape.total() == {"CPU": 20.0, "GPU": 2.0}
    assert shape.grown() == {"CPU": 68.0, "GPU": 3.0}


def test_a_cluster_without_an_autoscaler_may_not_grow():
    shape = shape_of([("", {"CPU": 2.0, "memory": 5.0})], limits_of_config({}))
    assert shape == ClusterShape(({"CPU": 2.0, "GPU": 0.0},))
    assert limits_of_config({}) == NONE


def test_what_an_autoscaler_reports_to_the_control_store_is_read_with_its_limits():
    unlimited = NodeGroupConfig(name="cpu", resources={"CPU": 8}, max_count=-1)
    gpu = NodeGroupConfig(name="gpu", resources={"CPU": 8, "GPU": 4}, max_count=100)
    limits = limits_of_report(ClusterConfig(node_group_configs=[unlimited, gpu], max_resources={"GPU": 10}))
    assert {name: most for name, (_, most) in limits.groups.items()} == {"cpu": UNLIMITED, "gpu": 2}


def test_on_kubernetes_the_limits_are_those_of_the_cluster_s_object_if_it_may_grow(monkeypatch, tmp_path):
    container = {"containers": [{"name": "ray", "resources": {"limits": {"cpu": "8", "memory": "1Gi", "nvidia.com/gpu": "2"}}}]}
    head = {"rayStartParams": {"num-cpus": "0"}, "template": {"spec": container}}
    group = {"groupName": "gpus", "minReplicas": 0, "maxReplicas": 4, "rayStartParams": {}, "template": {"spec": container}}
    spec = {"enableInTreeAutoscaling": True, "headGroupSpec": head, "workerGroupSpecs": [group]}
    asked = []

    def get(self, path):
        asked.append(path)
        return {"metadata": {"name": "lab", "namespace": "ml"}, "spec": spec}

    (tmp_path / "namespace").write_text("ml")
    monkeypatch.setenv("RAY_CLUSTER_NAME", "lab")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setattr("orchestrator.execution.autoscaler._NAMESPACE", tmp_path / "namespace")
    monkeypatch.setattr("ray.autoscaler._private.kuberay.node_provider.KubernetesHttpApiClient.get", get)
    assert limits_of_config(read_config("head:6379")) == Limits({"gpus": ({"CPU": 8.0, "GPU": 2.0}, 4)}, 4)
    assert asked == ["rayclusters/lab"]
    spec["enableInTreeAutoscaling"] = False
    assert limits_of_config(read_config("head:6379")) == NONE


@pytest.mark.parametrize("name", ["RAY_CLUSTER_NAME", "KUBERNETES_SERVICE_HOST"])
def test_a_machine_that_is_no_head_knows_no_limits(monkeypatch, name):
    monkeypatch.delenv(name, raising=False)
    assert read_config("nowhere:1") == {}
