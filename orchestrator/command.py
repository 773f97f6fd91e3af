"""What all commands share: one console, and errors of the user's told without a traceback."""

from __future__ import annotations

import sys

import typer
from rich.console import Console
from rich.markup import escape

from trainables.errors import UserError

# Bound to the stream of now, so that the display survives a redirection of stdout; a log file is read at more than 80 columns.
console = Console(file=sys.stdout, width=None if sys.stdout.isatty() else 120)
errors = Console(file=sys.stderr)


def command_line(app: typer.Typer) -> None:
    """Run the app; a :class:`UserError` is printed and ends with exit code 2."""
    try:
        app()
    except UserError as error:
        errors.print(f"[bold red]error:[/bold red] {escape(str(error))}", highlight=False, soft_wrap=True)
        sys.exit(2)
