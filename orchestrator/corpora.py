"""``python -m orchestrator.corpora list | check | twin``: which corpora there are, whether yours is sound, and what stands in."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from orchestrator.command import command_line, console

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Corpora: show the roles and readers, check a corpus as it was delivered, write a synthetic one.",
)

WRONG = 1
"""Exit code of check when results would be wrong."""

Corpora = Annotated[Path | None, typer.Option(help="A corpora.toml.")]
Results = Annotated[Path, typer.Option(help="Folder where twins are made, and where what is learnt of the audio is remembered.")]


@app.command("list")
def list_corpora(corpora: Corpora = None) -> None:
    """Show the roles that studies need, and the corpora that can play them."""
    from orchestrator.corpora_report import show_readers, show_roles
    from trainables.corpora.registry import read_settings

    if corpora is None:
        show_roles(console, {})
    else:
        show_roles(console, read_settings(corpora), corpora.resolve().parent)
    show_readers(console)


@app.command()
def check(
    target: Annotated[str, typer.Argument(metavar="READER_OR_ROLE", help="With --root a reader, with --corpora a role.")],
    root: Annotated[Path | None, typer.Option(help="Folder of the corpus, as it was delivered.")] = None,
    corpora: Corpora = None,
    role: Annotated[str | None, typer.Option(help="Role that the corpus is to play; by default the reader's own.")] = None,
    partial: Annotated[bool, typer.Option("--partial", help="It is not the whole corpus: deviating facts are no fault.")] = False,
    decode: Annotated[bool, typer.Option("--decode", help="Decode all audio, which finds what headers do not show.")] = False,
    results: Results = Path("results"),
) -> None:
    """Read a corpus and say all that is wrong with it; ends with 1 if results would be wrong."""
    from orchestrator.corpora_report import counted, show_checkup
    from trainables.corpora import checkup

    wanted = checkup.asked(target, root, role, corpora)
    with counted(console, f"looking at {wanted.role}") as progress:
        found = checkup.check(wanted, results, decode, progress)
    show_checkup(console, found, partial)
    raise typer.Exit(0 if found.sound(partial) else WRONG)


@app.command()
def twin(
    role: Annotated[str, typer.Argument(help="The role, e.g. daic_woz; `list` shows all.")],
    out: Annotated[Path, typer.Option(help="New folder, which then looks like the real corpus.")],
    results: Results = Path("results"),
) -> None:
    """Write a role's synthetic twin to disk, in the layout of the corpus that it stands for."""
    from orchestrator.corpora_report import counted, show_written
    from trainables.corpora.registry import open_corpora
    from trainables.corpora.twins.layouts import write_layout

    source = open_corpora("demo", results, [role])[role]
    with counted(console, f"making {source.name}") as progress:
        write_layout(role, source, out, progress)
    show_written(console, role, out)


if __name__ == "__main__":
    command_line(app)
