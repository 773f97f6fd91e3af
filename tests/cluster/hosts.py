"""Hosts that are network namespaces of this machine: each has an address of its own, and can be cut off or killed as a whole.

They share the file system and the clock, as the nodes of a cluster share a store. Only root can make them.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
_SUBNET = "10.213.{}"  # private addresses; the third number is drawn from the process id
_HEAD_PORT = 6379
_numbers = itertools.count()  # of this process' networks: the devices of one that is gone are there for another moment

# A host that is gone is seen to be so in 2 s and not in 30.
_QUICK_HEALTH_CHECKS = (
    '{"health_check_initial_delay_ms": 0, "health_check_period_ms": 500, "health_check_failure_threshold": 4, '
    '"health_check_timeout_ms": 1000}'
)


def why_not() -> str:
    """Why this machine cannot have such hosts; empty if it can."""
    if shutil.which("ip") is None:
        return "there is no ip command (iproute2)"
    made = subprocess.run(["ip", "netns", "add", name := f"o{os.getpid()}probe"], capture_output=True, text=True)
    if made.returncode:
        return f"network namespaces cannot be made here: {made.stderr.strip()}"
    subprocess.run(["ip", "netns", "delete", name], check=True)
    return ""


@dataclass
class Host:
    """A host of a :class:`Network`.

    Attributes:
        name: Of its namespace.
        address: Its IPv4 address.
        folder: Where it keeps what is its own (Ray's sessions); the path is short, because sockets lie in it.
    """

    name: str
    address: str
    folder: Path
    _processes: list[subprocess.Popen] = field(default_factory=list)

    def start(
        self, command: Sequence[str], environment: Mapping[str, str], output: Path, *, inherit: bool = True
    ) -> subprocess.Popen:
        """Start a command on this host; what it prints is appended to ``output``.

        Args:
            command: With its arguments.
            environment: Of the command, beside that of this process.
            output: A file.
            inherit: Whether the command gets this process' environment at all.
        """
        with output.open("ab") as stream:
            process = subprocess.Popen(
                ["ip", "netns", "exec", self.name, *command],
                env={**(os.environ if inherit else {}), **environment},
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._processes.append(process)
        return process

    def join_ray(self, head: Host, environment: Mapping[str, str], cpus: float, log: Path) -> subprocess.Popen:
        """Start Ray's processes on this host, as the head if it is ``head``; again, where they end by themselves.

        On a busy machine Ray gives up waiting for its own processes; on a real host something else would start it anew.
        """
        command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", f"--node-ip-address={self.address}"]
        command += [f"--num-cpus={cpus:g}", "--num-gpus=0", "--object-store-memory=100000000", f"--temp-dir={self.folder}"]
        if self is head:
            command += ["--head", f"--port={_HEAD_PORT}", "--dashboard-host=0.0.0.0"]
            command += [f"--system-config={_QUICK_HEALTH_CHECKS}"]
        else:
            command += [f"--address={head.address}:{_HEAD_PORT}"]
        return self.start(["sh", "-c", 'until "$@"; do sleep 1; done', "sh", *command], environment, log)

    def processes(self) -> list[int]:
        """Process ids of all that runs on this host."""
        found = subprocess.run(["ip", "netns", "pids", self.name], capture_output=True, text=True)
        return [int(pid) for pid in found.stdout.split()]

    def cut_off(self) -> None:
        """Take it off the network: it goes on by itself, and nobody hears of it."""
        subprocess.run(["ip", "-n", self.name, "link", "set", "eth0", "down"], check=True)

    def refuse(self, other: Host) -> None:
        """Let this host send nothing to another one, and so have no connection with it in either direction."""
        subprocess.run(["ip", "-n", self.name, "route", "add", "unreachable", f"{other.address}/32"], check=True)

    def plug_in(self) -> None:
        """Put it back on the network."""
        subprocess.run(["ip", "-n", self.name, "link", "set", "eth0", "up"], check=True)

    def kill(self) -> None:
        """Kill everything that runs on it, as a power cut would."""
        limit = time.monotonic() + 30
        while (pids := self.processes()) and time.monotonic() < limit:
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.05)
        for process in self._processes:
            process.wait()


class Network:
    """Hosts on one bridge; see :func:`network`."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._hosts, self._tag = folder, [], f"o{os.getpid()}n{next(_numbers)}"
        self._subnet = _SUBNET.format(os.getpid() % 250)

    def host(self, name: str) -> Host:
        """Add a host."""
        number = len(self._hosts) + 2
        space, outside = f"{self._tag}{name}", f"{self._tag}v{number}"
        host = Host(space, f"{self._subnet}.{number}", self._folder / name)
        host.folder.mkdir()
        self._hosts.append(host)
        _ip("netns", "add", space)
        _ip("link", "add", outside, "type", "veth", "peer", "name", "eth0", "netns", space)
        _ip("link", "set", outside, "master", self._bridge, "up")
        _ip("-n", space, "addr", "add", f"{host.address}/24", "dev", "eth0")
        for device in ("lo", "eth0"):
            _ip("-n", space, "link", "set", device, "up")
        return host

    @property
    def _bridge(self) -> str:
        return f"{self._tag}b"

    def begin(self) -> None:
        """Make the bridge. This process is on it too."""
        _ip("link", "add", self._bridge, "type", "bridge")
        _ip("addr", "add", f"{self._subnet}.1/24", "dev", self._bridge)
        _ip("link", "set", self._bridge, "up")

    def end(self) -> None:
        """Kill all hosts and remove every trace."""
        for host in self._hosts:
            host.kill()
            subprocess.run(["ip", "netns", "delete", host.name], check=False)
        subprocess.run(["ip", "link", "delete", self._bridge], check=False)


@contextlib.contextmanager
def network() -> Iterator[Network]:
    """A network of this process, gone with all its hosts and their processes at the end of the block."""
    folder = Path(tempfile.mkdtemp(prefix="o"))
    made = Network(folder)
    try:
        made.begin()
        yield made
    finally:
        made.end()
        shutil.rmtree(folder, ignore_errors=True)


def head_answers(head: Host, environment: Mapping[str, str]) -> bool:
    """Whether Ray's head on this host takes drivers."""
    command = ["ip", "netns", "exec", head.name, sys.executable, "-m", "ray.scripts.scripts", "health-check"]
    command += ["--address", f"{head.address}:{_HEAD_PORT}"]
    return subprocess.run(command, env={**os.environ, **environment}, capture_output=True).returncode == 0


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)
