"""What a launch asks: one command is one RayJob, whatever way it is written, and its faults are told together."""

import re
import shlex

import pytest
import typer

from orchestrator import launch, submit, sweep
from orchestrator.checks import Options
from orchestrator.deployment.order import Order, entrypoint, job_name, order_faults
from orchestrator.submission.request import read_request
from search_spaces.study import study_names


def request(*arguments, study="reclr_lambda"):
    return read_request(launch.command().make_context("launch", [study, *arguments]))


def name(*arguments):
    return job_name("reclr_lambda", request(*arguments))


@pytest.mark.parametrize(
    "same",
    [
        ["--seeds=3", "--controls"],
        ["--controls", "--seeds", "3", "--scale", "demo"],  # what is the default anyway
        ["--controls", "--seeds", "3", "--store", "/store", "--results=/results"],
        ["--controls", "--seeds", "3", "--overlay", "gpu", "--namespace", "x", "--context", "y", "--replicas", "3"],
        ["--controls", "--seeds", "3", "--image", "a:1", "--detach"],
        ["--controls", "--seeds", "3", "--stop"],
        ["--controls", "--seeds", "3", "--dry-run"],
    ],
)
def test_the_same_command_is_the_same_job_however_it_is_written(same):
    assert name(*same) == name("--seeds", "3", "--controls")


@pytest.mark.parametrize("other", [["--seeds", "4"], ["--workers", "2"], ["--store", "s3://b/s"], ["--redo", "retry"]])
def test_another_command_is_another_job(other):
    assert name(*other) != name()


@pytest.mark.parametrize("study", study_names())
def test_every_study_has_a_name_that_kuberay_takes(study):
    found = job_name(study, request(study=study))
    assert re.fullmatch(r"[a-z]([-a-z0-9]*[a-z0-9])?", found)
    assert len(found) <= 47
    assert found.startswith(study.replace("_", "-")[:20])


def test_a_name_that_is_too_long_keeps_what_tells_commands_apart():
    names = {job_name("a_" * 40, request("--seeds", seeds)) for seeds in "34"}
    assert len(names) == 2
    assert all(len(each) <= 47 and "--" not in each for each in names)


def test_the_head_gets_the_command_as_it_was_meant_on_the_volumes_of_the_pods():
    words = shlex.split(entrypoint(request("--workers=4", "--corpora", "/corpora/my corpora.toml", "--overlay=gpu", "--dry-run")))
    assert words[:4] == ["python", "-m", "orchestrator.sweep", "reclr_lambda"]
    arrived = typer.main.get_command(sweep.app).make_context("sweep", words[3:]).params
    expected = {"store": "/store", "address": "auto", "workers": 4, "corpora": "/corpora/my corpora.toml", "dry_run": False}
    assert {option: arrived[option] for option in expected} == expected
    assert str(arrived["results"]) == "/results"


def test_a_store_of_ones_own_takes_the_place_of_the_volume():
    words = shlex.split(entrypoint(request("--store", "s3://bucket/store")))
    assert "--store=s3://bucket/store" in words
    assert "/store" not in words


def test_the_options_are_those_of_the_sweep():
    own, theirs = ({each.name for each in command().params} for command in (launch.command, submit.command))
    assert theirs - own == {"dry_run"}  # of the same spelling, which prints YAML here


def test_all_faults_of_a_command_are_told_together():
    asked = request("--corpora", "corpora.toml", "--results", "out", "--store", "s3://me:hush@bucket/store")
    order = Order(namespace="Speech!", image="speech", detach=True, stop=True, print_only=True)
    message = "\n".join(order_faults(Options("reclr_lambda", address="auto", local=True), asked, order))
    parts = ("/corpora/corpora.toml", "such as /results", "--local", "--address auto", "--namespace Speech!", "--image speech")
    for part in (*parts, "--detach", "--dry-run", "--store holds a password"):
        assert part in message, message
    assert "hush" not in message


@pytest.mark.parametrize("image", ["speech:1", "host:5000/a/speech:1.2", "host/speech@sha256:ab", "host:5000/speech:1@sha256:ab"])
def test_an_image_of_a_version_is_taken(image):
    assert order_faults(Options("reclr_lambda"), request(), Order(image=image)) == []


@pytest.mark.parametrize("image", ["speech", "host:5000/speech", "speech:latest", ":1"])
def test_an_image_that_may_be_another_one_tomorrow_is_refused(image):
    assert "--image" in order_faults(Options("reclr_lambda"), request(), Order(image=image))[0]
