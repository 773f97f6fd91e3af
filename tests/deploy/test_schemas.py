"""Every object of every overlay is one that the API server takes, and drops nothing of."""

import kubernetes_validate
import pytest
import yaml

from tests.deploy.kuberay_schema import schema_faults, with_defaults
from tests.deploy.rendered import EXAMPLES, OVERLAYS, named, pods, render, with_component

VERSIONS = ("1.30", "1.34")
"""Oldest and newest release that the manifests are meant for."""


def builtin_faults(document, version):
    try:
        kubernetes_validate.validate(document, version, strict=True)
    except kubernetes_validate.ValidationError as fault:
        return [f"{document['kind']} {document['metadata']['name']}: {fault.message}"]
    return []


def is_ray(document):
    return document["apiVersion"] == "ray.io/v1"


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_built_in_object_keeps_to_kubernetes_schema(overlay, version):
    faults = [fault for each in render(overlay) if not is_ray(each) for fault in builtin_faults(each, version)]
    assert not faults


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_kuberay_object_keeps_to_its_definition(overlay):
    objects = [each for each in render(overlay) if is_ray(each)]
    assert objects
    assert not [fault for each in objects for fault in schema_faults(each)]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_pod_inside_a_kuberay_object_keeps_to_kubernetes_schema(overlay):
    # The definitions hold no enumerations of a pod's fields: a wrong restartPolicy would pass them.
    for pod in pods(render(overlay)):
        document = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod", **pod.metadata}, "spec": pod.spec}
        assert not builtin_faults(document, VERSIONS[-1]), pod.owner


def test_the_components_outside_of_overlays_and_the_examples_keep_to_kubernetes_schema():
    examples = [document for file in EXAMPLES for document in yaml.safe_load_all(file.read_text())]
    objects = [each for each in with_component("object-store") if not is_ray(each)]
    assert examples
    assert not [fault for each in [*examples, *objects] for fault in builtin_faults(each, VERSIONS[-1])]


def test_an_unknown_field_of_a_built_in_object_is_found():
    deployment = named(render("gpu"), "Deployment")
    deployment["spec"]["template"]["spec"]["containers"][0]["resource"] = {}
    assert builtin_faults(deployment, VERSIONS[-1])


PLANTED = {
    "a field that is no RayJob's": lambda spec: spec.update(shutdownAfterJobFinish=True),
    "a field that is no cluster's": lambda spec: spec["rayClusterSpec"].update(enableAutoscaling=True),
    "a field that is no group's": lambda spec: spec["rayClusterSpec"]["workerGroupSpecs"][0].update(maxReplica=3),
    "a field that is no container's": lambda spec: spec["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]["containers"][
        0
    ].update(resource={}),
    "a number that is a string": lambda spec: spec.update(backoffLimit="3"),
    "a parameter that is no string": lambda spec: spec["rayClusterSpec"]["headGroupSpec"]["rayStartParams"].update({"num-cpus": 0}),
    "a mode that is none": lambda spec: spec["rayClusterSpec"]["authOptions"].update(mode="tokens"),
    "a required field that is missing": lambda spec: spec["rayClusterSpec"].pop("headGroupSpec"),
    "a quantity that is none": lambda spec: spec["rayClusterSpec"]["autoscalerOptions"]["resources"]["limits"].update(cpu="many"),
}


@pytest.mark.parametrize("plant", PLANTED.values(), ids=PLANTED)
def test_what_is_planted_in_a_rayjob_is_found(plant):
    job = named(render("gpu"), "RayJob")
    plant(job["spec"])
    assert schema_faults(job)


def test_a_required_field_with_a_default_may_be_left_out():
    job = named(render("gpu"), "RayJob")
    del job["spec"]["rayClusterSpec"]["workerGroupSpecs"][0]["minReplicas"]
    assert not schema_faults(job)


def test_defaults_are_set_where_nothing_is_given():
    schema = {"properties": {"parts": {"items": {"properties": {"number": {"default": 0}}}}}}
    assert with_defaults({"parts": [{}, {"number": 2}]}, schema) == {"parts": [{"number": 0}, {"number": 2}]}
