"""A search from its plan to the study of what it found: look, run what is missing, open the test split once."""

from __future__ import annotations

from functools import partial
from typing import Any

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from orchestrator.artifacts import ArtifactStore
from orchestrator.checks import Checked, Options
from orchestrator.delivery import deliver_stage
from orchestrator.disk_budget import DiskBudget
from orchestrator.progress import Running, live
from orchestrator.running import on_cluster, stop_signals, tracker_of
from orchestrator.search.claim import Claim, claimed
from orchestrator.search.document import SearchDocument
from orchestrator.search.plan import SearchPlan, plan_search, prepare_search, search_sentence
from orchestrator.status_writer import Activity, StatusWriter, ledger_activity, place_of, status_written
from orchestrator.tracking import default_artifacts, default_uri
from search_spaces.study import Study
from trainables.errors import UserError


def look_at(checked: Checked, options: Options, console: Console) -> SearchPlan:
    """Where the search stands; printed.

    Raises:
        UserError: It may not be run as it is asked for.
    """
    search = checked.question
    plan = plan_search(search, checked.scale, checked.seeds, checked.setting, options.trials, options.search_seed, options.redo)
    console.print(f"[bold]{search.source}: {search.title}[/bold]", highlight=False)
    console.print(search_sentence(plan), highlight=False)
    return plan


def finish_search(plan: SearchPlan, options: Options, console: Console) -> Study | None:
    """Run the trials that are missing and open the test split; the study to be made on it, or None if the search was stopped.

    Raises:
        UserError: No trial came to its end, or another process runs this search.
    """
    if plan.opened:  # there is nothing left to write
        return _open(plan, options, console, ran=False)
    store = ArtifactStore(plan.setting.store)
    with claimed(store, plan.key, plan.search.name) as claim:
        plan, document = prepare_search(plan), SearchDocument()
        with status_written(store, document.of(plan), place_of(options)) as status:
            ran = plan.missing > 0
            if ran:
                _run(plan, claim, options, console, status, document)
                claim.confirm()
                plan = plan.refreshed()
                status.plan = document.of(plan)
            if plan.missing:
                _deliver(plan, options, "KILLED", stages=ran)
                console.print(f"Stopped. {len(plan.told)} of {plan.trials} trials are told; the same command goes on from here.")
                status.state = "stopped"
                return None
            study = _open(plan, options, console, ran)
            status.state = "finished"
            return study


def _open(plan: SearchPlan, options: Options, console: Console, ran: bool) -> Study:
    """Open the test split, or take the table of when it was opened; tell MLflow and the user."""
    try:
        study = plan.open_test()
    except UserError:
        _deliver(plan, options, "FAILED", stages=ran)
        raise
    plan = plan.refreshed()
    _deliver(plan, options, "FINISHED", stages=ran)
    console.print(search_table(plan, {}))
    console.print(f"The test split was opened at {plan.opened.summary}.", highlight=False)
    return study


def _run(
    plan: SearchPlan, claim: Claim, options: Options, console: Console, status: StatusWriter, document: SearchDocument
) -> None:
    uri = default_uri(options.results)
    with on_cluster(options, plan.setting, plan.search.kinds(plan.scale), console):
        from orchestrator.execution.ray_search import RaySearch

        search = RaySearch(plan, claim, options.request, uri, default_artifacts(uri, options.results))

        def picture() -> Group:
            now = search.now()
            return Group(search_table(now, search.running()), Text(f"trials {len(now.told)}/{now.trials}", style="bold"))

        def activity() -> Activity:
            status.plan = document.of(search.now())
            return ledger_activity(search.snapshot)

        store, say = ArtifactStore(plan.setting.store), partial(console.print, markup=False, soft_wrap=True)
        budget = DiskBudget.of(options.disk_budget, store, plan.key, say)
        followed, shown = status.following(activity), live(console, picture, options.results / "sweep.log")
        with followed, stop_signals(search.stop), budget.watched(search.stop), shown:
            search.run()


def _deliver(plan: SearchPlan, options: Options, status: str, stages: bool) -> None:
    """Make sure that MLflow has every trial, and when the test split was opened; with ``stages`` also what this run computed."""
    tracker, store = tracker_of(options), ArtifactStore(options.store_root)

    def call(method: str, *arguments: Any) -> None:
        getattr(tracker, method)(*arguments)

    tracker.open_search(plan.record)
    for trial in plan.told + plan.unfinished:
        tracker.point_told(trial.number, trial.point, trial.rungs, trial.value, trial.state)
        for stage in plan.search.stages(trial.point, plan.scale, plan.seeds) if stages else ():
            if store.is_done(name := plan.setting.fingerprint(stage)):
                deliver_stage(call, stage, name, store)
    tracker.close_search(status, plan.opened.summary if plan.opened else "")


def search_table(plan: SearchPlan, running: Running) -> Table:
    """The trials so far, the best first; those without a value by their number."""
    table = Table("trial", "state", *(f"probe {epoch}" for epoch in plan.rungs), "value", "point", box=None)
    trials = sorted(plan.told, key=lambda trial: (trial.value is None, -(trial.value or 0.0), trial.number))
    for trial in [*trials, *plan.unfinished]:
        scores = [f"{trial.rungs[epoch]:.3f}" if epoch in trial.rungs else "" for epoch in plan.rungs]
        value = "" if trial.value is None else f"{trial.value:.3f}"
        point = " ".join(f"{name}={value:.3g}" for name, value in trial.point.items())
        table.add_row(str(trial.number), trial.state, *scores, value, point, style="" if trial.told else "dim")
    for name, (fraction, seconds) in sorted(running.items()):
        table.caption = f"{table.caption or ''}{name.split('/')[0]} {fraction:.0%} after {seconds:.0f} s   "
    return table
