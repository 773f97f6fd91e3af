"""The state of sweeps on a terminal 120 columns wide."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from orchestrator import status_text as text
from orchestrator.records import command_words
from orchestrator.status_sweeps import SweepView
from orchestrator.status_trials import Reason, Stand, SweepState, TrialState, duration

if TYPE_CHECKING:
    from rich.console import Group, RenderableType
    from rich.table import Table

_STYLES = {Stand.done: "green", Stand.running: "bold cyan", Stand.waiting: "dim", Stand.failed: "red"}
_MOST = 6  # running stages, and reasons, of a sweep that is not asked for by name
_TITLE = 56  # characters of a stage's settings


def terminal(views: Sequence[SweepView], whole: bool) -> Group:
    """For a rich console: a line for every sweep, then those in detail; ``whole`` adds every row that is not finished."""
    from rich.console import Group
    from rich.text import Text

    parts: list[RenderableType] = [_overview(views)]
    for view in views:
        if view.in_detail and not (view.state.is_complete and not whole):
            parts += [Text(""), *_detail(view, whole)]
    return Group(*parts)


def _overview(views: Sequence[SweepView]) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2, 0, 0))
    for title in ("study", "scale", "key", "sweep"):
        table.add_column(title, overflow="fold")
    for title in ("done", "running", "waiting", "failed", "ends in", "GPU h", "saved", "CPU h", "saved"):
        table.add_column(title, justify="right", no_wrap=True)
    for view in views:
        state, counts = view.state, view.state.counts
        numbers = [f"{counts[Stand.done]}/{state.total}"]
        numbers += [str(counts[stand] or "·") for stand in (Stand.running, Stand.waiting, Stand.failed)]
        numbers.append(text.short_end(state, view.estimate) or "·")
        numbers += map(text.amount, (view.hours.gpu, view.hours.gpu_saved, view.hours.cpu, view.hours.cpu_saved))
        names = [command_words(state.plan.study), state.plan.scale, state.plan.key, text.condition(state)]
        table.add_row(*map(Text, [*names, *numbers]))
    return table


def _detail(view: SweepView, whole: bool) -> list[RenderableType]:
    from rich.text import Text

    state = view.state
    reasons = {reason: number for number, reason in enumerate(state.reasons, start=1)}
    heading = Text.assemble((state.plan.title, "bold"), f"  {command_words(state.plan.study)}, {state.plan.scale} scale: ")
    heading.append(text.condition(state), style="bold")
    parts: list[RenderableType] = [heading, _facts(view)]
    if state.running:
        parts += [Text("being computed", style="bold"), _running(state, len(state.running) if whole else _MOST)]
    if reasons:
        parts += [Text("why trials wait or failed", style="bold"), _reasons(state, len(reasons) if whole else _MOST)]
    if whole and reasons:
        rows, by_seed = ("points", "") if state.plan.points else ("rows", "by seed: ")
        parts += [Text(rows, style="bold").append(f"  {by_seed}{text.LEGEND}; [n] is the reason above", style="not bold dim")]
        parts.append(_rows(state, reasons))
    return parts


def _facts(view: SweepView) -> Table:
    from rich.table import Table
    from rich.text import Text

    facts = {
        "trials": text.trials(view.state),
        "may end": text.end(view.state, view.estimate),
        "failed": text.mend(view.state),
        "hours": text.spent(view.hours),
        "process": text.life(view.state),
    }
    grid = Table.grid(padding=(0, 2))
    for name, told in facts.items():
        if told:
            grid.add_row(Text(f"  {name}"), Text(told))
    return grid


def _running(state: SweepState, most: int) -> Table:
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 2))
    for name, info in sorted(state.running.items(), key=lambda item: (-item[1].fraction, item[0]))[:most]:
        title = Text.assemble(f"  {state.plan.stages[name].label} ", (name.partition("/")[2][-_TITLE:], "dim"))
        bar = ProgressBar(total=1.0, completed=info.fraction, width=16)
        grid.add_row(title, bar, Text(f"{info.fraction:.0%}"), Text(duration(info.seconds)), Text(info.where))
    if len(state.running) > most:
        grid.add_row(Text(f"  and {len(state.running) - most} more stages"))
    return grid


def _reasons(state: SweepState, most: int) -> Table:
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 2))
    for number, (reason, trials) in enumerate(state.reasons.items(), start=1):
        if number <= most:
            grid.add_row(Text(f"  [{number}]"), Text(f"{len(trials)} x"), Text(text.full_reason(reason)))
    if len(state.reasons) > most:
        left = sum(len(trials) for trials in list(state.reasons.values())[most:])
        command = f"python -m orchestrator.status {command_words(state.plan.study).split()[0]}"
        grid.add_row("", Text(f"{left} x"), Text(f"{len(state.reasons) - most} more reasons: `{command}`"))
    return grid


def _rows(state: SweepState, reasons: dict[Reason, int]) -> Table:
    from rich.table import Table
    from rich.text import Text

    grid, finished = Table.grid(padding=(0, 2)), 0
    for key, label in state.plan.rows.items():
        states = state.rows[key]
        if all(each.stand is Stand.done for each in states):
            finished += 1
            continue
        glyphs = Text.assemble(*((text.GLYPHS[each.stand], _STYLES[each.stand]) for each in states))
        grid.add_row(Text(f"  {label}"), glyphs, Text(_why(states, reasons)))
    if finished:
        grid.add_row(Text(f"  {finished} more row{'s' * (finished > 1)}", style="dim"), Text("all ✓", style="green"), "")
    return grid


def _why(states: Sequence[TrialState], reasons: dict[Reason, int]) -> str:
    """The reasons of a row, each with its seeds if there are several."""
    seeds: dict[int, list[int]] = {}
    for each in states:
        if each.reason in reasons and each.stand is not Stand.running:
            seeds.setdefault(reasons[each.reason], []).append(each.trial.seed)
    if len(states) == 1:
        return "".join(f"[{number}]" for number in seeds)
    return "; ".join(f"[{number}] seed{'s' * (len(found) > 1)} {text.ranges(found)}" for number, found in sorted(seeds.items()))
