"""Every pod is confined, sized and without secrets in clear; and each fault that is planted is found."""

import copy

import pytest

from tests.deploy.policies import pod_faults, quantity, strings
from tests.deploy.rendered import OVERLAYS, named, pods, render, with_component

ALL = pytest.mark.parametrize("overlay", OVERLAYS)


@ALL
def test_every_pod_is_confined_and_sized_and_holds_no_secret(overlay):
    found = list(pods(render(overlay)))
    assert {pod.component for pod in found} >= {"ray-head", "ray-worker", "mlflow", "postgresql"}
    assert not [fault for pod in found for fault in pod_faults(pod)]


def test_so_does_every_pod_with_a_store_in_a_bucket():
    assert not [fault for pod in pods(with_component("object-store")) for fault in pod_faults(pod)]


PLANTED = {
    "no fixed version": lambda pod, container: container.update(image="speech-orchestrator:latest"),
    "speech-orchestrator has no fixed version": lambda pod, container: container.update(image="registry:5000/speech-orchestrator"),
    "may run as root": lambda pod, container: pod["securityContext"].pop("runAsNonRoot"),
    "no seccomp profile": lambda pod, container: pod["securityContext"].pop("seccompProfile"),
    "hostNetwork": lambda pod, container: pod.update(hostNetwork=True),
    "default account": lambda pod, container: pod.pop("serviceAccountName"),
    "whether it needs the API server": lambda pod, container: pod.pop("automountServiceAccountToken"),
    "holds a token": lambda pod, container: pod.update(automountServiceAccountToken=True),
    "Services' addresses": lambda pod, container: pod.pop("enableServiceLinks"),
    "folder of the node": lambda pod, container: pod["volumes"].append({"name": "host", "hostPath": {"path": "/"}}),
    "is privileged": lambda pod, container: container["securityContext"].update(privileged=True),
    "may gain privileges": lambda pod, container: container["securityContext"].pop("allowPrivilegeEscalation"),
    "may write to its image": lambda pod, container: container["securityContext"].pop("readOnlyRootFilesystem"),
    "has capabilities": lambda pod, container: container["securityContext"].update(
        capabilities={"drop": ["ALL"], "add": ["NET_RAW"]}
    ),
    "no limits of memory": lambda pod, container: container["resources"]["limits"].pop("memory"),
    "no requests of cpu": lambda pod, container: container["resources"]["requests"].pop("cpu"),
    "more memory than it may have": lambda pod, container: container["resources"]["requests"].update(memory="1Ti"),
    "written in clear": lambda pod, container: container.update(env=[{"name": "AWS_SECRET_ACCESS_KEY", "value": "x"}]),
    "address holds a password": lambda pod, container: container.update(
        args=["--uri=postgresql://mlflow:secret@postgresql/mlflow"]
    ),
    "has no limit": lambda pod, container: pod["volumes"].append({"name": "more", "emptyDir": {}}),
    "more disk than the pod": lambda pod, container: pod["volumes"].append({"name": "more", "emptyDir": {"sizeLimit": "1Ti"}}),
    "corpora may be written to": lambda pod, container: _claim(pod).pop("readOnly"),
    "corpora are mounted writable": lambda pod, container: _mount(container).pop("readOnly"),
}


def _claim(pod):
    return next(volume for volume in pod["volumes"] if volume["name"] == "corpora")["persistentVolumeClaim"]


def _mount(container):
    return next(mount for mount in container["volumeMounts"] if mount["name"] == "corpora")


@pytest.mark.parametrize(("words", "plant"), PLANTED.items(), ids=PLANTED)
def test_a_planted_fault_of_a_pod_is_found(words, plant):
    worker = next(pod for pod in pods(render("gpu")) if pod.component == "ray-worker")
    plant(worker.spec, worker.spec["containers"][0])
    assert any(words in fault for fault in pod_faults(worker)), pod_faults(worker)


def test_a_server_without_probes_is_found():
    server = copy.deepcopy(next(pod for pod in pods(render("gpu")) if pod.component == "mlflow"))
    del server.spec["containers"][0]["readinessProbe"]
    assert any("readinessProbe" in fault for fault in pod_faults(server))


@ALL
def test_no_secret_is_rendered_at_all(overlay):
    assert not [each for each in render(overlay) if each["kind"] == "Secret"]


@ALL
def test_what_the_operator_adds_to_the_heads_pod_is_confined_too(overlay):
    for each in render(overlay):
        if each["kind"] not in ("RayJob", "RayCluster"):
            continue
        spec = each["spec"].get("rayClusterSpec", each["spec"])
        if spec["enableInTreeAutoscaling"]:
            head = spec["headGroupSpec"]["template"]["spec"]
            assert spec["autoscalerOptions"]["securityContext"] == head["containers"][0]["securityContext"]
            assert {"name": "tmp", "mountPath": "/tmp"} in spec["autoscalerOptions"]["volumeMounts"]
            # KubeRay looks for a volume of this name, and would else give the autoscaler one that the head does not see.
            assert {"name": "ray-logs", "mountPath": "/tmp/ray"} in head["containers"][0]["volumeMounts"]


@ALL
def test_every_cache_is_on_a_volume_and_the_nodes_cache_fits_there(overlay):
    objects = render(overlay)
    environment = named(objects, "ConfigMap")["data"]
    places = [value for value in environment.values() if value.startswith("/")]
    assert environment["TMPDIR"] in places
    for pod in (pod for pod in pods(objects) if pod.is_ray):
        mounts = pod.spec["containers"][0]["volumeMounts"]
        assert all(
            any(place == mount["mountPath"] or place.startswith(mount["mountPath"] + "/") for mount in mounts) for place in places
        )
        scratch = next(volume for volume in pod.spec["volumes"] if volume["name"] == "scratch")["emptyDir"]["sizeLimit"]
        assert quantity(environment["ORCHESTRATOR_CACHE_GIB"] + "Gi") < quantity(scratch)


@ALL
def test_only_what_the_registry_holds_is_named_and_in_one_version(overlay):
    images = {container["image"] for pod in pods(render(overlay)) for container in pod.containers}
    names = {"speech-orchestrator", "postgres"} | ({"redis"} if overlay == "spot" else set())
    assert sorted(image.partition(":")[0] for image in images) == sorted(names)


@ALL
def test_nothing_but_the_registry_of_images_is_left_to_fill_in(overlay):
    texts = " ".join(strings(render(overlay)))
    assert not [word for word in ("TODO", "CHANGEME", "changeme", "example.org") if word in texts]
