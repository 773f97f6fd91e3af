"""A cluster of hosts on which something is killed at random moments while a sweep runs, and what must hold afterwards.

Everything is real: hosts in network namespaces (:mod:`tests.cluster.hosts`) with ``ray start``, the command line in a process on
the head, an MLflow server on a host of its own, a store on a file system that can be filled or made read-only. The moments and the
victims are drawn from a seed, so that a campaign can be had again, as far as processes keep time.
"""

from __future__ import annotations

import contextlib
import os
import random
import secrets
import signal
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from orchestrator.search.history import SearchTrial
from tests.cluster.hosts import Host, Network, head_answers, network
from tests.mlflow_server import QUIET

KINDS = (
    "kill_worker",
    "kill_driver",
    "kill_actor",
    "kill_sweep",
    "interrupt_sweep",
    "lose_node",
    "lose_head",
    "lose_mlflow",
    "fill_store",
    "refuse_writes",
)
"""Of events: methods of :class:`Chaos`."""

_STAGE = ("ray::_train_locally", "ray::RayTrainWorker", "ray::_RayTrainWorker")
_DRIVER = ("ray::ImplicitFunc", "ray::SearchDriver")
_ACTORS = ("ray::LedgerActor", "ray::TrackerActor")
_MLFLOW_PORT = 5000
_STORE_BYTES = 400_000_000
_PAUSE = (1.0, 8.0)  # seconds between two events
_AWAY = (2.0, 6.0)  # seconds that a server or a store is away
_SWEEP_SECONDS = 600.0
_ATTEMPTS = 6  # of the command that is to end well
_START_SECONDS = 300.0  # for a server to answer, on a machine that is busy with the rest


class Cluster:
    """Two hosts with Ray, one with an MLflow server, and a store that all see.

    Args:
        net: Where the hosts are made.
        folder: Of logs, results and the store; emptied by nobody.
    """

    def __init__(self, net: Network, folder: Path) -> None:
        self.net, self.folder = net, folder
        self.environment = {
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(16),
            "RAY_USAGE_STATS_ENABLED": "0",
            "OMP_NUM_THREADS": "1",
            "GLOO_SOCKET_IFNAME": "eth0",  # all hosts have this machine's name, which is the address of none of them
            "GIT_DIR": os.devnull,
        }
        self._made = 0
        self.head = self.net.host("head")
        self.worker = self._new_worker()
        self.tracking = self.net.host("track")
        self.store = folder / "store"
        self.store.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={_STORE_BYTES}", "tmpfs", str(self.store)], check=True)

    @property
    def tracking_uri(self) -> str:
        """Of the MLflow server."""
        return f"http://{self.tracking.address}:{_MLFLOW_PORT}"

    def begin(self) -> None:
        """Start all servers, and wait until they answer."""
        self.start_tracking()
        self.start_head()
        self.start_worker()
        self.wait_for_tracking()

    def end(self) -> None:
        """Unmount the store; the network ends the hosts."""
        for host in (self.head, self.worker, self.tracking):
            host.kill()
        subprocess.run(["umount", "--lazy", str(self.store)], check=True)

    def start_head(self) -> None:
        """Start Ray on the head."""
        self.head.join_ray(self.head, self.environment, 2, self.folder / "head.log")
        _wait(lambda: head_answers(self.head, self.environment), _START_SECONDS, "the head does not answer")

    def start_worker(self) -> None:
        """Start Ray on the other host."""
        self.worker.join_ray(self.head, self.environment, 1, self.folder / "worker.log")

    def replace_worker(self) -> None:
        """Another host takes the place of one that is gone."""
        self.worker = self._new_worker()
        self.start_worker()

    def _new_worker(self) -> Host:
        self._made += 1
        return self.net.host(f"w{self._made}")

    def start_tracking(self) -> None:
        """Start the MLflow server; its store outlives it."""
        data = self.folder / "mlflow"
        data.mkdir(exist_ok=True)
        command = [sys.executable, "-m", "mlflow", "server", "--host", self.tracking.address, "--port", str(_MLFLOW_PORT)]
        command += ["--backend-store-uri", f"sqlite:///{data}/mlflow.db", "--artifacts-destination", str(data / "artifacts")]
        command += ["--workers", "1", "--allowed-hosts", "*"]
        self.tracking.start(command, self.environment | QUIET, self.folder / "mlflow.log")

    def wait_for_tracking(self) -> None:
        """Until the MLflow server answers."""

        def answers() -> bool:
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{self.tracking_uri}/health", timeout=2) as answer:
                return answer.status == 200
            return False

        _wait(answers, _START_SECONDS, "the MLflow server does not answer")

    def sweep(self, *arguments: str) -> subprocess.Popen:
        """Start a sweep on the head."""
        command = [sys.executable, "-m", "orchestrator.sweep", *arguments, "--address", f"{self.head.address}:6379"]
        command += ["--gpus-per-worker", "0", "--store", str(self.store), "--results", str(self.folder / "results")]
        environment = self.environment | {"MLFLOW_TRACKING_URI": self.tracking_uri}
        return self.head.start(command, environment, self.folder / "sweep.log")


class Chaos:
    """Random events on a cluster while the sweep of ``arguments`` runs.

    Args:
        cluster: The cluster, which has begun.
        arguments: Of the sweep's command.
        seed: Draws moments and victims.
        hat: Names of the kinds of events that are still to come before any comes again; drawn from, and filled when it is empty.

    Attributes:
        events: What happened, in order.
        sweep: The running command.
    """

    def __init__(self, cluster: Cluster, arguments: Sequence[str], seed: int, hat: list[str]) -> None:
        self.cluster, self.events = cluster, []
        self.finished: dict[str, str] = {}  # content of the marker of every result that was seen, and of every trial that was told
        self._arguments, self._random, self._hat = arguments, random.Random(seed), hat
        self.sweep = cluster.sweep(*arguments)

    def strike(self, number: int) -> None:
        """Let that many events happen; the command is started again whenever it has ended.

        Raises:
            Settled: The sweep was finished before.
        """
        while len(self.events) < number:
            self._hat += [] if self._hat else self._random.sample(KINDS, len(KINDS))
            time.sleep(self._random.uniform(*_PAUSE))
            self.look()
            if self.sweep.poll() == 0:
                raise Settled
            if self.sweep.poll() is not None:
                self.sweep = self.cluster.sweep(*self._arguments)
            event = next((kind for kind in self._hat if getattr(self, kind)()), None)
            if event is not None:
                self._hat.remove(event)
                self.events.append(event)

    def settle(self) -> None:
        """Run the same command until it ends well, a few times at most.

        Raises:
            AssertionError: It does not.
        """
        for _ in range(_ATTEMPTS):
            code = self.sweep.wait(timeout=_SWEEP_SECONDS)
            self.look()
            if code == 0:
                return
            self.sweep = self.cluster.sweep(*self._arguments)
        log = (self.cluster.folder / "sweep.log").read_text()[-5000:]
        raise AssertionError(f"the command does not end well after {self.events}:\n{log}")

    def look(self) -> None:
        """Make sure that whatever was finished has not been computed again since, and that what was told of a search stands."""
        now = {}
        for marker in (self.cluster.store / "results").rglob("_SUCCESS"):
            with contextlib.suppress(FileNotFoundError):
                now[str(marker.parent)] = marker.read_text()
        for document in (self.cluster.store / "searches").rglob("trial-*.json"):
            if SearchTrial.model_validate_json(told := document.read_text()).told:
                now[str(document)] = told
        again = [name for name, mark in self.finished.items() if now.get(name) != mark]
        assert not again, f"finished, and then computed or told again after {self.events}: {again}"
        self.finished |= now

    # -- events: each tells whether it found a victim --------------------------------------------------------------------------

    def kill_worker(self) -> bool:
        """A process that computes a stage dies."""
        return self._kill(_STAGE)

    def kill_driver(self) -> bool:
        """The driver of a trial dies, be it the owner of a running stage or waiting for one."""
        return self._kill(_DRIVER)

    def kill_actor(self) -> bool:
        """The ledger or the tracker dies."""
        return self._kill(_ACTORS)

    def kill_sweep(self) -> bool:
        """The sweep's own process dies."""
        self._signal_sweep(signal.SIGKILL)
        return True

    def interrupt_sweep(self) -> bool:
        """Somebody presses control-C."""
        self._signal_sweep(signal.SIGINT)
        return True

    def lose_node(self) -> bool:
        """A host is cut off, and killed while it cannot be reached; another takes its place."""
        self.cluster.worker.cut_off()
        time.sleep(self._random.uniform(*_AWAY))
        self.cluster.worker.kill()
        self.cluster.replace_worker()
        return True

    def lose_head(self) -> bool:
        """The head dies, and with it the sweep; both hosts join a new one."""
        self.cluster.head.kill()
        self.cluster.worker.kill()
        self.cluster.start_head()
        self.cluster.start_worker()
        return True

    def lose_mlflow(self) -> bool:
        """The MLflow server dies, and comes back."""
        self.cluster.tracking.kill()
        time.sleep(self._random.uniform(*_AWAY))
        self.cluster.start_tracking()
        self.cluster.wait_for_tracking()
        return True

    def fill_store(self) -> bool:
        """The store is full for a while."""
        ballast = self.cluster.store / "ballast"
        with ballast.open("wb") as stream, contextlib.suppress(OSError):
            while True:
                stream.write(bytes(1 << 20))
                stream.flush()
        time.sleep(self._random.uniform(*_AWAY))
        ballast.unlink()
        return True

    def refuse_writes(self) -> bool:
        """The store is read-only for a while; busy writers are waited for, as the system demands."""
        remount = ["mount", "-o", "remount,ro", str(self.cluster.store)]
        if not _becomes(lambda: subprocess.run(remount, capture_output=True).returncode == 0, 5):
            return False
        time.sleep(self._random.uniform(*_AWAY))
        subprocess.run(["mount", "-o", "remount,rw", str(self.cluster.store)], check=True)
        return True

    def _kill(self, titles: tuple[str, ...]) -> bool:
        """Kill one of the processes of these titles, whichever it is."""
        hosts = (self.cluster.head, self.cluster.worker)
        found = sorted(pid for host in hosts for pid in host.processes() if _title(pid).startswith(titles))
        if not found:
            return False
        with contextlib.suppress(ProcessLookupError):  # it has just ended by itself
            os.kill(self._random.choice(found), signal.SIGKILL)
        return True

    def _signal_sweep(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.sweep.pid, number)


class Settled(Exception):
    """The sweep ended well before all events had happened."""


@contextlib.contextmanager
def cluster(folder: Path) -> Iterator[Cluster]:
    """A running cluster; gone with all its processes, whatever happens."""
    with network() as net:
        made = Cluster(net, folder)
        try:
            made.begin()
            yield made
        finally:
            made.end()


def faults_in_tracking(uri: str, study: str) -> list[str]:
    """What is wrong with the runs in MLflow: doubled ones, and such that are not finished."""
    from mlflow import MlflowClient

    client, faults = MlflowClient(uri), []
    tags = {study: ("sweep", "kind", "row", "seed", "number"), "stages": ("fingerprint",)}  # that tell what a run is of
    for name in tags:
        experiment = client.get_experiment_by_name(name)
        runs = client.search_runs([experiment.experiment_id], max_results=5000)
        places = Counter(tuple(run.data.tags.get(tag, "") for tag in tags[name]) for run in runs)
        faults += [f"{name}: {number} runs of {place}" for place, number in places.items() if number > 1]
        faults += [f"{name}: {run.info.run_name} is {run.info.status}" for run in runs if run.info.status != "FINISHED"]
    return faults


def _title(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0].decode(errors="replace")
    except OSError:
        return ""


def _becomes(condition: Callable[[], bool], seconds: float) -> bool:
    limit = time.monotonic() + seconds
    while not (held := condition()) and time.monotonic() < limit:
        time.sleep(0.2)
    return held


def _wait(condition: Callable[[], bool], seconds: float, story: str) -> None:
    assert _becomes(condition, seconds), story
