"""``python -m orchestrator.gc``: what of the store may go and why, with sizes; and removing it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.command import Results, Store, command_line, console, store_of

if TYPE_CHECKING:
    from rich.table import Table

    from orchestrator.collecting import Item

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, context_settings={"help_option_names": ["-h", "--help"]})

_SHOWN = 5  # the largest of each reason; the rest are counted


@app.command()
def gc(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what may go and why; remove nothing.")] = False,
    budget: Annotated[
        str | None, typer.Option(help="How large the store may be, e.g. 200GiB: results that can be computed again go as well.")
    ] = None,
    results: Results = Path("results"),
    store: Store = None,
) -> None:
    """Remove from the store what is worth nothing: what dead processes were writing, and checkpoints that nobody goes on with.

    With a budget, besides, and only as much as it takes, the oldest first: results that no recorded sweep needs; then results that
    every recorded sweep is done with. Never what a living sweep or an unfinished trial needs, and never a scored result.
    """
    from orchestrator.collecting import remove, survey
    from orchestrator.files import refusals_in_words
    from orchestrator.sizes import parse_size, sizes
    from trainables.errors import UserError

    limit = None if budget is None else parse_size("--budget", budget)
    place = store_of(results, store)
    try:
        found = survey(place)
    except OSError as error:
        raise UserError(f"the store {place.uri} cannot be read: {error}") from error
    going = found.worthless() if limit is None else found.within(limit)
    if found.items:
        console.print(_table(found.items, going))
    for note in found.notes:
        console.print(f"Note: {note}.", highlight=False, markup=False, soft_wrap=True)
    if not dry_run:
        with refusals_in_words():
            remove(place, going)
    freed, verb = sum(item.size for item in going), "would free" if dry_run else "freed"
    left = found.size - freed
    console.print(
        f"The store {place.uri} holds {sizes(found.size)}; this {verb} {sizes(freed)}, which leaves {sizes(left)}.",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )
    if limit is not None and left > limit:
        raise UserError(
            f"{sizes(left)} are left, more than --budget {budget}: the rest is scored, or needed by sweeps that live or are not "
            f"finished. Finish them, or give one up by deleting its folder in {place.inside('sweeps')}"
        )


def _table(items: Sequence[Item], going: Sequence[Item]) -> Table:
    """All that may go, by reason, in the order in which it would; and how much of it goes now."""
    from rich.table import Table

    from orchestrator.sizes import sizes

    table = Table("", "why", "what", "goes now", box=None, padding=(0, 2))
    table.columns[3].justify = "right"
    chosen = {item.place for item in going}
    reasons: dict[tuple[str, str], list[Item]] = {}
    for item in items:
        reasons.setdefault((item.kind, item.why), []).append(item)
    for (kind, why), alike in reasons.items():
        now = [item.size for item in alike if item.place in chosen]
        table.add_row(kind, why, f"{len(alike)}, {sizes(sum(item.size for item in alike))}", f"{len(now)}, {sizes(sum(now))}")
        for item in sorted(alike, key=lambda item: -item.size)[:_SHOWN]:
            table.add_row("", f"  [dim]{item.place}[/dim]", f"[dim]{sizes(item.size)}[/dim]", "")
        if len(alike) > _SHOWN:
            table.add_row("", f"  [dim]... and {len(alike) - _SHOWN} smaller ones[/dim]", "", "")
    return table


if __name__ == "__main__":
    command_line(app)
