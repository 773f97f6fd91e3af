"""Who may talk to whom, as the policies have it."""

import pytest

from tests.deploy.rendered import OVERLAYS, pods, render, with_component
from tests.deploy.selecting import may_leave, may_talk

ALL = pytest.mark.parametrize("overlay", OVERLAYS)
HEAD, WORKER, SUBMITTER, MLFLOW, DATABASE = "ray-head", "ray-worker", "submitter", "mlflow", "postgresql"
DRIVER, REDIS = "ray-driver", "redis"
STRANGER = "somebody-elses"
ALLOWED = [
    (HEAD, WORKER, 30001),
    (WORKER, HEAD, 6379),
    (WORKER, WORKER, 45123),
    (SUBMITTER, HEAD, 8265),
    (HEAD, MLFLOW, 5000),
    (MLFLOW, DATABASE, 5432),
]
DENIED = [
    (WORKER, MLFLOW, 5000),  # workers hand their metrics to the tracker
    (WORKER, DATABASE, 5432),
    (HEAD, DATABASE, 5432),
    (SUBMITTER, HEAD, 6379),
    (SUBMITTER, MLFLOW, 5000),
    (MLFLOW, HEAD, 8265),
    (DATABASE, MLFLOW, 5000),
    *((STRANGER, target, port) for target, port in ((HEAD, 8265), (HEAD, 6379), (HEAD, 10001), (MLFLOW, 5000), (DATABASE, 5432))),
]


def labels(component, overlay="gpu"):
    ours = {pod.component: pod.labels for pod in pods(render(overlay))}
    return ours.get(component, {"app.kubernetes.io/component": component})


@ALL
def test_what_a_sweep_needs_is_allowed_and_nothing_else(overlay):
    objects = render(overlay)
    ways = [(labels(source), labels(target), port) for source, target, port in ALLOWED]
    assert [way for way in ways if not may_talk(objects, *way)] == []
    ways = [(labels(source), labels(target), port) for source, target, port in DENIED]
    assert [way for way in ways if may_talk(objects, *way)] == []


def test_heads_alone_reach_redis_and_of_ray_the_drivers_alone_mlflow():
    objects = render("spot")
    for port, target, sources in ((6379, REDIS, {HEAD}), (5000, MLFLOW, {DRIVER})):
        reaching = {pod.component for pod in pods(objects) if may_talk(objects, pod.labels, labels(target, "spot"), port)}
        assert reaching == sources
    assert not may_talk(objects, labels(STRANGER), labels(REDIS, "spot"), 6379)
    for other in (HEAD, WORKER):
        pair = labels(DRIVER, "spot"), labels(other, "spot")
        assert may_talk(objects, *pair, 45123)
        assert may_talk(objects, *reversed(pair), 45123)


@ALL
def test_the_dashboard_answers_the_operator_and_pods_with_its_label_alone(overlay):
    objects = render(overlay)
    head, client = labels(HEAD), {"speech-orchestrator/dashboard": "allowed"}
    operators = ({"app.kubernetes.io/name": "kuberay-operator"}, {"app.kubernetes.io/component": "kuberay-operator"})
    for operator in operators:
        assert may_talk(objects, operator, head, 8265, namespace="kuberay-system")
        assert not may_talk(objects, operator, labels(MLFLOW), 5000, namespace="kuberay-system")
    assert may_talk(objects, client, head, 8265)
    assert not may_talk(objects, client, head, 8265, namespace="elsewhere")
    assert not may_talk(objects, labels(STRANGER), head, 8265, namespace="kuberay-system")


@ALL
def test_nothing_leaves_the_cluster(overlay):
    objects = render(overlay)
    for pod in pods(objects):
        for port in (22, 80, 443, 6443):
            assert not may_leave(objects, pod.labels, "93.184.216.34", port), pod.owner
        assert not may_leave(objects, pod.labels, "169.254.169.254", 80), pod.owner


@ALL
def test_the_head_alone_reaches_the_api_server(overlay):
    objects = render(overlay)
    reaching = {pod.component for pod in pods(objects) if may_leave(objects, pod.labels, "10.96.0.1", 443)}
    assert reaching == {"ray-head"}


@ALL
def test_every_pod_finds_names(overlay):
    objects = render(overlay)
    for pod in pods(objects):
        assert may_leave(objects, pod.labels, "169.254.20.10", 53), pod.owner


def test_a_store_in_a_bucket_lets_rays_pods_alone_out_and_by_https_alone():
    objects = with_component("object-store")
    out = {pod.component for pod in pods(objects) if may_leave(objects, pod.labels, "52.218.0.1", 443)}
    assert out == {"ray-head", "ray-worker"}
    assert not may_leave(objects, labels(WORKER), "52.218.0.1", 80)
    assert not may_leave(objects, labels(WORKER), "169.254.169.254", 443)
