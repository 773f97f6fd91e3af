"""A submission: one command is one job, its faults are told before anything is sent, which suffices and holds no secret."""

import io
import json
import os
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import typer
from rich.console import Console

from orchestrator import submit, sweep
from orchestrator.checks import Options
from orchestrator.execution.environment import WORKER_ENVIRONMENT
from orchestrator.execution.per_stage import read_per_stage
from orchestrator.execution.resources import ResourceRequest
from orchestrator.submission import checkout
from orchestrator.submission.places import check_places, mark
from orchestrator.submission.request import Submission, read_request, variables
from orchestrator.submitting import check_command, is_jobs_api
from trainables.errors import UserError

ROOT = Path(__file__).parents[2]


def request(*arguments, command=None):
    return read_request((command or submit.command()).make_context("submit", ["reclr_lambda", *arguments]))


def job(*arguments, **options):
    return request(*arguments, **options).job("reclr_lambda")


@pytest.mark.parametrize(
    "same",
    [
        ["--seeds=3", "--controls"],
        ["--controls", "--seeds", "3"],
        ["--controls", "--seeds", "3", "--scale", "demo", "--redo", "cached"],  # what is the default anyway
        ["--controls", "--seeds", "3", "--results", os.path.abspath("results")],
        ["--controls", "--seeds", "3", "--address", "https://head", "--image", "--detach"],  # how the cluster is reached
        ["--controls", "--seeds", "3", "--stop"],
    ],
)
def test_the_same_command_is_the_same_job_however_it_is_written(same):
    assert job(*same) == job("--seeds", "3", "--controls")


def test_sweep_and_submit_mean_the_same_job():
    assert job("--seeds", "3", command=typer.main.get_command(sweep.app)) == job("--seeds", "3")


@pytest.mark.parametrize(
    "other",
    [["--seeds", "4"], ["--curve"], ["--redo", "retry"], ["--results", "/x"], ["--search-seed", "1"], ["--per-stage", "A.cpus=2"]],
)
def test_another_command_is_another_job(other):
    assert job(*other) != job()


def test_the_cluster_gets_the_command_as_it_was_meant_with_absolute_paths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    asked = request("--results", "a folder", "--store", "s3://bucket/$x", "--gpus-per-worker", "0", "--workers=2", "--image")
    shell, *words = shlex.split(asked.entrypoint(["--results=/a=b"]))
    assert (shell, words[:3], json.loads(words[3])) == ("exec", ["python", "-m", "orchestrator.submitted"], ["--results=/a=b"])
    arrived = typer.main.get_command(sweep.app).make_context("sweep", words[4:]).params
    expected = {
        "study": "reclr_lambda",
        "results": tmp_path / "a folder",
        "store": "s3://bucket/$x",
        "gpus_per_worker": 0.0,
        "workers": 2,
    }
    assert {name: arrived[name] for name in expected} == expected
    assert not arrived["curve"]


def check(options, *arguments, asked=None):
    check_command(options, request(*arguments), asked or Submission())


def test_all_faults_of_a_command_are_told_together_and_before_anything_is_sent(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://me:hush@tracking")
    wrong = {"scale": "dem", "protocol": "daic-oficial", "local": True, "disk_budget": "lots"}
    options = Options("reclr_lambda", address="https://you:hush@head", **wrong)
    with pytest.raises(UserError) as caught:
        check(options, "--store", "s3://key:hush@bucket", "--corpora", "none.toml", asked=Submission(stop=True, detach=True))
    message = str(caught.value)
    parts = ("'demo'", "daic-official", "lots", "--local", "--address holds a password", "MLFLOW_TRACKING_URI holds a password")
    for part in (*parts, "--store holds a password", "none.toml is no file", "--stop"):
        assert part in message, message
    assert "hush" not in message


def test_a_misspelt_stage_is_refused_here_with_the_nearest():
    resources = ResourceRequest(1, 1, None, *read_per_stage(["ContrastivPretraining.workers=2"]))
    with pytest.raises(UserError, match="'ContrastivePretraining'"):
        check(Options("reclr_lambda", request=resources))


def test_what_no_cluster_could_do_is_refused_here():
    with pytest.raises(UserError, match="cannot be divided among 3 workers"):
        check(Options("reclr_lambda", request=ResourceRequest(3, 1, None)))


def test_an_address_of_the_jobs_api_makes_a_sweep_a_submission():
    assert is_jobs_api("https://head:8265")
    assert is_jobs_api("http://10.0.0.1:8265")
    assert not any(map(is_jobs_api, (None, "auto", "10.0.0.1:6379")))


def test_nobody_at_the_address_is_told_in_words_and_nothing_is_left(tmp_path):
    command = [sys.executable, "-m", "orchestrator.sweep", "reclr_lambda", "--address", "http://127.0.0.1:1"]
    done = subprocess.run([*command, "--results", str(tmp_path / "results")], capture_output=True, text=True, timeout=120)
    assert (done.returncode, "Traceback" in done.stderr) == (2, False), done.stderr
    assert "nobody answers" in done.stderr
    assert not (tmp_path / "results").exists()


def test_a_relative_path_is_taken_only_where_the_same_place_is_seen(tmp_path):
    (tmp_path / "corpora.toml").write_text('mdd = "demo"\n')
    here = {"--results": tmp_path / "new" / "results", "--corpora": tmp_path / "corpora.toml"}
    places = mark(here)
    check_places(places)
    assert mark(here) == places
    (tmp_path / "corpora.toml").write_text('mosei = "demo"\n')
    (tmp_path / "new").rename(tmp_path / "old")
    (tmp_path / "new" / "results").mkdir(parents=True)  # of the same name, on another machine
    with pytest.raises(UserError, match=r"(?s)--results .*new/results.*--corpora .*corpora\.toml"):
        check_places(places)


def test_a_job_that_sees_another_place_ends_as_a_faulty_sweep_does(tmp_path):
    places = json.dumps([f"--results={tmp_path}=.place-of-another-machine"])
    command = [sys.executable, "-m", "orchestrator.submitted", places, "reclr_lambda", "--results", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (done.returncode, "absolute path of the cluster" in done.stderr) == (2, True), done.stderr


def test_a_folder_that_cannot_be_written_to_is_told_in_words():
    with pytest.raises(UserError, match=r"--results .*give a folder"):
        mark({"--results": Path(os.devnull) / "results"})


def test_no_secret_is_sent_and_what_is_sent_does_not_collide_with_what_the_sweep_sets(monkeypatch, tmp_path):
    secrets = ("RAY_AUTH_TOKEN", "AWS_SECRET_ACCESS_KEY", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN", "RAY_JOB_HEADERS")
    for name in secrets:
        monkeypatch.setenv(name, "hush")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://tracking")
    asked, sent = request("--results", str(tmp_path)), variables()
    assert "hush" not in json.dumps([sent, asked.entrypoint([]), asked.command(), asked.job("reclr_lambda")])
    assert sent["MLFLOW_TRACKING_URI"] == "https://tracking"
    assert not sent.keys() & WORKER_ENVIRONMENT.keys()  # Ray refuses a job whose driver sets a variable of the job's anew


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("packed")
    return folder, checkout.pack(folder)


def test_what_is_sent_runs_by_itself_and_is_no_more_than_needed(packed, tmp_path):
    folder = packed[0]
    script = "import orchestrator.provenance as p; print(p.__file__); print(p.git_commit(), p.dirty_files())\n"
    script += "import orchestrator.sweep as s; s.app()"
    (folder / "sent.json").write_text('{"commit": "c0ffee", "dirty": ["trainables/stage.py"]}')
    command = [sys.executable, "-c", script, "reclr_lambda", "--dry-run", "--results", str(tmp_path / "results")]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=120, env=os.environ | {"PYTHONPATH": str(folder)}
    )
    assert done.stdout.startswith(f"{folder}/orchestrator/provenance.py\nc0ffee ('trainables/stage.py',)\n"), (
        done.stdout + done.stderr
    )
    assert "24 trials" in done.stdout
    kinds = {file.suffix for file in folder.rglob("*") if file.is_file() and "__pycache__" not in file.parts}
    assert kinds == {".py", ".txt", ".json"}
    assert sum(file.stat().st_size for file in folder.rglob("*.py")) < 10 * 2**20  # Ray takes 100 MiB


def test_the_runtime_environment_installs_what_the_project_needs_at_the_pinned_versions_with_the_clusters_own_ray(packed):
    from ray.runtime_env import RuntimeEnv

    folder, environment = packed
    *packages, constraint = RuntimeEnv(**environment)["pip"]["packages"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert set(project["dependencies"]) <= set(packages)
    assert not {"pytest", "ruff"} & {line.split(">")[0] for line in packages}
    name = constraint.removeprefix("-c ${RAY_RUNTIME_ENV_CREATE_WORKING_DIR}/")
    pins, sent = (ROOT / "deploy/constraints.txt").read_text().splitlines(), (folder / name).read_text().splitlines()
    assert [line for line in pins if line not in sent] == [line for line in pins if line.startswith("ray==")] != []


def test_other_pins_are_another_installation(tmp_path, monkeypatch):
    def constraint(pins):
        root = tmp_path / str(len(pins))
        for package in ("orchestrator", "search_spaces", "trainables", "deploy"):
            (root / package).mkdir(parents=True)
        (root / "deploy/constraints.txt").write_text(pins)
        (root / "pyproject.toml").write_text("[project]\ndependencies = []\noptional-dependencies = {}\n")
        monkeypatch.setattr(checkout, "_ROOT", root)
        (root / "sent").mkdir()
        return checkout.pack(root / "sent")["pip"]["packages"][-1]

    assert constraint("numpy==2.4\n") != constraint("numpy==2.4.1\n")


def test_without_a_checkout_there_is_nothing_to_send_and_that_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(checkout, "_ROOT", tmp_path)
    with pytest.raises(UserError, match="--image"):
        checkout.pack(tmp_path)


def test_a_cluster_with_another_ray_is_refused_before_anything_is_sent(tmp_path):
    from orchestrator.submitting import _Submitter

    class Old:
        address = "http://head"

        def all(self):
            return []

        def ray_version(self):
            return "2.40.0"

    submitter = _Submitter(
        Old(), Options("reclr_lambda"), request("--results", str(tmp_path)), Submission(), Console(file=io.StringIO())
    )
    with pytest.raises(UserError, match=r"Ray 2\.40\.0"):
        submitter.run()
