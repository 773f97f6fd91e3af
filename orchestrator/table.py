"""``python -m orchestrator.table STUDY``: print the table of the last sweep of a study, from MLflow alone."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from orchestrator.command import command_line
from orchestrator.tables.render import Format, render, terminal
from trainables.errors import UserError

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, context_settings={"help_option_names": ["-h", "--help"]})


@app.command()
def table(
    study: Annotated[str, typer.Argument(help="The study, e.g. reclr_lambda.")],
    form: Annotated[Format, typer.Option("--format", help="How to write the table.")] = Format.terminal,
    output: Annotated[Path | None, typer.Option(help="Write to this file instead of the screen.")] = None,
    partial: Annotated[
        bool, typer.Option("--partial", help="Make it from incomplete or mixed trials; the caption says so.")
    ] = False,
    results: Annotated[Path, typer.Option(help="Folder of the results; unused if MLFLOW_TRACKING_URI is set.")] = Path("results"),
) -> None:
    """Print the table of the last sweep of a study."""
    from orchestrator.tables.cells import make_table
    from orchestrator.tracking import default_uri, read_trials

    made = make_table(*read_trials(default_uri(results), study), partial=partial)
    if output is not None:
        try:
            output.parent.mkdir(parents=True, exist_ok=True)
            output.write_text(render(made, form), encoding="utf-8")
        except OSError as error:
            raise UserError(
                f"cannot write {output}: {error.strerror}; give --output a file in a folder that can be written"
            ) from error
        typer.echo(f"written to {output}", err=True)
    elif form is Format.terminal:
        Console().print(terminal(made))
    else:
        typer.echo(render(made, form), nl=False)


if __name__ == "__main__":
    command_line(app)
