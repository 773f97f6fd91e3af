"""Pods of rendered manifests as processes of this machine, each on a host of its own (:mod:`tests.cluster.hosts`).

What a kubelet and a container runtime make of a pod's spec is made here: its volumes where they are to be mounted, a root file
system that is read-only where it is to be, its user, groups and capabilities, and an environment with nothing of this machine's.
An image is this machine's own files below an overlay, with the project's packages where an image has what is installed.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.provenance import SENT
from tests.cluster import hosts
from tests.deploy.rendered import Pod, named

COMMIT = "0123456789ab"
"""That the image says it was built from."""
_PACKAGES = "/project"  # where the image of these pods has the project's packages
_OURS = ("orchestrator", "search_spaces", "trainables")
_HOME = "/home/ray"
_USERS = f"root:x:0:0::/root:/bin/sh\nray:x:1000:1000::{_HOME}:/bin/bash\npostgres:x:999:999::/var/lib/postgresql:/bin/bash\n"
_TOOLS = ("unshare", "chroot", "setpriv", "hostname")


def why_not() -> str:
    """Why this machine cannot have such pods; empty if it can."""
    if os.geteuid():
        return "only root may make namespaces and mounts"
    if missing := [tool for tool in _TOOLS if shutil.which(tool) is None]:
        return f"there is no {', '.join(missing)}"
    if story := hosts.why_not():
        return story
    made = subprocess.run(_apart(_overlay("/mnt")), capture_output=True, text=True)
    return f"there is no overlay of the root file system: {made.stderr.strip()}" if made.returncode else ""


@dataclass(frozen=True)
class Node:
    """What pods have in common.

    Attributes:
        folder: Of volumes and logs.
        objects: The rendered manifests.
        secrets: By their names, the values of their keys.
        names: What pods know of the network: addresses by name.
    """

    folder: Path
    objects: list[dict[str, Any]]
    secrets: Mapping[str, Mapping[str, str]]
    names: dict[str, str] = field(default_factory=dict)

    def secret(self, source: Mapping[str, Any]) -> str:
        """The value behind ``{valueFrom: {secretKeyRef: ...}}``."""
        reference = source["valueFrom"]["secretKeyRef"]
        return self.secrets[reference["name"]][reference["key"]]

    def claim(self, name: str) -> Path:
        """Folder of the volume behind a claim."""
        return self.folder / "claims" / name


@dataclass(frozen=True)
class LocalPod:
    """A pod of the manifests on its host.

    Attributes:
        node: What it has in common with others.
        pod: As it was rendered.
        host: Where its processes run.
        name: Its own.
    """

    node: Node
    pod: Pod
    host: hosts.Host
    name: str

    @property
    def container(self) -> dict[str, Any]:
        """The one that matters: the first."""
        return self.pod.spec["containers"][0]

    @property
    def log(self) -> Path:
        """What its processes print."""
        return self.node.folder / f"{self.name}.log"

    def begin(self, command: Sequence[str], more: Mapping[str, str] | None = None, log: Path | None = None) -> subprocess.Popen:
        """Start a command in the container, be it the container's own or one more, as ``kubectl exec`` does.

        Args:
            command: With its arguments.
            more: Environment that the operator adds to the manifest's.
            log: Where what it prints is appended, if it is not the pod's log.
        """
        environment = self._environment() | dict(more or {})
        return self.host.start([*_apart(self._setup()), "sh", *command], environment, log or self.log, inherit=False)

    def ask(self, command: Sequence[str], more: Mapping[str, str] | None = None) -> str:
        """What a command prints that is run in the container until it ends."""
        with tempfile.NamedTemporaryFile() as log:
            self.begin(command, more, Path(log.name)).wait()
            return log.read().decode()

    def die(self) -> None:
        """End at once, with all that is not on a volume that lasts."""
        self.host.kill()
        for volume in self.pod.spec.get("volumes", []):
            if "emptyDir" in volume:
                shutil.rmtree(self.node.folder / self.name / volume["name"], ignore_errors=True)

    def is_ready(self) -> bool:
        """What its readiness probe says. Raises OSError if it connects to a port on which nobody listens."""
        probe = self.container["readinessProbe"]
        if "exec" in probe:
            return self.begin(probe["exec"]["command"]).wait() == 0
        port = {each["name"]: each["containerPort"] for each in self.container["ports"]}[probe["httpGet"]["port"]]
        with urllib.request.urlopen(f"http://{self.host.address}:{port}{probe['httpGet']['path']}", timeout=5) as answer:
            return answer.status == 200

    def _environment(self) -> dict[str, str]:
        """The image's, and the manifest's."""
        found = {"PATH": f"{sys.prefix}/bin:{os.environ['PATH']}", "PYTHONPATH": _PACKAGES, "HOME": _HOME, "LANG": "C.UTF-8"}
        for each in self.container.get("envFrom", []):
            found |= named(self.node.objects, "ConfigMap", each["configMapRef"]["name"])["data"]
        for each in self.container.get("env", []):
            found[each["name"]] = self.node.secret(each) if "valueFrom" in each else each["value"]
        return found

    def _setup(self) -> Iterator[str]:
        """Lines of a shell script that becomes the command which it is given. Its mounts are seen by nobody else."""
        root = f"{self.host.folder}/root"
        yield from _overlay(str(self.host.folder))
        yield from (f"mount --rbind /{kernels} {root}/{kernels}" for kernels in ("proc", "sys", "dev"))
        for mount in self.container["volumeMounts"]:
            source, read_only = self._volume(mount["name"])
            yield from _mount(root, source, mount["mountPath"], read_only or mount.get("readOnly", False))
        yield from self._image(root)
        names = "".join(f"{address} {name}\n" for name, address in {"localhost": "127.0.0.1", **self.node.names}.items())
        files = {"/etc/hosts": names, "/etc/passwd": _USERS, f"{_PACKAGES}/{SENT}": f'{{"commit": "{COMMIT}", "dirty": []}}\n'}
        yield from (f"printf %s {shlex.quote(text)} > {root}{path}" for path, text in files.items())
        yield f"hostname {self.name}"
        if self.container["securityContext"]["readOnlyRootFilesystem"]:
            yield f"mount -o remount,ro {root}"
        yield f'exec chroot {root} {shlex.join(self._confined())} env --chdir={_HOME} "$@"'

    def _image(self, root: str) -> Iterator[str]:
        """What an image has: Python with all packages, and ours."""
        for place in sorted({sys.prefix, sys.base_prefix}):
            yield from _mount(root, Path(place), place, True)
            folders = [above for above in Path(place).resolve().parents if above.name]
            yield from (f"chmod a+x {root}{shlex.quote(str(folder))}" for folder in folders)
        for package in _OURS:
            yield from _mount(root, hosts.ROOT / package, f"{_PACKAGES}/{package}", True)
        yield f"mkdir -p {root}{_HOME}"

    def _volume(self, name: str) -> tuple[Path | None, bool]:
        """Folder of a volume, or None for memory; and whether the whole of it is read-only."""
        volume = {each["name"]: each for each in self.pod.spec.get("volumes", [])}.get(name, {})
        claim = volume.get("persistentVolumeClaim")
        if "emptyDir" in volume:
            folder = self.node.folder / self.name / name
            return (None if volume["emptyDir"].get("medium") == "Memory" else self._writable(folder)), False
        if claim is not None and claim.get("readOnly"):
            return self.node.claim(claim["claimName"]), True
        return self._writable(self.node.claim(claim["claimName"] if claim else f"{name}-{self.name}")), False

    def _writable(self, folder: Path) -> Path:
        """A new volume, which the pod may write to by its group alone."""
        folder.mkdir(parents=True, exist_ok=True)
        os.chown(folder, 0, self.pod.spec["securityContext"]["fsGroup"])
        folder.chmod(0o2775)
        return folder

    def _confined(self) -> list[str]:
        """A command that gives the next one the rights of the container."""
        pod, own = self.pod.spec["securityContext"], self.container["securityContext"]
        command = ["setpriv", f"--reuid={pod['runAsUser']}", f"--regid={pod['runAsGroup']}", f"--groups={pod['fsGroup']}"]
        command += [] if own["allowPrivilegeEscalation"] else ["--no-new-privs"]
        return command + (["--bounding-set=-all", "--inh-caps=-all"] if own["capabilities"]["drop"] == ["ALL"] else [])


def _apart(script: Iterable[str]) -> list[str]:
    """A command that runs the lines of a shell script where its mounts and its host's name are its own."""
    return ["unshare", "--mount", "--uts", "--propagation=private", "sh", "-euc", "\n".join(script)]


def _overlay(top: str) -> Iterator[str]:
    """All files of the root file system in ``top/root``; what is written there goes with the last process that sees it."""
    yield f"mount -t tmpfs tmpfs {top}"
    yield f"mkdir {top}/upper {top}/work {top}/root"
    yield f"mount -t overlay -o lowerdir=/,upperdir={top}/upper,workdir={top}/work overlay {top}/root"


def _mount(root: str, source: Path | None, target: str, read_only: bool) -> Iterator[str]:
    inside = f"{root}{shlex.quote(os.path.realpath(target))}"  # a link would lead to this machine's own folder
    yield f"mkdir -p {inside}"
    yield f"mount --bind {shlex.quote(str(source))} {inside}" if source else f"mount -t tmpfs -o mode=1777 tmpfs {inside}"
    if read_only:
        yield f"mount -o remount,bind,ro {inside}"
