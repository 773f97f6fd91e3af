"""Following a RayJob: its log once, what its pods wait for, and on through lost connections."""

import json

import pytest

from orchestrator.deployment.following import Follower, waiting_reasons
from orchestrator.deployment.kubectl import Kubectl, Missing, Refused, Taken, Unreachable, refusal
from tests.orchestrator.deployment.conftest import job
from trainables.errors import UserError

DONE = job("Complete", "SUCCEEDED")


@pytest.fixture
def followed():
    written, told = [], []

    def follow():
        follower = Follower(Kubectl(), "speech", "x", written.append, told.append, lambda kubectl, job: "way", pause=0.0)
        return follower.follow(), "".join(written), told

    return follow


def test_each_line_of_the_log_is_written_once_over_several_connections(followed, cluster):
    first = "2026-01-01T00:00:01.5Z one\n2026-01-01T00:00:01.50001Z two\n"
    cluster.answer("get rayjob ", job(), job(), DONE)
    cluster.answer("^logs", first, first + "2026-01-01T00:00:02Z three\n", "2026-01-01T00:00:02Z three\n")
    assert followed()[1] == "one\ntwo\nthree\n"
    assert "--since-time=2026-01-01T00:00:01Z" in cluster.calls("logs")[1]


def test_a_lost_connection_is_told_once_and_made_again(followed, cluster):
    lost = (1, "Unable to connect to the server: dial tcp 10.0.0.1:443: i/o timeout")
    cluster.answer("get rayjob ", job(), lost, lost, DONE)
    cluster.answer("^logs", "")
    told = "\n".join(followed()[2])
    assert (told.count("the connection is lost"), told.count("connected again")) == (1, 1)


def test_a_job_that_is_gone_is_told_with_the_way_on(followed, cluster):
    cluster.answer("get rayjob ", job(), (1, 'Error from server (NotFound): rayjobs.ray.io "x" not found'))
    cluster.answer("^logs", "")
    with pytest.raises(UserError, match="the same command launches it again"):
        followed()


def test_what_pods_wait_for_is_told_once(followed, cluster):
    pods = [{"status": {"containerStatuses": [{"state": {"waiting": {"reason": "ImagePullBackOff", "message": "no a:1"}}}]}}] * 2
    cluster.answer("get pods", json.dumps({"items": pods}))
    cluster.answer("get rayjob ", job("Initializing", ""), job("Initializing", ""), DONE)
    cluster.answer("^logs", "")
    assert followed()[2].count("2 pods wait: ImagePullBackOff: no a:1") == 1


def test_pods_that_start_as_usual_wait_for_nothing():
    starting = {"status": {"containerStatuses": [{"state": {"waiting": {"reason": "ContainerCreating"}}}]}}
    placeless = {
        "status": {"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "no GPU"}]}
    }
    assert waiting_reasons([starting, placeless, {}]) == ["1 pod waits: Unschedulable: no GPU"]


def test_a_job_without_a_submitter_has_no_log_to_follow(followed, cluster):
    spec = json.loads(job())
    spec["spec"]["submissionMode"] = "HTTPMode"
    cluster.answer("get rayjob ", json.dumps(spec), DONE)
    cluster.answer("^logs", "")
    followed()
    assert ["--follow=true" in call for call in cluster.calls("logs")] == [False]


@pytest.mark.parametrize(
    ("error", "kind", "told"),
    [
        ('Error from server (NotFound): rayjobs.ray.io "x" not found', Missing, 'rayjobs.ray.io "x" not found'),
        ('Error from server (AlreadyExists): rayjobs.ray.io "x" already exists', Taken, "already exists"),
        ('error: resource mapping not found: no matches for kind "RayJob" in version "ray.io/v1"', Refused, "KubeRay's operator"),
        ('error: Apply failed with 1 conflict: conflict with "helm"', Refused, "Somebody else manages"),
        ('Error from server: admission webhook "x" denied the request: no', Refused, "denied the request"),
        ("Unable to connect to the server: EOF", Unreachable, "Unable to connect"),
        (
            "E1122 10:58:48 7876 memcache.go:265] noise\nThe connection to the server x was refused - did you",
            Unreachable,
            ": The conn",
        ),
        ("", Refused, "no reason was given"),
    ],
)
def test_every_refusal_is_told_in_words(error, kind, told):
    found = refusal(("apply",), error)
    assert type(found) is kind
    assert told in str(found)
