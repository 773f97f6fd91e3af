"""How corpora are shown on the terminal: roles and readers, the outcome of a check, a twin that was written."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from trainables.corpora.columns import closest
from trainables.corpora.corpus import READERS, layout_of, reader_module
from trainables.corpora.manifest import LABELS
from trainables.corpora.reading import Fact, describe_notes, describe_skips, every_name_shown
from trainables.corpora.registry import root_of
from trainables.corpora.roles import ROLES
from trainables.errors import Faults

if TYPE_CHECKING:
    from trainables.corpora.checkup import Checkup, Group
    from trainables.corpora.reading import Progress as Tell


@contextmanager
def counted(console: Console, title: str) -> Iterator[Tell]:
    """A progress bar while the block runs; gives what has to be told how many of how many are done."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(escape(title), total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def show_roles(console: Console, settings: Mapping[str, Any], base: Path = Path()) -> None:
    """The roles: what each needs, who can play it, and who does in a corpora.toml; then what is wrong with its roles and roots.

    Args:
        console: Where to show them.
        settings: The tables of the corpora.toml, by role.
        base: Its folder.
    """
    faults = Faults("")
    from trainables.corpora.twins.recipe import RECIPES

    table = Table("role", "label of its segments", "readers", "root", "twin", box=None, padding=(0, 2))
    for name, role in ROLES.items():
        label = f"{role.label} ({LABELS[role.label].doc.split(';')[0]})" if role.label else "none"
        readers = ", ".join((*((name,) if name in READERS else ()), "formats"))
        twin = "yes" if name in RECIPES else "-"
        table.add_row(name, escape(label), readers, escape(_root(name, settings.get(name), base, faults)), twin)
    console.print(table)
    for name in settings:
        if name not in ROLES:
            faults.add(f"unknown role {name!r}{closest(name, tuple(ROLES))}")
    _list(console, "faults", "red", faults.messages)


def _root(role: str, settings: Any, base: Path, faults: Faults) -> str:
    """Where a role's corpus lies as corpora.toml has it; '-' if it has none."""
    if not isinstance(settings, Mapping):
        return str(settings or "-")
    if settings.get("reader") == "twin":
        return "twin"
    own = Faults("")
    found = root_of(settings, base, own)
    for message in own.messages:
        faults.add(f"{role}: {message}")
    return f"{settings.get('root', '-')}{'' if found else ' (not found)'}"


def show_readers(console: Console) -> None:
    """What a user must know of each corpus before there is anything on disk; then the formats that any corpus may come in."""
    modules = {name: reader_module(name) for name in READERS if name != "twin"}
    console.print("\n[bold]readers of one corpus[/bold]\n")
    for name, module in modules.items():
        if (about := module.ABOUT) is not None:
            table = Table(show_header=False, box=None, padding=(0, 2))
            for head, text in (
                ("licence", about.licence),
                ("apply", about.apply_at),
                ("root", about.layout),
                ("source", about.source),
            ):
                table.add_row(head, escape(text))
            console.print(f"[bold]{name}[/bold]: {escape(about.title)}", highlight=False)
            console.print(Padding(table, (0, 0, 1, 2)), highlight=False)
    console.print("[bold]formats[/bold]: readers for any role\n")
    for name, module in modules.items():
        if module.ABOUT is None:
            console.print(f"[bold]{name}[/bold]: {escape(layout_of(name))}", highlight=False)


def show_checkup(console: Console, found: Checkup, partial: bool) -> None:
    """All that a check found, and its verdict."""
    if found.source is not None:
        console.print(f"reader {found.source.reader}, role {found.source.role}", highlight=False)
        console.print(f"root   {escape(found.source.root)}", highlight=False, soft_wrap=True)
    if found.facts:
        console.print(_facts(found.facts))
    if found.groups:
        console.print(_groups(found.groups))
    with every_name_shown():
        _list(console, "left out", "yellow", describe_skips(found.report))
    _list(console, "notes", "cyan", [*describe_notes(found.report), *found.notes])  # nothing to mend: some names are enough
    _list(console, "faults", "red", found.report.messages)
    console.print(_verdict(found, partial), highlight=False, soft_wrap=True)


def _facts(facts: list[Fact]) -> Table:
    table = Table("fact", "expected", "found", "", title="facts", title_justify="left", box=None, padding=(0, 2))
    for column in (1, 2):
        table.columns[column].justify = "right"
    for fact in facts:
        expected = _number(fact.expected) + (f" ± {_number(fact.tolerance)}" if fact.tolerance else "")
        mark, style = ("", None) if fact.holds else ("deviates", "bold red")
        table.add_row(escape(fact.name), expected, _number(fact.found), mark, style=style)
    return table


def _number(value: float) -> str:
    """A count in full, anything else with two decimals; NaN, of what nothing was found, as '-'."""
    return "-" if math.isnan(value) else f"{value:,.0f}" if float(value).is_integer() else f"{value:,.2f}"


def _groups(groups: list[Group]) -> Table:
    heads = ("what will be used", "segments", "hours", "speakers", "sessions")
    table = Table(*heads, title="manifest", title_justify="left", box=None, padding=(0, 2))
    for column in table.columns[1:]:
        column.justify = "right"
    for group in groups:
        table.add_row(escape(group.name), f"{group.segments:,}", f"{group.hours:.2f}", f"{group.speakers:,}", f"{group.sessions:,}")
    return table


def _list(console: Console, title: str, colour: str, lines: list[str]) -> None:
    if lines:
        console.print(f"[bold {colour}]{title}[/bold {colour}]", highlight=False)
    for line in lines:
        console.print(f"  - {escape(line)}", highlight=False, soft_wrap=True)


def _verdict(found: Checkup, partial: bool) -> str:
    faults, deviating = len(found.report.messages), sum(not fact.holds for fact in found.facts)
    wrong = [f"{faults} fault{'s' * (faults > 1)}"] if faults else []
    if deviating and not partial:
        wrong.append(f"{deviating} deviating fact{'s' * (deviating > 1)} (if this is a part of the corpus, add --partial)")
    if wrong:
        return f"[bold red]results would be wrong:[/bold red] {', '.join(wrong)}"
    skipped = sum(map(len, found.report.skipped.values()))
    digest = found.source.digest if found.source is not None else ""
    unknown = "" if found.compared else "; no facts are known of this release: only faults were looked for"
    return f"[bold green]sound[/bold green]{f', {skipped} left out' if skipped else ''}{unknown}; digest {digest}"


def show_written(console: Console, role: str, out: Path) -> None:
    """Where a twin was written, and what to do with it."""
    console.print(f"written to {escape(str(out))}; check it with:", highlight=False, soft_wrap=True)
    command = f"  python -m orchestrator.corpora check {role} --root {shlex.quote(str(out))} --partial"
    console.print(escape(command), highlight=False, soft_wrap=True)
