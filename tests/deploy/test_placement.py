"""What runs on which nodes, in the overlays for preemptible nodes and for queues."""

import json

import pytest

from orchestrator.execution.autoscaler import limits_of_config
from tests.deploy.policies import quantity
from tests.deploy.rendered import OVERLAYS, named, pods, render, with_component
from tests.deploy.selecting import may_run_on

PREEMPTIBLE = {
    "GKE": {"cloud.google.com/gke-spot": "true"},
    "EKS": {"eks.amazonaws.com/capacityType": "SPOT"},
    "Karpenter": {"karpenter.sh/capacity-type": "spot"},
    "AKS": {"kubernetes.azure.com/scalesetpriority": "spot"},
}
LASTING = {
    "plain": {"kubernetes.io/os": "linux"},
    "EKS": {"eks.amazonaws.com/capacityType": "ON_DEMAND"},
    "Karpenter": {"karpenter.sh/capacity-type": "on-demand"},
    "AKS": {"kubernetes.azure.com/scalesetpriority": "regular"},
}


@pytest.mark.parametrize("node", PREEMPTIBLE.values(), ids=PREEMPTIBLE)
def test_workers_alone_run_on_preemptible_nodes(node):
    allowed = {pod.component for pod in pods(render("spot")) if may_run_on(pod.spec, node)}
    assert allowed == {"ray-worker"}


@pytest.mark.parametrize("node", LASTING.values(), ids=LASTING)
def test_everything_but_workers_runs_on_lasting_nodes(node):
    allowed = {pod.component for pod in pods(render("spot")) if may_run_on(pod.spec, node)}
    assert allowed == {"ray-head", "ray-driver", "submitter", "mlflow", "postgresql", "redis"}


def test_workers_tolerate_the_taints_of_preemptible_nodes_and_of_gpus():
    (worker,) = [pod for pod in pods(render("spot")) if pod.component == "ray-worker"]
    assert {toleration["key"] for toleration in worker.spec["tolerations"]} == {
        "nvidia.com/gpu",
        "cloud.google.com/gke-spot",
        "kubernetes.azure.com/scalesetpriority",
    }


def ray_clusters(overlay):
    """The specs of Ray's clusters."""
    specs = [each["spec"] for each in render(overlay) if each["kind"] in ("RayJob", "RayCluster")]
    return [spec.get("rayClusterSpec", spec) for spec in specs]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_no_stage_runs_beside_the_driver_and_gpus_are_the_workers_alone(overlay):
    for cluster in ray_clusters(overlay):
        head, groups = cluster["headGroupSpec"], cluster["workerGroupSpecs"]
        assert head["resources"]["CPU"] == "0"
        drivers = [each for each in (head, *groups) if int(each.get("resources", {}).get("driver", 0))]
        assert [each["resources"]["CPU"] for each in drivers] == ["0"]
    limits = {pod.component: pod.spec["containers"][0]["resources"]["limits"] for pod in pods(render(overlay))}
    with_gpus = {component for component, limit in limits.items() if "nvidia.com/gpu" in limit}
    assert with_gpus == (set() if overlay == "laptop" else {"ray-worker"})


def test_where_a_sweep_is_to_outlive_its_head_its_process_and_its_trials_are_not_on_it():
    job = named(render("spot"), "RayJob")
    cluster = job["spec"]["rayClusterSpec"]
    assert cluster["gcsFaultToleranceOptions"]["redisAddress"] == "redis:6379"
    assert json.loads(job["spec"]["entrypointResources"]) == {"driver": 1}
    assert "driver" not in cluster["headGroupSpec"]["resources"]
    (drivers,) = [group for group in cluster["workerGroupSpecs"] if "driver" in group.get("resources", {})]
    assert drivers["replicas"] == drivers["minReplicas"] == drivers["maxReplicas"] == 1


def test_the_pod_of_the_drivers_has_what_the_head_has_be_it_added_before_or_after():
    cluster = named(with_component("head-recovery", "object-store"), "RayJob")["spec"]["rayClusterSpec"]
    head, drivers = cluster["headGroupSpec"]["template"]["spec"], cluster["workerGroupSpecs"][1]["template"]["spec"]
    assert head["volumes"] == drivers["volumes"]
    assert {"corpora"} < {volume["name"] for volume in drivers["volumes"]}
    assert {"secretRef": {"name": "object-store"}} in drivers["containers"][0]["envFrom"]
    for field in ("image", "envFrom", "volumeMounts", "securityContext"):
        assert head["containers"][0][field] == drivers["containers"][0][field]


def test_a_queued_sweep_waits_for_all_its_workers_at_once():
    job = named(render("kueue"), "RayJob")
    assert job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"]
    assert job["spec"]["suspend"]
    assert job["spec"]["shutdownAfterJobFinishes"]
    cluster = job["spec"]["rayClusterSpec"]
    assert not cluster["enableInTreeAutoscaling"]
    for group in cluster["workerGroupSpecs"]:
        assert group["replicas"] == group["minReplicas"] == group["maxReplicas"] > 0


@pytest.mark.parametrize(("overlay", "worker"), [("laptop", {"CPU": 2.0, "GPU": 0.0}), ("gpu", {"CPU": 8.0, "GPU": 1.0})])
def test_rays_autoscaler_and_the_sweep_read_the_same_from_the_template(overlay, worker):
    from ray.autoscaler._private.kuberay.autoscaling_config import _derive_autoscaling_config_from_ray_cr

    job = named(render(overlay), "RayJob")
    cluster = {"metadata": job["metadata"], "spec": job["spec"]["rayClusterSpec"]}
    config = _derive_autoscaling_config_from_ray_cr(cluster)
    head = config["available_node_types"][config["head_node_type"]]["resources"]
    assert (head["CPU"], head["driver"]) == (0, 1000)
    most = cluster["spec"]["workerGroupSpecs"][0]["maxReplicas"]
    assert limits_of_config(config).groups == {"workers": (worker, most)}


@pytest.mark.parametrize("overlay", [name for name in OVERLAYS if name != "kueue"])
def test_elsewhere_workers_come_and_go_with_the_work(overlay):
    for cluster in ray_clusters(overlay):
        assert cluster["enableInTreeAutoscaling"]
        assert cluster["autoscalerOptions"]["version"] == "v2"
        for group in cluster["workerGroupSpecs"]:
            assert group["groupName"] == "drivers" or group["minReplicas"] == 0 < group["maxReplicas"]


def test_a_laptop_needs_no_more_than_a_laptop_has():
    requests = [container["resources"]["requests"] for pod in pods(render("laptop")) for container in pod.containers]
    assert sum(quantity(each["cpu"]) for each in requests) <= 4
    assert sum(quantity(each["memory"]) for each in requests) <= 6 * 2**30
