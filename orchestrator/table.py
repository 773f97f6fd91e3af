"""``python -m orchestrator.table STUDY``, or ``--all``: the tables of the last sweeps, from MLflow alone."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from orchestrator.command import command_line
from orchestrator.records import recorded_name
from orchestrator.tables.cells import make_table
from orchestrator.tables.render import Format, render
from orchestrator.tables.terminal import terminal
from trainables.errors import Faults

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, context_settings={"help_option_names": ["-h", "--help"]})

REFUSED = 1
"""Exit code of --all when a study has no sound table."""


@app.command()
def table(
    study: Annotated[str | None, typer.Argument(help="The study, e.g. reclr_lambda.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Write the tables of all studies, and an index page of them.")] = False,
    curve: Annotated[bool, typer.Option("--curve", help="The study's curve instead of its table.")] = False,
    controls: Annotated[bool, typer.Option("--controls", help="Of the sweep that was run with --controls.")] = False,
    protocol: Annotated[str | None, typer.Option(help="Of the sweep that was run with this --protocol.")] = None,
    form: Annotated[Format | None, typer.Option("--format", help="How to write the table.", show_default="terminal")] = None,
    output: Annotated[
        Path | None, typer.Option(help="Write to this file, not the screen; with --all a folder, by default RESULTS/tables.")
    ] = None,
    partial: Annotated[
        bool, typer.Option("--partial", help="Make it from incomplete or mixed trials; the caption says so.")
    ] = False,
    results: Annotated[Path, typer.Option(help="Folder of the results; unused if MLFLOW_TRACKING_URI is set.")] = Path("results"),
) -> None:
    """Print the table of the last sweep of a study, or write those of all studies."""
    _check(study, every, curve or controls or protocol is not None, form)
    if every:
        _write_all(results, output or results / "tables", partial)
    else:
        _show(recorded_name(study, curve, controls, protocol), form or Format.terminal, output, partial, results)


def _check(study: str | None, every: bool, asked: bool, form: Format | None) -> None:
    faults = Faults("the command")
    if study is None and not every:
        faults.add(
            "neither a study nor --all is given; name a study (`python -m orchestrator.sweep --list` shows them), or add --all"
        )
    if every and study is not None:
        faults.add(f"both the study {study!r} and --all are given; leave out one")
    if every and asked:
        faults.add("--all writes every table and curve, whatever was asked; leave out --curve, --controls and --protocol")
    if every and form is not None:
        faults.add("--all writes every format; leave out --format")
    faults.raise_if_any()


def _show(study: str, form: Format, output: Path | None, partial: bool, results: Path) -> None:
    from orchestrator.tables.files import write_file
    from orchestrator.tracking import default_uri, read_sweep

    made = make_table(read_sweep(default_uri(results), study), partial)
    if output is not None:
        write_file(output, render(made, form).encode())
        typer.echo(f"written to {output}", err=True)
    elif form is Format.terminal and sys.stdout.isatty():
        Console().print(terminal(made))
    else:
        typer.echo(render(made, form), nl=False)


def _write_all(results: Path, folder: Path, partial: bool) -> None:
    from orchestrator.tables.files import write_files, write_refusal
    from orchestrator.tables.index import collect, collection_files
    from orchestrator.tracking import default_uri

    found = collect(default_uri(results), partial)
    files = collection_files(found)
    for study, reasons in found.refused.items():
        write_refusal(folder / study, reasons)
    written = write_files(files, folder)
    named = ", ".join(found.tables) or "none"
    typer.echo(f"written to {folder}: {len(written)} files, index.html and the tables of: {named}")
    for study, reasons in found.refused.items():
        listing = "".join(f"\n  - {reason}" for reason in reasons)
        typer.secho(f"no table of {study}:{listing}", fg="red", err=True)
    if found.refused:
        raise typer.Exit(REFUSED)


if __name__ == "__main__":
    command_line(app)
