"""The rules of KubeRay's operator, which no schema holds: our manifests keep them, and each one that is broken is told."""

import pytest

from orchestrator.deployment.rules import LONGEST_JOB_NAME, rule_faults
from tests.deploy.rendered import OVERLAYS, named, render


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_kuberay_object_keeps_to_the_operators_rules(overlay):
    assert not [fault for each in render(overlay) for fault in rule_faults(each)]


def head(job):
    return job["spec"]["rayClusterSpec"]["headGroupSpec"]


def group(job):
    return job["spec"]["rayClusterSpec"]["workerGroupSpecs"][0]


def cluster(job):
    return job["spec"]["rayClusterSpec"]


def head_variable(job, name, value):
    head(job)["template"]["spec"]["containers"][0]["env"] = [{"name": name, "value": value}]


BROKEN = {
    "has 48 letters": lambda job: job["metadata"].update(name="a" * (LONGEST_JOB_NAME + 1)),
    "begins with a letter": lambda job: job["metadata"].update(name="1sweep"),
    "ends with no dash": lambda job: job["metadata"].update(name="sweep-"),
    "suspend needs shutdownAfterJobFinishes": lambda job: job["spec"].update(shutdownAfterJobFinishes=False),
    "ttlSecondsAfterFinished needs": lambda job: job["spec"].update(shutdownAfterJobFinishes=False, suspend=False),
    "one of rayClusterSpec and clusterSelector": lambda job: job["spec"].pop("rayClusterSpec"),
    "suspend and clusterSelector": lambda job: job["spec"].update(clusterSelector={"ray.io/cluster": "speech"}),
    "backoffLimit and clusterSelector": lambda job: job["spec"].update(clusterSelector={"ray.io/cluster": "speech"}),
    "backoffLimit and InteractiveMode": lambda job: job["spec"].update(submissionMode="InteractiveMode"),
    "backoffLimit must not be negative": lambda job: job["spec"].update(backoffLimit=-1),
    "activeDeadlineSeconds must be above 0": lambda job: job["spec"].update(activeDeadlineSeconds=0),
    "deletionRules and shutdownAfterJobFinishes": lambda job: job["spec"].update(deletionStrategy={"deletionRules": [{}]}),
    "SideCarMode is none of": lambda job: job["spec"].update(submissionMode="SideCarMode"),
    "SidecarMode allows no submitterPodTemplate": lambda job: job["spec"].update(submissionMode="SidecarMode"),
    "SidecarMode allows no submitterConfig": lambda job: job["spec"].update(submissionMode="SidecarMode"),
    "SidecarMode needs restartPolicy": lambda job: (
        job["spec"].update(submissionMode="SidecarMode"),
        head(job)["template"]["spec"].update(restartPolicy="Always"),
    ),
    "enableK8sTokenAuth is not for a RayJob": lambda job: cluster(job)["authOptions"].update(enableK8sTokenAuth=True),
    "token needs rayVersion": lambda job: cluster(job).pop("rayVersion"),
    "at least 2.52.0": lambda job: cluster(job).update(rayVersion="2.51.1"),
    "has no container": lambda job: group(job)["template"]["spec"].update(containers=[]),
    "`resources` and in rayStartParams": lambda job: head(job)["rayStartParams"].update({"num-cpus": "0"}),
    "rayStartParams.labels": lambda job: head(job)["rayStartParams"].update(labels="a=b"),
    "by whose own value": lambda job: head(job)["template"]["metadata"]["labels"].update({"app.kubernetes.io/name": "speech"}),
    "minReplicas 9 is above": lambda job: group(job).update(minReplicas=9),
    "must not be negative": lambda job: group(job).update(minReplicas=-1),
    "nothing scales it": lambda job: (cluster(job).update(enableInTreeAutoscaling=False), group(job).pop("maxReplicas")),
    "idleTimeoutSeconds needs": lambda job: (
        group(job).update(idleTimeoutSeconds=5),
        cluster(job)["autoscalerOptions"].update(version="v1"),
    ),
    "priority needs": lambda job: (group(job).update(priority=1), cluster(job).update(rayVersion="2.55.0")),
    "autoscaler v2 needs restartPolicy": lambda job: group(job)["template"]["spec"].update(restartPolicy="OnFailure"),
    "suspend and enableInTreeAutoscaling": lambda job: group(job).update(suspend=True),
    "version and RAY_enable_autoscaler_v2": lambda job: head_variable(job, "RAY_enable_autoscaler_v2", "1"),
    "RAY_enable_autoscaler_v2 needs": lambda job: (
        head_variable(job, "RAY_enable_autoscaler_v2", "1"),
        cluster(job).update(enableInTreeAutoscaling=False),
    ),
    "RAY_REDIS_ADDRESS needs": lambda job: head_variable(job, "RAY_REDIS_ADDRESS", "redis:6379"),
    "REDIS_PASSWORD is set beside": lambda job: (
        head_variable(job, "REDIS_PASSWORD", "x"),
        cluster(job).update(gcsFaultToleranceOptions={"redisAddress": "redis:6379"}),
    ),
    "redis-password is set beside": lambda job: (
        head(job)["rayStartParams"].update({"redis-password": "x"}),
        cluster(job).update(gcsFaultToleranceOptions={"redisAddress": "redis:6379"}),
    ),
}


@pytest.mark.parametrize(("words", "break_rule"), BROKEN.items(), ids=BROKEN)
def test_a_broken_rule_is_told(words, break_rule):
    job = named(render("gpu"), "RayJob")
    break_rule(job)
    faults = rule_faults(job)
    assert any(words in fault for fault in faults), faults


def test_a_cluster_of_its_own_may_have_a_longer_name_than_a_job():
    document = named(render("cluster"), "RayCluster")
    document["metadata"]["name"] = "a" * (LONGEST_JOB_NAME + 6)
    assert not rule_faults(document)
    document["metadata"]["name"] += "a"
    assert rule_faults(document)


def test_objects_of_other_kinds_have_no_such_rules():
    assert rule_faults(named(render("gpu"), "Deployment")) == []
