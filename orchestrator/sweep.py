"""``python -m orchestrator.sweep STUDY``: run every trial behind a table and print it. The same command, run again, resumes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from orchestrator.command import Store, command_line, console
from orchestrator.plan import Redo

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, context_settings={"help_option_names": ["-h", "--help"]})


@app.command()
def sweep(
    context: typer.Context,
    study: Annotated[str | None, typer.Argument(help="The study, e.g. reclr_lambda; --list shows all.")] = None,
    list_studies: Annotated[bool, typer.Option("--list", help="Show all studies and stop.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything, print the plan, run nothing.")] = False,
    curve: Annotated[
        bool, typer.Option("--curve", help="Instead of the table: many values of its parameter, with a plot (reclr_lambda).")
    ] = False,
    corpora: Annotated[str, typer.Option(help="'demo' for synthetic twins, or a corpora.toml.")] = "demo",
    scale: Annotated[
        str, typer.Option(help="'demo' (a laptop), 'paper' (the published settings), 'smoke' (seconds, learns nothing).")
    ] = "demo",
    protocol: Annotated[
        str | None, typer.Option(help="Another protocol than the study's own, e.g. daic-official; speakers-5-fold cross-validates.")
    ] = None,
    controls: Annotated[
        bool,
        typer.Option(
            "--controls", help="Of a depression table: rows that listen to a shortcut alone, and a mark at rows no better."
        ),
    ] = False,
    seeds: Annotated[
        int | None, typer.Option(min=1, help="Number of seeds; by default 3 at demo scale, 10 at the paper's.")
    ] = None,
    trials: Annotated[int | None, typer.Option(min=1, help="Of a search: number of trials; by default 8 at demo scale.")] = None,
    search_seed: Annotated[int, typer.Option(min=0, help="Of a search: decides which points are drawn.")] = 0,
    redo: Annotated[
        Redo,
        typer.Option(help="What to do again: nothing (cached), failed stages (retry), all (force); read-only computes nothing."),
    ] = Redo.cached,
    workers: Annotated[int, typer.Option(min=1, help="Workers of each data-parallel stage.")] = 1,
    cpus_per_worker: Annotated[int, typer.Option(min=1, help="CPUs and threads of each worker.")] = 1,
    gpus_per_worker: Annotated[
        float | None, typer.Option(min=0, help="GPUs of each worker, fractions included; by default 1 where there are any.")
    ] = None,
    per_stage: Annotated[
        list[str] | None,
        typer.Option(help="Other resources for one class of stages: Class.workers=4, Class.cpus=8, Class.gpus=0.5; repeatable."),
    ] = None,
    address: Annotated[
        str | None,
        typer.Option(help="Ray cluster: 'auto', host:port, or http(s)://... to submit a job; by default one is started here."),
    ] = None,
    local: Annotated[bool, typer.Option("--local", help="Without Ray: one stage after the other in this process.")] = False,
    allow_leaks: Annotated[
        bool, typer.Option("--allow-leaks", help="Go on although the leakage audit found leaks; runs and table then say so.")
    ] = False,
    results: Annotated[Path, typer.Option(help="Folder of twins, results and the MLflow store.")] = Path("results"),
    store: Store = None,
    disk_budget: Annotated[
        str | None, typer.Option(help="How large the store may become, e.g. 200GiB: what is spent goes, or nothing new starts.")
    ] = None,
) -> None:
    """Run a study: plan it, run each distinct stage once, print the table."""
    if list_studies:
        _list()
        return
    if study is None:
        raise typer.BadParameter("give the name of a study; --list shows all", param_hint="STUDY")
    from orchestrator.checks import Options
    from orchestrator.conductor import conduct
    from orchestrator.execution.per_stage import read_per_stage
    from orchestrator.execution.resources import ResourceRequest
    from orchestrator.submission.request import Submission, read_request
    from orchestrator.submitting import is_jobs_api, submit

    options = Options(
        study=study,
        curve=curve,
        corpora=corpora,
        protocol=protocol,
        controls=controls,
        scale=scale,
        seeds=seeds,
        trials=trials,
        search_seed=search_seed,
        redo=redo,
        request=ResourceRequest(workers, cpus_per_worker, gpus_per_worker, *read_per_stage(per_stage or ())),
        address=address,
        local=local,
        allow_leaks=allow_leaks,
        results=results,
        store=store,
        disk_budget=disk_budget,
    )
    if context.obj is not None:  # another command with the options of this one, which says who runs it
        raise typer.Exit(context.obj(options, read_request(context), console))
    if is_jobs_api(address):
        raise typer.Exit(submit(options, read_request(context), Submission(), console))
    raise typer.Exit(conduct(options, console, dry_run=dry_run))


def _list() -> None:
    from rich.table import Table

    from search_spaces.search import find_search
    from search_spaces.study import load_study, study_names

    table = Table("study", "source", "title", "corpora", box=None, padding=(0, 2))
    for name in study_names():
        found = find_search(name) or load_study(name)
        table.add_row(name, found.source, found.title, ", ".join(found.roles()))
    console.print(table)


if __name__ == "__main__":
    command_line(app)
