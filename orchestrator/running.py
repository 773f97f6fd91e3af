"""What running a sweep and running a search have in common: being alone, joining a cluster, stopping in good order."""

from __future__ import annotations

import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from filelock import FileLock, Timeout
from rich.console import Console
from rich.progress import Progress

from orchestrator.checks import Options
from orchestrator.execution.resources import request_faults
from orchestrator.execution.setting import Setting
from orchestrator.tracking import Tracker, default_artifacts, default_uri
from trainables.errors import Faults, UserError
from trainables.stage import Stage


@contextmanager
def alone(options: Options) -> Iterator[None]:
    """Two sweeps on this machine would not know of each other and compute everything twice; on a cluster they share a ledger.

    Raises:
        UserError: Another sweep runs on these results.
    """
    lock = FileLock(options.results / "sweep.lock", timeout=0)
    try:
        with lock if options.address is None else nullcontext():
            yield
    except Timeout:
        raise UserError(f"another sweep is running on {options.results}; wait for it, or choose other --results") from None


@contextmanager
def on_cluster(options: Options, setting: Setting, stages: Iterable[Stage], console: Console) -> Iterator[None]:
    """Be a driver of the cluster, after all was checked that only the cluster can tell, and with all corpora made.

    Raises:
        UserError: The cluster cannot be reached, has not what the stages need, or does not share the store.
    """
    from orchestrator.execution.environment import set_environment

    set_environment(options.address)  # before the first import of Ray

    from orchestrator.execution.cluster import check_shared, current_shape, joined

    with joined(options.address, options.machine):
        faults = Faults("the resources of the cluster")
        for message in request_faults(options.request, set(stages), current_shape()):
            faults.add(message)
        faults.raise_if_any()
        check_shared(setting.store)
        prepare_corpora(setting, console)
        yield


def prepare_corpora(setting: Setting, console: Console) -> None:
    """Make the twins that are still to be made, with a progress bar."""
    for corpus in setting.corpora.values():
        with Progress(console=console, transient=True) as progress:
            task = progress.add_task(f"making {corpus.name}", total=None)
            corpus.prepare(lambda done, total, task=task, progress=progress: progress.update(task, completed=done, total=total))


def tracker_of(options: Options) -> Tracker:
    """A tracker in this very process."""
    uri = default_uri(options.results)
    return Tracker(uri, default_artifacts(uri, options.results))


@contextmanager
def stop_signals(stop: Any) -> Iterator[None]:
    """First Ctrl-C or SIGTERM: stop cleanly (running stages save a checkpoint). Second: at once."""

    def handle(number: int, frame: Any) -> None:
        for name in (signal.SIGINT, signal.SIGTERM):
            signal.signal(name, signal.default_int_handler)
        stop()

    before = {name: signal.signal(name, handle) for name in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)
