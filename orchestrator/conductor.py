"""From command to table: check, plan, search if it is a search, run, deliver, print."""

from __future__ import annotations

import contextlib
import threading
import time
from dataclasses import replace
from functools import partial
from typing import Any

from rich.console import Console
from rich.markup import escape

from orchestrator.artifacts import ArtifactStore
from orchestrator.audit import Audit, audit, judge
from orchestrator.checks import Checked, Options, check, plan_study
from orchestrator.delivery import Call, deliver_stage, deliver_trial
from orchestrator.disk_budget import DiskBudget
from orchestrator.files import refusals_in_words
from orchestrator.plan import Plan, State, failed_stages, prepare_store
from orchestrator.progress import SweepDisplay, plan_sentence, plan_table
from orchestrator.running import alone, on_cluster, prepare_corpora, stop_signals, tracker_of
from orchestrator.status_writer import StatusWriter, ledger_activity, local_activity, place_of, status_written
from orchestrator.sweep_documents import PlanDocument
from orchestrator.tracking import default_artifacts, default_uri
from search_spaces.search import Search
from trainables.errors import UserError
from trainables.stage import StopRequested

COMPLETE, INCOMPLETE, INTERRUPTED = 0, 1, 130
"""Exit codes."""


@refusals_in_words()
def conduct(options: Options, console: Console, dry_run: bool = False) -> int:
    """Run a sweep, or a search and the sweep of what it found, and print the table; returns the exit code.

    Raises:
        UserError: Anything that the user can mend, before any compute.
    """
    checked = check(options)
    for line in checked.told:
        console.print(f"[dim]corpus:[/dim] {escape(line)}", highlight=False, soft_wrap=True)
    study = checked.question
    if isinstance(study, Search):
        return _conduct_search(checked, options, console, dry_run)
    plan = plan_study(checked, study, options)
    if dry_run:
        _show(plan, console)
        _audited(plan, options, console)
        return COMPLETE
    options.results.mkdir(parents=True, exist_ok=True)
    with alone(options):
        return _run(plan, options, console)


def _conduct_search(checked: Checked, options: Options, console: Console, dry_run: bool) -> int:
    """Search, then run the sweep of what was found; returns the exit code."""
    from orchestrator.searching import finish_search, look_at

    plan = look_at(checked, options, console)

    def audited() -> Audit:
        found = audit(plan.targets, checked.setting.corpora, options.results)
        judge(found, options.allow_leaks, console)
        return found

    if dry_run:
        audited()
        return COMPLETE
    options.results.mkdir(parents=True, exist_ok=True)
    with alone(options):
        prepare_corpora(checked.setting, console)
        plan = replace(plan, audit=audited())
        found = finish_search(plan, options, console)
        return INTERRUPTED if found is None else _run(plan_study(checked, found, options), options, console)


def _show(plan: Plan, console: Console) -> None:
    console.print(plan_table(plan))
    console.print(plan_sentence(plan), highlight=False)
    console.print(f"Protocol: {plan.protocol}.", highlight=False, markup=False, soft_wrap=True)


def _audited(plan: Plan, options: Options, console: Console) -> Plan:
    """The plan with what the leakage audit found. Raises UserError if there are leaks and they are not allowed."""
    found = audit((trial.target for trial in plan.trials), plan.setting.corpora, options.results)
    judge(found, options.allow_leaks, console)
    return replace(plan, audit=found)


def _run(plan: Plan, options: Options, console: Console) -> int:
    """Run whatever the plan lacks and print the table; returns the exit code."""
    _show(plan, console)
    store, started = ArtifactStore(options.store_root), time.monotonic()
    prepare_corpora(plan.setting, console)
    plan = _audited(plan, options, console)
    prepare_store(plan, options.redo, store)
    store.sweep_up()
    outcome = "FINISHED"
    with status_written(store, PlanDocument.of(plan), place_of(options)) as status:
        if plan.in_state(State.missing):
            run = _run_locally if options.local else _run_on_ray
            budget = DiskBudget.of(options.disk_budget, store, plan.sweep.key, partial(console.print, markup=False, soft_wrap=True))
            outcome = run(plan, options, console, status, budget) if budget.is_kept() else "KILLED"
        code = _conclude(plan, outcome, options, console, time.monotonic() - started)
        status.state = {COMPLETE: "finished", INTERRUPTED: "stopped"}.get(code, "failed")
    return code


def _run_locally(plan: Plan, options: Options, console: Console, status: StatusWriter, budget: DiskBudget) -> str:
    """In this process; returns how the sweep ended."""
    from orchestrator.execution.local import LocalExecutor

    running: dict[str, tuple[float, float]] = {}
    store, clock, stopping = ArtifactStore(plan.setting.store), {}, threading.Event()
    tracker = tracker_of(options)

    def show(name: str, fraction: float) -> None:
        running.clear()
        since = clock.setdefault(name, time.monotonic())
        running[name] = (fraction, time.monotonic() - since)

    def call(method: str, *arguments: Any) -> None:
        if method == "stage_started" and not budget.is_kept():
            raise StopRequested
        getattr(tracker, method)(*arguments)

    tracker.open_sweep(plan.sweep)
    display = SweepDisplay(plan, console, lambda: dict(running), store.is_done)
    followed = status.following(lambda: local_activity(dict(running)))
    with followed, stop_signals(stopping.set), display.shown(options.results / "sweep.log"):
        try:
            LocalExecutor(plan.setting, call, show, stopping).run(plan.trials)
        except StopRequested:
            return "KILLED"
        finally:
            tracker.leave()
    return "FINISHED"


def _run_on_ray(plan: Plan, options: Options, console: Console, status: StatusWriter, budget: DiskBudget) -> str:
    """On a Ray cluster; returns how the sweep ended."""
    uri = default_uri(options.results)
    with on_cluster(options, plan.setting, (stage.stage for stage in plan.stages), console):
        from orchestrator.execution.ray_sweep import RaySweep

        sweep = RaySweep(plan, options.request, uri, default_artifacts(uri, options.results))
        display = SweepDisplay(plan, console, sweep.running, ArtifactStore(plan.setting.store).is_done)
        followed = status.following(partial(ledger_activity, sweep.snapshot))
        with followed, stop_signals(sweep.stop), budget.watched(sweep.stop), display.shown(options.results / "sweep.log"):
            return sweep.run()


def _conclude(plan: Plan, outcome: str, options: Options, console: Console, seconds: float) -> int:
    """Deliver to MLflow what is missing there, print the table or what is in its way."""
    from orchestrator.reporting import print_failures, print_table, write_statistics

    store, tracker = ArtifactStore(plan.setting.store), tracker_of(options)
    tracker.open_sweep(plan.sweep)
    _deliver(plan, lambda method, *arguments: getattr(tracker, method)(*arguments), store)
    finished = sum(store.is_done(trial.record.fingerprint) for trial in plan.trials)
    complete = finished == len(plan.trials)
    if outcome == "KILLED" and not complete:
        with contextlib.suppress(UserError):  # what is wrong with a result is told when its table is made
            write_statistics(plan, tracker, default_uri(options.results), store)
        tracker.close_sweep("KILLED")
        console.print(f"Stopped. {finished} of {len(plan.trials)} trials are finished; the same command goes on from here.")
        return INTERRUPTED
    print_failures(plan, store, console)
    status = "FINISHED" if complete else "FAILED"
    printed = print_table(plan, tracker, default_uri(options.results), store, status, options.results, console)
    console.print(f"{finished} of {len(plan.trials)} trials finished in {seconds:.0f} s.", highlight=False)
    return COMPLETE if complete and printed else INCOMPLETE


def _deliver(plan: Plan, call: Call, store: ArtifactStore) -> None:
    failed = {stage.fingerprint: f"{stage.stage.label} failed: {failure.summary}" for stage, failure in failed_stages(plan, store)}
    for stage in plan.stages:
        if store.is_done(stage.fingerprint):
            deliver_stage(call, stage.stage, stage.fingerprint, store)
    for trial in plan.trials:
        if store.is_done(trial.record.fingerprint):
            deliver_trial(call, trial.record, store)
        elif told := [failed[name] for name in trial.record.stages if name in failed]:
            call("trial_ended", trial.record.model_copy(update={"failure": told[0]}), "FAILED", {})
