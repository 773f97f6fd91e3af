"""``python -m orchestrator.status [STUDY]``: how sweeps get on and why trials wait, from any machine that sees the store."""

from __future__ import annotations

import contextlib
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.command import Results, Store, command_line, console, store_of
from trainables.errors import UserError

if TYPE_CHECKING:
    from orchestrator.status_sweeps import Sweeps, SweepView

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, context_settings={"help_option_names": ["-h", "--help"]})

_EVERY_SECONDS = 5.0


@app.command()
def status(
    study: Annotated[
        str | None, typer.Argument(help="Only this study, with each of its rows; by default all sweeps of the store.")
    ] = None,
    results: Results = Path("results"),
    store: Store = None,
    html: Annotated[Path | None, typer.Option(help="Also write one static page of HTML to this file.")] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Look again every few seconds, until Ctrl-C.")] = False,
) -> None:
    """Tell which cells are done, which trials run, why each pending one waits, when it may end, and what sharing saved."""
    from orchestrator.status_sweeps import Sweeps

    sweeps = Sweeps(store_of(results, store), study)
    if watch:
        with contextlib.suppress(KeyboardInterrupt):
            _watch(sweeps, study is not None, html)
        return
    from orchestrator.status_terminal import terminal

    views = sweeps.look()
    console.print(terminal(views, whole=study is not None), highlight=False)
    _write(views, html)
    if html is not None:
        typer.echo(f"written to {html}", err=True)


def _watch(sweeps: Sweeps, whole: bool, html: Path | None) -> None:
    """Draw the newest state over the one before, for ever."""
    from rich.live import Live

    from orchestrator.status_terminal import terminal

    with Live(console=console, auto_refresh=False, vertical_overflow="visible") as display:
        while True:
            views = sweeps.look()
            display.update(terminal(views, whole), refresh=True)
            _write(views, html)
            time.sleep(_EVERY_SECONDS)


def _write(views: list[SweepView], html: Path | None) -> None:
    if html is None:
        return
    from orchestrator.status_page import status_page

    aside = html.with_name(f".{html.name}.part")
    try:
        html.parent.mkdir(parents=True, exist_ok=True)
        aside.write_text(status_page(views, datetime.now(UTC)), encoding="utf-8")
        aside.replace(html)  # whoever reads it meanwhile sees one state or the next
    except OSError as error:
        raise UserError(f"cannot write {html}: {error.strerror}; give --html a place that can be written") from error


if __name__ == "__main__":
    command_line(app)
