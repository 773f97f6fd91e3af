"""Where a result comes from: a digest of code that moves with what the stage uses and with nothing else, and what it was given."""

import shutil
import subprocess
from pathlib import Path

import pytest
import torch

import trainables
from orchestrator import provenance
from orchestrator.execution.job import StageJob
from orchestrator.execution.ray_stage import _loop_config
from orchestrator.execution.resources import Need
from tests.toys import Number, toy_setting
from trainables.chance import ChanceClassifier
from trainables.session_classifier import SessionClassifier


@pytest.fixture
def edited(tmp_path, monkeypatch):
    """A copy of ``trainables`` that a test may edit; returns the digests of two stages after an edit of a file."""
    copy = tmp_path / "trainables"
    shutil.copytree(Path(trainables.__file__).parent, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(trainables, "__file__", str(copy / "__init__.py"))

    def edit(name=None):
        if name:
            (copy / name).write_text((copy / name).read_text() + "\n# edited\n")
        provenance.stage_code.cache_clear()
        provenance.code_version.cache_clear()
        return provenance.stage_code(ChanceClassifier), provenance.stage_code(SessionClassifier), provenance.code_version()

    yield edit
    provenance.stage_code.cache_clear()
    provenance.code_version.cache_clear()


def changed(before, after):
    return [one != other for one, other in zip(before, after, strict=True)]


def test_a_stages_code_moves_with_what_it_imports(edited):
    before = edited()
    for file, expected in (
        ("chance.py", [True, False, True]),
        ("session_classifier.py", [False, True, True]),
        ("models/lstm.py", [False, True, True]),  # imported inside a function, by a module that is imported inside a function
        ("protocols/draws.py", [True, True, True]),
        ("corpora/twins/voices.py", [False, False, True]),  # the recipe is in the corpus' digest
    ):
        after = edited(file)
        assert changed(before, after) == expected, file
        before = after


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A git checkout of two packages, seen as the one that the program runs from; returns its folder and its dirty files."""
    monkeypatch.delenv("GIT_DIR")
    for name in ("trainables/a.py", "search_spaces/b.py", "README.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("1\n")
    identity = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
    for command in (["init", "-q"], ["add", "."], [*identity, "commit", "-qm", "first"]):
        subprocess.run(["git", "-C", str(tmp_path), *command], check=True)
    monkeypatch.setattr(provenance, "__file__", str(tmp_path / "orchestrator" / "provenance.py"))

    def dirty():
        provenance.dirty_files.cache_clear()
        return provenance.dirty_files()

    yield tmp_path, dirty
    provenance.dirty_files.cache_clear()
    provenance.git_commit.cache_clear()


def test_source_files_that_no_commit_holds_are_named_and_nothing_else(checkout):
    folder, dirty = checkout
    provenance.git_commit.cache_clear()
    assert len(provenance.git_commit()) == 12
    assert dirty() == ()
    for name in ("trainables/a.py", "search_spaces/b.py", "README.md", "trainables/new.py", "corpora.toml"):
        (folder / name).write_text("2\n")
    assert dirty() == ("trainables/a.py", "trainables/new.py")


def test_outside_a_checkout_nothing_is_dirty(tmp_path, monkeypatch):
    monkeypatch.setattr(provenance, "__file__", str(tmp_path / "orchestrator" / "provenance.py"))
    provenance.dirty_files.cache_clear()
    provenance.git_commit.cache_clear()
    assert (provenance.git_commit(), provenance.dirty_files()) == ("none", ())


def test_a_result_tells_what_share_of_a_gpu_its_stage_was_given(monkeypatch, tmp_path):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "a GPU")
    given = _loop_config(StageJob.of(Number(), toy_setting(tmp_path)), Need(gpus=0.25))
    job = StageJob.model_validate(given["job"])
    told = provenance.describe_run(job, Number(), torch.device("cuda"), 1, wall=8.0, cpu=1.0)
    assert (told["gpus"], told["gpu_seconds"]) == (0.25, 8.0)
    assert provenance.describe_run(job, Number(), torch.device("cpu"), 1, wall=8.0, cpu=1.0)["gpus"] == 0.0
