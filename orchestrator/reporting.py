"""The end of a sweep: what failed, the table, and what MLflow keeps of it."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.markup import escape

from orchestrator.artifacts import ArtifactStore
from orchestrator.plan import Plan
from orchestrator.records import Status
from orchestrator.tables.cells import make_table
from orchestrator.tables.figure import headline_figure
from orchestrator.tables.render import Format, render, terminal
from orchestrator.tracking import Tracker, read_trials, study_page
from trainables.errors import UserError

_FILES = {Format.markdown: "table.md", Format.latex: "table.tex", Format.csv: "table.csv", Format.html: "table.html"}
_LINES = 12  # of a traceback; the whole of it is in the store


def print_failures(plan: Plan, store: ArtifactStore, console: Console) -> None:
    """Say which stages failed, why, and how to go on."""
    failed = [(stage, story) for stage in plan.stages if (story := store.failure(stage.fingerprint))]
    for stage, story in failed:
        console.print(f"[bold red]✗ {stage.stage.label}[/bold red] {escape(stage.fingerprint)}", highlight=False)
        console.print(escape("\n".join(story.strip().splitlines()[-_LINES:])), highlight=False)
    if failed:
        console.print(f"{len(failed)} stages failed. Mend the cause, then run the same command with --redo retry.")


def print_table(plan: Plan, tracker: Tracker, uri: str, status: Status, results: Path, console: Console) -> bool:
    """End the sweep in MLflow, and print and keep its table, which is made from MLflow alone.

    Args:
        plan: What was run.
        tracker: Has every trial delivered.
        uri: MLflow's store or server.
        status: How the sweep ended.
        results: The files are written to ``tables/<study>/`` in it.
        console: Where to print.

    Returns:
        Whether there is a table.
    """
    if tracker.problem:
        console.print(f"[bold red]no table:[/bold red] {escape(tracker.problem)}.", highlight=False, soft_wrap=True)
        console.print("The same command delivers the results later and computes nothing again. They are in", plan.setting.store)
        return False
    try:
        table = make_table(*read_trials(uri, plan.study.name, plan.sweep.key))
    except UserError as error:
        tracker.close_sweep("FAILED")
        console.print(f"[bold red]no table:[/bold red] {escape(str(error))}", highlight=False)
        console.print(f"`python -m orchestrator.table {plan.study.name} --partial` shows what there is.", highlight=False)
        return False
    folder = results / "tables" / plan.study.name
    folder.mkdir(parents=True, exist_ok=True)
    for form, name in _FILES.items():
        (folder / name).write_text(render(table, form), encoding="utf-8")
    figure = headline_figure(table, folder / "table.png")
    tracker.close_sweep(status, [*(folder / name for name in _FILES.values()), figure], render(table, Format.markdown))
    console.print(terminal(table))
    if uri.startswith("sqlite:"):
        console.print(f"Compare the runs:  mlflow ui --host 127.0.0.1 --backend-store-uri {uri}", highlight=False, soft_wrap=True)
        page = f"http://127.0.0.1:5000/{study_page(uri, plan.study.name)}"
        console.print(f"and open  {page}", highlight=False, soft_wrap=True)
    console.print(f"Table as Markdown, LaTeX, CSV, HTML and picture:  {folder}", highlight=False, soft_wrap=True)
    return True
