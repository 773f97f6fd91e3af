"""Rules of the whole project, kept by tests: layers, light command lines, nothing unpickled, documents that are true."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FORBIDDEN = {  # imports run only downward: orchestrator > search_spaces > trainables
    "trainables": {"ray", "mlflow", "optuna", "orchestrator", "search_spaces"},
    "search_spaces": {"ray", "mlflow", "optuna", "torch", "orchestrator"},
}


def sources(package):
    return sorted((ROOT / package).rglob("*.py"))


def imported(file):
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


@pytest.mark.parametrize("package", FORBIDDEN)
def test_imports_run_only_downward(package):
    for file in sources(package):
        assert not {name.split(".")[0] for name in imported(file)} & FORBIDDEN[package], file


def test_only_one_module_imports_mlflow():
    users = {file.relative_to(ROOT).as_posix() for file in sources("orchestrator") if "mlflow" in "".join(imported(file))}
    assert users == {"orchestrator/tracking/store.py"}


@pytest.mark.parametrize("command", [["--help"], ["--list"], ["reclr_lambda", "--dry-run"]])
def test_answering_a_question_imports_neither_torch_nor_ray_nor_mlflow(command, tmp_path):
    script = (
        "import sys; from orchestrator.sweep import app\n"
        f"try: app({[*command, *(['--results', str(tmp_path)] if '--dry-run' in command else [])]!r})\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'ray', 'mlflow', 'pandas', 'librosa'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def test_nothing_is_unpickled():
    for package in ("orchestrator", "search_spaces", "trainables"):
        for file in sources(package):
            text = file.read_text()
            assert not re.search(r"weights_only=False|allow_pickle=True|import (pickle|joblib|dill)", text), file
            for call in re.finditer(r"torch\.load\(.*", text):
                assert "weights_only=True" in call.group(), file


def test_the_readmes_commands_and_links_are_true():
    readme = (ROOT / "README.md").read_text()
    for link in re.findall(r"\]\(([^)#:]+)\)", readme):
        assert (ROOT / link).exists(), link
    for marker in ("<!-- demo -->", "<!-- tests -->"):
        assert readme.count(marker) == 1
    for script in re.findall(r"python (tests/\S+\.py)", readme):
        assert (ROOT / script).exists(), script
    for module in set(re.findall(r"python -m (orchestrator\.\w+)", readme)):
        assert (ROOT / f"{module.replace('.', '/')}.py").exists(), module


def test_every_package_of_the_project_is_pinned():
    import tomllib

    pinned = {line.split("==")[0].lower().replace("_", "-") for line in (ROOT / "deploy/constraints.txt").read_text().splitlines()}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *(line for extra in project["optional-dependencies"].values() for line in extra)]
    names = {re.match(r"[A-Za-z0-9_-]+", line).group().lower().replace("_", "-") for line in wanted}
    assert names <= pinned, names - pinned
