"""deploy/README.md: its commands, files, versions and the overlay in it are true."""

import re
import shlex
import shutil

import pytest
import typer
import yaml

from orchestrator import launch, table
from orchestrator.deployment import cluster, kubectl, rules
from tests.orchestrator.deployment.dockerfile import DOCKERFILE, ROOT

GUIDE = (ROOT / "deploy/README.md").read_text()
MODULES = {"launch": launch.command, "table": lambda: typer.main.get_command(table.app)}


@pytest.mark.parametrize("line", sorted(set(re.findall(r"python -m orchestrator\.\w+ [^#`\n]+", GUIDE))))
def test_its_commands_are_understood(line):
    _, _, module, *arguments = shlex.split(line)
    made = MODULES[module.partition(".")[2]]().make_context("guide", arguments)
    overlay = made.params.get("overlay")
    assert overlay is None or (ROOT / "deploy/kubernetes/overlays" / overlay).is_dir()


def test_the_command_that_builds_the_image_is_the_one_in_its_file():
    assert re.search(r"git archive HEAD \| docker build .*", DOCKERFILE.read_text()).group() in GUIDE


def test_its_links_and_files_are_there():
    for link in re.findall(r"\]\(([^)#:]+)\)", GUIDE):
        assert (ROOT / "deploy" / link).exists(), link
    for component in re.findall(r"(?<!kubernetes/)components/([\w/.-]+)`", GUIDE):
        assert (ROOT / "deploy/kubernetes/components" / component).exists(), component


def test_the_operator_is_of_the_version_whose_rules_are_kept():
    installed = re.search(r"kuberay-operator --version (\d+\.\d+)", GUIDE)[1]
    assert f"({installed}" in rules.__doc__


@pytest.mark.parametrize("overlay", ["laptop", "spot"])
def test_the_secrets_that_it_makes_are_those_that_are_needed(launched, capsys, overlay):
    launched("--dry-run", "--overlay", overlay)
    wanted = cluster.secrets_of(yaml.safe_load_all(capsys.readouterr().out))
    made = dict(re.findall(r"create secret generic (\w+) --from-literal=(\w+)", GUIDE))
    assert {name: keys for name, keys in wanted.items() if made.get(name) not in keys} == {}


def test_the_overlay_in_it_can_be_launched(launched, capsys, tmp_path):
    text = re.search(r"<!-- overlay -->\n```yaml\n(.*?)```", GUIDE, re.S)[1]
    shutil.copytree(ROOT / "deploy/kubernetes", tmp_path / "deploy/kubernetes")
    (tmp_path / "lab").mkdir()
    (tmp_path / "lab/kustomization.yaml").write_text(text)
    assert launched("--dry-run", f"--overlay={tmp_path / 'lab'}").code == 0
    documents = list(yaml.safe_load_all(capsys.readouterr().out))
    claims = {
        each["metadata"]["name"]: each["spec"].get("storageClassName") for each in documents if each["kind"].endswith("Claim")
    }
    assert (claims["store"], claims["results"]) == ("efs", "efs")
    job = next(each for each in documents if each["kind"] == "RayJob")
    head = job["spec"]["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]["containers"][0]
    assert head["image"] == "registry.example.org/speech-orchestrator:0.1.0-gpu"


@pytest.mark.parametrize("overlay", ["laptop", "gpu", "spot", "kueue"])
def test_the_selector_of_an_upgrade_leaves_the_template_out_and_nothing_else(launched, capsys, overlay):
    label, value = re.search(r"--selector '([\w./-]+)!=([\w-]+)'", GUIDE).groups()
    launched("--dry-run", "--overlay", overlay)
    documents = yaml.safe_load_all(capsys.readouterr().out)
    assert {each["kind"] for each in documents if each["metadata"].get("labels", {}).get(label) == value} == {"RayJob"}


def test_what_messages_point_to_is_in_it():
    pointers = re.findall(r"deploy/README\.md, ([\w ]+)", "".join((kubectl.OPERATOR, *cluster._INSTALL.values())))
    assert pointers
    for pointer in pointers:
        number = re.fullmatch(r"step (\d)", pointer)
        assert f"\n{number[1]}. " in GUIDE if number else f"**{pointer}.**" in GUIDE
