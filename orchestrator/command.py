"""What commands share: one console, errors of the user's told without a traceback, and where they look for the results."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape

from trainables.errors import UserError

if TYPE_CHECKING:
    from orchestrator.artifacts import ArtifactStore

Results = Annotated[Path, typer.Option(help="Folder of the results, as the sweep has it.")]
Store = Annotated[str | None, typer.Option(help="Where results are stored: a folder or s3://...; by default RESULTS/store.")]
Detach = Annotated[bool, typer.Option("--detach", help="Do not follow the job; the same command follows it later.")]
Stop = Annotated[bool, typer.Option("--stop", help="End the job of this command in good order; the command alone goes on later.")]

# Bound to the stream of now, so that the display survives a redirection of stdout; a log file is read at more than 80 columns.
console = Console(file=sys.stdout, width=None if sys.stdout.isatty() else 120)
errors = Console(file=sys.stderr)


def store_of(results: Path, store: str | None) -> ArtifactStore:
    """The store that a command's options name.

    Raises:
        UserError: It cannot be used.
    """
    from orchestrator.artifacts import ArtifactStore

    place = ArtifactStore(store or results / "store")
    if fault := place.fault():
        raise UserError(fault)
    return place


def command_line(app: typer.Typer) -> None:
    """Run the app; a :class:`UserError` is printed and ends with exit code 2."""
    try:
        app()
    except UserError as error:
        errors.print(f"[bold red]error:[/bold red] {escape(str(error))}", highlight=False, soft_wrap=True)
        sys.exit(2)
