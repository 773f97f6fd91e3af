"""One sweep from command to table: check, plan, run, deliver, print."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress

from orchestrator.artifacts import ArtifactStore
from orchestrator.delivery import Call, deliver_stage, deliver_trial
from orchestrator.execution.resources import ResourceRequest, request_faults, this_machine
from orchestrator.execution.walk import Setting
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
    for name, find in (("study", lambda: load_study(options.study)), ("scale", lambda: find_scale(options.scale))):
        try:
            found[name] = find()
        except UserError as error:
            faults.add(str(error))
    if "study" in found:
        try:
            found["corpora"] = open_corpora(options.corpora, options.results, found["study"].roles())
        except UserError as error:
            faults.add(str(error))
    if options.local and (options.address or options.request.workers > 1):
        faults.add("--local runs one worker in this process; leave out --address and --workers, or --local")
    if "study" in found and options.address is None and not options.local:
        scale = found.get("scale", SCALES["paper"])
        stages = [scale.apply(chain(0)) for chain in found["study"].chains.values()]
        distinct = {stage for last in stages for stage in last.chain()}
        for message in request_faults(options.request, distinct, [options.machine]):
            faults.add(message)
    faults.raise_if_any()
    setting = Setting(found["corpora"], options.store_root, code_version(), threads=options.request.cpus_per_worker)
    seeds = tuple(range(options.seeds or found["scale"].seeds))
    return make_plan(found["study"], found["scale"], seeds, setting, ArtifactStore(options.store_root))


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
    store = ArtifactStore(options.store_root)
    options.results.mkdir(parents=True, exist_ok=True)
    prepare_store(plan, options.redo, store)
    if options.redo is not Redo.cached:
        plan = plan_for(options)
    store.sweep_up()
    uri = default_uri(options.results)
    tracker = Tracker(uri, default_artifacts(uri, options.results))
    started = time.monotonic()
    outcome = "FINISHED"
    if plan.in_state(State.missing):
        _prepare_corpora(plan, console)
        outcome = _run_locally(plan, tracker, options, console) if options.local else _run_on_ray(plan, uri, options, console)
    return _conclude(plan, tracker, outcome, options, console, time.monotonic() - started)


def _prepare_corpora(plan: Plan, console: Console) -> None:
    """Make the twins that are still to be made, with a progress bar."""
    for corpus in plan.setting.corpora.values():
        with Progress(console=console, transient=True) as progress:
            task = progress.add_task(f"making {corpus.name}", total=None)
            corpus.prepare(
                lambda done, total, task=task, progress=progress: progress.update(task, completed=done, total=total)
            )


def _run_locally(plan: Plan, tracker: Tracker, options: Options, console: Console) -> str:
    """In this process; returns how the sweep ended."""
    from orchestrator.execution.local import LocalExecutor

    running: dict[str, tuple[float, float]] = {}
    store, clock, stopping = ArtifactStore(plan.setting.store), {}, threading.Event()

    def show(name: str, fraction: float) -> None:
        running.clear()
        running[name] = (fraction, time.monotonic() - clock.setdefault(name, time.monotonic()))

    def call(method: str, *arguments: Any) -> None:
        getattr(tracker, method)(*arguments)

    tracker.open_sweep(plan.sweep)
    display = SweepDisplay(plan, console, lambda: dict(running), store.is_done)
    with _stop_signals(stopping.set), display.shown(options.results / "sweep.log"):
        try:
            LocalExecutor(plan.setting, call, show, stopping=stopping).run(plan.trials)
        except StopRequested:
            return "KILLED"
    return "FINISHED"


def _run_on_ray(plan: Plan, uri: str, options: Options, console: Console) -> str:
    """On a Ray cluster; returns how the sweep ended."""
    from orchestrator.execution.environment import set_environment

    set_environment(options.address)  # before the first import of Ray

    from orchestrator.execution.cluster import joined, node_resources
    from orchestrator.execution.ray_sweep import RaySweep

    with joined(options.address, options.machine):
        faults = Faults("the resources of the cluster")
        for message in request_faults(options.request, {stage.stage for stage in plan.stages}, node_resources()):
            faults.add(message)
        faults.raise_if_any()
        sweep = RaySweep(plan, options.request, uri, default_artifacts(uri, options.results))
        display = SweepDisplay(plan, console, sweep.running, ArtifactStore(plan.setting.store).is_done)
        with _stop_signals(sweep.stop), display.shown(options.results / "sweep.log"):
            return sweep.run()


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


def _conclude(plan: Plan, tracker: Tracker, outcome: str, options: Options, console: Console, seconds: float) -> int:
    """Deliver to MLflow what is missing there, print the table or what is in its way."""
    from orchestrator.reporting import print_failures, print_table

    store = ArtifactStore(plan.setting.store)
    finished = [trial for trial in plan.trials if store.is_done(trial.record.fingerprint)]
    tracker.open_sweep(plan.sweep)
    _deliver(plan, lambda method, *arguments: getattr(tracker, method)(*arguments), store)
    complete = len(finished) == len(plan.trials)
    if outcome == "FINISHED" and not complete:
        outcome = "FAILED"
    if outcome == "KILLED":
        tracker.close_sweep("KILLED")
        console.print(
            f"Stopped. {len(finished)} of {len(plan.trials)} trials are finished; the same command goes on from here."
        )
        return INTERRUPTED
    print_failures(plan, store, console)
    uri = default_uri(options.results)
    printed = print_table(plan, tracker, uri, outcome, options.results, console)
    console.print(f"{len(finished)} of {len(plan.trials)} trials finished in {seconds:.0f} s.", highlight=False)
    return COMPLETE if complete and printed else INCOMPLETE


def _deliver(plan: Plan, call: Call, store: ArtifactStore) -> None:
    for stage in plan.stages:
        if store.is_done(stage.fingerprint):
            deliver_stage(call, stage.stage, stage.fingerprint, store)
    for trial in plan.trials:
        if store.is_done(trial.record.fingerprint):
            deliver_trial(call, trial.record, store)
