"""A Dockerfile as a list of instructions, and its replay in a folder that stands for the image."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[3]
DOCKERFILE = ROOT / "deploy/Dockerfile"


class Instruction(NamedTuple):
    stage: str
    word: str
    value: str


def instructions():
    """Those of deploy/Dockerfile, each with the stage that it belongs to ('' before the first, 'final' without a name)."""
    lines = [line for line in DOCKERFILE.read_text().splitlines() if line.strip() and not line.startswith("#")]
    stage, found = "", []
    for line in re.sub(r"\\\n\s*", "", "\n".join(lines)).splitlines():
        word, value = line.split(None, 1)
        if word == "FROM":
            stage = named[1] if (named := re.search(r" AS (\w+)$", value)) else "final"
        found.append(Instruction(stage, word, value))
    return found


class Replay:
    """The stages ``wheel`` and ``final`` as far as they can be had without a container.

    The folder ``image/home/ray`` stands for /home/ray. The packages are those of this environment: what pip would fetch of others
    is left out (``--no-deps``), and steps as root are skipped.

    Args:
        folder: An empty one.
        context: What the build gets.
        arguments: ``--build-arg``.
    """

    def __init__(self, folder, context, arguments):
        self._image, self._context, self._home = folder / "image", context, folder / "image/home/ray"
        self._home.mkdir(parents=True)
        subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
        self.python = folder / "venv/bin/python"
        (packages,) = (folder / "venv/lib").glob("python*/site-packages")
        # Its packages, but not what its .pth files name: an editable installation of the project would hide what is to be shown.
        (packages / "base.pth").write_text(sysconfig.get_path("purelib") + "\n")
        self._environment = {
            "PATH": f"{self.python.parent}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(self._home),
            **{name: value for name, value in os.environ.items() if name.startswith("PIP_") or name.endswith("_proxy")},
            **arguments,
        }

    def run(self):
        """Replay; returns what the steps wrote. Raises CalledProcessError at the first that fails."""
        written, user = [], "1000"
        for stage, word, value in instructions():
            if stage not in ("wheel", "final"):
                continue
            if word == "USER":
                user = value
            elif word == "ARG" and "=" in value:
                self._environment.setdefault(*value.split("=", 1))
            elif word == "COPY":
                self._copy(value)
            elif word == "RUN" and user == "1000" and "--index-url" not in value:
                written.append(
                    self.shell(value.replace("pip install --no-cache-dir --constraint", "pip install --no-deps --constraint"))
                )
        return "".join(written)

    def shell(self, command):
        """What a command writes to stdout, from the folder that the image starts in."""
        command = command.replace("/home/ray", str(self._home))
        done = subprocess.run(
            ["sh", "-ec", command], cwd=self._home, env=self._environment, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise AssertionError(f"{command}\n{done.stdout}{done.stderr}")
        return done.stdout

    def _copy(self, value):
        words = [word for word in shlex.split(value) if not word.startswith("--chown")]
        from_stage = words[0].startswith("--from")
        *sources, target = words[from_stage:]
        for source in sources:
            place = self._image / target.lstrip("/")
            found = self._image / source.lstrip("/") if from_stage else self._context / source
            if found.is_dir():
                if found != place:
                    shutil.copytree(found, place, dirs_exist_ok=True)
            else:
                place = place / found.name if target.endswith("/") else place
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(found, place)
