"""The end of a sweep: what failed, the table, and what MLflow keeps of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from orchestrator.artifacts import ArtifactStore
from orchestrator.delivery import deliver_statistics
from orchestrator.plan import Plan, failed_stages
from orchestrator.records import Status, command_words
from orchestrator.tables.cells import Table, make_table
from orchestrator.tables.files import table_files, write_files, write_refusal
from orchestrator.tables.render import Format, render
from orchestrator.tables.terminal import terminal
from orchestrator.tracking import Tracker, read_sweep, study_page
from trainables.errors import UserError
from trainables.pictures import FIGURES

_LINES = 12  # of a traceback; the whole of it is in the store


def print_failures(plan: Plan, store: ArtifactStore, console: Console) -> None:
    """Say which stages failed, how often each was tried, why, and how to go on."""
    failed = failed_stages(plan, store)
    for stage, failure in failed:
        console.print(f"[bold red]✗ {stage.stage.label}[/bold red] {escape(stage.fingerprint)}", highlight=False)
        console.print(escape(failure.happened), highlight=False)
        console.print(escape("\n".join(failure.error.strip().splitlines()[-_LINES:])), highlight=False)
    lasting = sum(failure.lasts for _, failure in failed)
    if lasting:
        console.print(f"{lasting} stages failed. Mend the cause, then run the same command with --redo retry.")
    if others := len(failed) - lasting:
        console.print(f"{others} stages failed by what may have passed meanwhile: the same command tries them again.")


def print_table(
    plan: Plan, tracker: Tracker, uri: str, store: ArtifactStore, status: Status, results: Path, console: Console
) -> bool:
    """End the sweep in MLflow, and print and keep its table, which is made from MLflow alone.

    Args:
        plan: What was run.
        tracker: Has every trial delivered.
        uri: MLflow's store or server.
        store: Has the predictions behind the statistics, and the pictures of stages.
        status: How the sweep ended.
        results: The files are written to ``tables/<study>/`` in it.
        console: Where to print.

    Returns:
        Whether there is a table.
    """
    folder = results / "tables" / plan.study.name
    try:
        table = _table(plan, tracker, uri, store) if tracker.flush() else None
        drawn = _pictures(plan, store) if table else {}
        files = write_files(table_files(table), folder) if table else []
        pictures = _renew(drawn, folder) if table else []
    except UserError as error:
        tracker.close_sweep("FAILED")
        write_refusal(folder, error.messages)
        console.print(f"[bold red]no table:[/bold red] {escape(str(error))}", highlight=False)
        words = command_words(plan.study.name)
        console.print(f"`python -m orchestrator.table {words} --partial` shows what there is.", highlight=False)
        return False
    if table is None or tracker.problem:
        console.print(f"[bold red]no table:[/bold red] {escape(tracker.problem or '')}.", highlight=False, soft_wrap=True)
        console.print("The same command delivers the results later and computes nothing again. They are in", plan.setting.store)
        return False
    tracker.close_sweep(status, files, render(table, Format.markdown), pictures)
    console.print(terminal(table))
    if uri.startswith("sqlite:"):
        console.print(f"Compare the runs:  mlflow ui --host 127.0.0.1 --backend-store-uri {uri}", highlight=False, soft_wrap=True)
        console.print(f"and open  {study_page(uri, plan.study.name)}", highlight=False, soft_wrap=True)
    console.print(f"Table as Markdown, LaTeX, CSV, HTML and picture:  {folder}", highlight=False, soft_wrap=True)
    return True


def _table(plan: Plan, tracker: Tracker, uri: str, store: ArtifactStore) -> Table:
    """The sweep's table, after its statistics have been written to MLflow."""
    write_statistics(plan, tracker, uri, store)
    return make_table(read_sweep(uri, plan.study.name, plan.sweep.key))


def _pictures(plan: Plan, store: ArtifactStore) -> dict[str, bytes]:
    """What the last stage of every row shows at its lowest seed, by path beside the table: ``figures/<row>_<name>.png``."""
    shown: dict[str, bytes] = {}
    for row in plan.study.table.rows:
        first = min((trial for trial in plan.trials if trial.record.row == row.key), key=lambda trial: trial.record.seed)
        found = store.pictures(first.record.fingerprint) if first.target.draws else {}
        shown |= {f"{FIGURES}/{row.key}_{name}": content for name, content in found.items()}
    return shown


def _renew(pictures: dict[str, bytes], folder: Path) -> list[Path]:
    """Write the pictures beside a table in place of those of an earlier one, whose rows may be others."""
    for old in (folder / FIGURES).glob("*.png"):
        old.unlink()
    return write_files(pictures, folder)


def write_statistics(plan: Plan, tracker: Tracker, uri: str, store: ArtifactStore) -> None:
    """Write the statistics of all rows, as far as they have come, to MLflow. Raises UserError as :func:`deliver_statistics`."""

    def call(method: str, *arguments: Any) -> None:
        getattr(tracker, method)(*arguments)

    if tracker.flush():
        deliver_statistics(call, read_sweep(uri, plan.study.name, plan.sweep.key), store)
