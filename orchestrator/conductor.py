"""One sweep from command to table: check, plan, run, deliver, print."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from rich.console import Console
from rich.progress import Progress

from orchestrator.artifacts import ArtifactStore
from orchestrator.delivery import Call, deliver_stage, deliver_trial
from orchestrator.execution.resources import ResourceRequest, request_faults, this_machine
from orchestrator.execution.setting import Setting
from orchestrator.plan import Plan, Redo, State, make_plan, prepare_store
from orchestrator.progress import SweepDisplay, plan_sentence, plan_table
from orchestrator.provenance import code_version
from orchestrator.tracking import Tracker, default_artifacts, default_uri
from search_spaces.scale import SCALES, find_scale
from search_spaces.study import load_study
from trainables.errors import Faults, UserError
from trainables.stage import StopRequested

COMPLETE, INCOMPLETE, INTERRUPTED = 0, 1, 130
"""Exit codes."""


@dataclass(frozen=True)
class Options:
    """A sweep as the user asked for it; see ``python -m orchestrator.sweep --help``."""

    study: str
    corpora: str = "demo"
    scale: str = "demo"
    seeds: int | None = None
    redo: Redo = Redo.cached
    request: ResourceRequest = field(default_factory=ResourceRequest)
    address: str | None = None
    local: bool = False
    results: Path = Path("results")
    store: str | None = None
    machine: dict[str, float] = field(default_factory=this_machine)
    """CPUs and GPUs of the cluster that is started here (tests pretend)."""

    @property
    def store_root(self) -> str:
        """Root of the artifact store."""
        return ArtifactStore(self.store or self.results / "store").uri


def plan_for(options: Options) -> Plan:
    """Check everything that can be checked without computing, and plan.

    Raises:
        UserError: All faults of the command, the corpora and the resources together.
    """
    from trainables.corpora.registry import open_corpora

    faults, found = Faults("the command"), {}

    def attempt(name: str, find: Callable[[], Any]) -> None:
        try:
            found[name] = find()
        except UserError as error:
            for message in error.messages:
                faults.add(message)

    attempt("study", lambda: load_study(options.study))
    attempt("scale", lambda: find_scale(options.scale))
    if "study" in found:
        attempt("corpora", lambda: open_corpora(options.corpora, options.results, found["study"].roles()))
        scale = found.get("scale", SCALES["paper"])
        distinct = {stage for chain in found["study"].chains.values() for stage in scale.apply(chain(0)).chain()}
        nodes = [options.machine] if options.address is None else None
        for message in request_faults(options.request, distinct, nodes):
            faults.add(message)
    for message in place_faults(options):
        faults.add(message)
    faults.raise_if_any()
    setting = Setting(
        corpora=found["corpora"], store=options.store_root, code=code_version(), threads=options.request.cpus_per_worker
    )
    seeds = tuple(range(options.seeds or found["scale"].seeds))
    store = ArtifactStore(options.store_root)
    try:
        return make_plan(found["study"], found["scale"], seeds, setting, store, options.redo)
    except OSError as error:
        raise UserError(f"the store {store.uri} cannot be read: {error}") from error


def place_faults(options: Options) -> list[str]:
    """What is wrong with where the sweep should run and leave its results."""
    faults = []
    if options.local and (options.address or options.request.workers > 1):
        faults.append("--local runs one worker in this process; leave out --address and --workers, or --local")
    if (unwritable := _unwritable(options.results)) is not None:
        faults.append(f"--results {options.results}: {unwritable} is not a folder that can be written to; choose another")
    host, _, port = (options.address or "").rpartition(":")
    if host and port.isdigit() and "://" not in options.address:
        try:
            socket.create_connection((host, int(port)), timeout=3).close()
        except OSError as error:
            faults.append(f"--address {options.address}: nobody answers ({error}); check host, port and that the cluster is up")
    return faults


def _unwritable(folder: Path) -> Path | None:
    """The nearest existing part of a path, if nothing can be made in it."""
    there = next(part for part in (folder.absolute(), *folder.absolute().parents) if part.exists())
    return None if there.is_dir() and os.access(there, os.W_OK) else there


def conduct(options: Options, console: Console, dry_run: bool = False) -> int:
    """Run a sweep and print its table; returns the exit code.

    Raises:
        UserError: Anything that the user can mend, before any compute.
    """
    plan = plan_for(options)
    console.print(plan_table(plan))
    console.print(plan_sentence(plan), highlight=False)
    if dry_run:
        return COMPLETE
    options.results.mkdir(parents=True, exist_ok=True)
    with _alone(options):
        store, started = ArtifactStore(options.store_root), time.monotonic()
        prepare_store(plan, options.redo, store)
        store.sweep_up()
        outcome = "FINISHED"
        if plan.in_state(State.missing):
            run = _run_locally if options.local else _run_on_ray
            outcome = run(plan, options, console)
        return _conclude(plan, outcome, options, console, time.monotonic() - started)


@contextmanager
def _alone(options: Options) -> Iterator[None]:
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


def _prepare_corpora(plan: Plan, console: Console) -> None:
    """Make the twins that are still to be made, with a progress bar."""
    for corpus in plan.setting.corpora.values():
        with Progress(console=console, transient=True) as progress:
            task = progress.add_task(f"making {corpus.name}", total=None)
            corpus.prepare(lambda done, total, task=task, progress=progress: progress.update(task, completed=done, total=total))


def _run_locally(plan: Plan, options: Options, console: Console) -> str:
    """In this process; returns how the sweep ended."""
    from orchestrator.execution.local import LocalExecutor

    running: dict[str, tuple[float, float]] = {}
    store, clock, stopping = ArtifactStore(plan.setting.store), {}, threading.Event()
    tracker = _tracker(options)

    def show(name: str, fraction: float) -> None:
        running.clear()
        since = clock.setdefault(name, time.monotonic())
        running[name] = (fraction, time.monotonic() - since)

    def call(method: str, *arguments: Any) -> None:
        getattr(tracker, method)(*arguments)

    _prepare_corpora(plan, console)
    tracker.open_sweep(plan.sweep)
    display = SweepDisplay(plan, console, lambda: dict(running), store.is_done)
    with _stop_signals(stopping.set), display.shown(options.results / "sweep.log"):
        try:
            LocalExecutor(plan.setting, call, show, stopping).run(plan.trials)
        except StopRequested:
            return "KILLED"
    return "FINISHED"


def _run_on_ray(plan: Plan, options: Options, console: Console) -> str:
    """On a Ray cluster; returns how the sweep ended."""
    from orchestrator.execution.environment import set_environment

    set_environment(options.address)  # before the first import of Ray

    from orchestrator.execution.cluster import check_shared, joined, node_resources
    from orchestrator.execution.ray_sweep import RaySweep

    uri = default_uri(options.results)
    with joined(options.address, options.machine):
        faults = Faults("the resources of the cluster")
        for message in request_faults(options.request, {stage.stage for stage in plan.stages}, node_resources()):
            faults.add(message)
        faults.raise_if_any()
        check_shared(plan.setting.store)
        _prepare_corpora(plan, console)
        sweep = RaySweep(plan, options.request, uri, default_artifacts(uri, options.results))
        display = SweepDisplay(plan, console, sweep.running, ArtifactStore(plan.setting.store).is_done)
        with _stop_signals(sweep.stop), display.shown(options.results / "sweep.log"):
            return sweep.run()


def _tracker(options: Options) -> Tracker:
    uri = default_uri(options.results)
    return Tracker(uri, default_artifacts(uri, options.results))


@contextmanager
def _stop_signals(stop: Any) -> Iterator[None]:
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


def _conclude(plan: Plan, outcome: str, options: Options, console: Console, seconds: float) -> int:
    """Deliver to MLflow what is missing there, print the table or what is in its way."""
    from orchestrator.reporting import print_failures, print_table

    store, tracker = ArtifactStore(plan.setting.store), _tracker(options)
    tracker.open_sweep(plan.sweep)
    _deliver(plan, lambda method, *arguments: getattr(tracker, method)(*arguments), store)
    finished = sum(store.is_done(trial.record.fingerprint) for trial in plan.trials)
    complete = finished == len(plan.trials)
    if outcome == "KILLED" and not complete:
        tracker.close_sweep("KILLED")
        console.print(f"Stopped. {finished} of {len(plan.trials)} trials are finished; the same command goes on from here.")
        return INTERRUPTED
    print_failures(plan, store, console)
    status = "FINISHED" if complete else "FAILED"
    printed = print_table(plan, tracker, default_uri(options.results), status, options.results, console)
    console.print(f"{finished} of {len(plan.trials)} trials finished in {seconds:.0f} s.", highlight=False)
    return COMPLETE if complete and printed else INCOMPLETE


def _deliver(plan: Plan, call: Call, store: ArtifactStore) -> None:
    for stage in plan.stages:
        if store.is_done(stage.fingerprint):
            deliver_stage(call, stage.stage, stage.fingerprint, store)
    for trial in plan.trials:
        if store.is_done(trial.record.fingerprint):
            deliver_trial(call, trial.record, store)
