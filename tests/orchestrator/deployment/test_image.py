"""The image: linted, of pinned versions, not root's, built from a commit alone, and what it installs is the whole project."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from fnmatch import fnmatch
from pathlib import Path

import pytest

from tests.orchestrator.deployment.dockerfile import DOCKERFILE, ROOT, Replay, instructions

PACKAGES = ("orchestrator", "search_spaces", "trainables")
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def values(word, stage=None):
    return [each.value for each in instructions() if each.word == word and stage in (None, each.stage)]


def test_the_linter_has_nothing_to_say():
    hadolint = Path(sys.executable).with_name("hadolint")  # of the extra `test`; a virtual environment need not be on PATH
    done = subprocess.run([hadolint, DOCKERFILE], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_ray_is_the_one_that_the_project_is_pinned_to():
    (version,) = [value.partition("=")[2] for value in values("ARG") if value.startswith("RAY_VERSION")]
    assert f"ray=={version}" in (ROOT / "deploy/constraints.txt").read_text().splitlines()
    bases = [value for value in values("FROM") if "/" in value]
    assert all(base.startswith("rayproject/ray:${RAY_VERSION}-py311-") for base in bases)


def test_whoever_runs_in_the_image_is_not_root_and_cannot_become_it():
    assert values("USER", "final")[-1] == "1000"
    assert any("NOPASSWD" in value for value in values("RUN", "final"))


def test_every_installation_is_pinned_and_leaves_no_cache():
    installs = re.findall(r"pip install (.*?)(?:&&|$)", " && ".join(values("RUN")))
    assert len(installs) == 3
    for install in installs:
        assert "--no-cache-dir" in install
        assert "--constraint /home/ray/project/constraints.txt" in install or "/wheels/" in install


def test_dependencies_come_before_the_source():
    order = [f"{each.word} {each.value}" for each in instructions() if each.stage == "final"]
    dependencies = next(index for index, text in enumerate(order) if "${EXTRAS}]" in text)
    source = next(index for index, text in enumerate(order) if "--from=wheel" in text)
    assert dependencies < source
    assert not any(package in text for text in order[:dependencies] for package in PACKAGES)


def test_the_extras_are_the_projects():
    (extras,) = [value.partition("=")[2].split(",") for value in values("ARG") if value.startswith("EXTRAS")]
    known = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(extras) <= set(known) - {"test", "benchmarks"}


def test_all_that_is_copied_is_in_the_commit():
    sources = [word for value in values("COPY") for word in value.split()[:-1] if not word.startswith("--")]
    assert all((ROOT / source).exists() for source in sources if not source.startswith("/"))


def test_the_package_finder_finds_every_source_file_and_no_other_kind_of_file_is_needed():
    patterns = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]["find"]["include"]
    for package in PACKAGES:
        files = [file for file in (ROOT / package).rglob("*") if file.is_file() and "__pycache__" not in file.parts]
        assert {file.suffix for file in files} == {".py"}  # another kind would have to be declared as package data
        for file in files:
            folder = file.parent
            assert (folder / "__init__.py").exists(), folder
            assert any(fnmatch(".".join(folder.relative_to(ROOT).parts), pattern) for pattern in patterns)


def test_an_archive_says_which_commit_it_is():
    git = {name: value for name, value in os.environ.items() if name != "GIT_DIR"}
    ask = {"cwd": ROOT, "env": git, "capture_output": True, "check": False}
    commit = subprocess.run(["git", "rev-parse", "HEAD"], **ask).stdout.decode().strip()
    tracked = subprocess.run(["git", "ls-tree", "HEAD", "deploy/commit.txt"], **ask).stdout
    if not tracked:
        pytest.skip("no checkout of a commit")
    archive = subprocess.run(["git", "archive", "HEAD", "deploy/commit.txt"], **ask).stdout
    assert commit.encode() in archive


@pytest.fixture
def context(tmp_path):
    """What `git archive` gives the build."""
    folder = tmp_path / "context"
    for package in (*PACKAGES, "deploy"):
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / file, folder / file)
    (folder / "deploy/commit.txt").write_text(f"{COMMIT}\n")
    return folder


@pytest.mark.slow
def test_its_steps_install_the_whole_project_which_runs_without_a_checkout_and_knows_its_commit(tmp_path, context):
    replay = Replay(tmp_path, context, {"COMMIT": COMMIT})
    assert "reclr_lambda" in replay.run()
    shutil.rmtree(context)
    (wheel,) = (tmp_path / "image/home/ray/wheels").glob("*.whl")
    there = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert there == {file.relative_to(ROOT).as_posix() for package in PACKAGES for file in (ROOT / package).rglob("*.py")}
    (sent,) = (tmp_path / "venv/lib").glob("python*/site-packages/sent.json")
    assert json.loads(sent.read_text()) == {"commit": COMMIT[:12], "dirty": []}
    where = replay.shell("python -c 'import orchestrator; print(orchestrator.__file__)'")
    assert where.startswith(str(tmp_path / "venv"))
    table = replay.shell("python -m orchestrator.sweep reclr_lambda --scale smoke --seeds 1 --local --results /home/ray/results")
    assert "Table 1" in table


@pytest.mark.slow
def test_what_no_commit_holds_is_not_built(tmp_path, context):
    (context / "deploy/commit.txt").write_text("$Format:%H$\n")
    with pytest.raises(AssertionError, match=r"^test -n .*commit\.txt"):
        Replay(tmp_path, context, {"COMMIT": COMMIT}).run()
