"""The live display of a sweep: stages with their progress, trials done, time left for what runs."""

from __future__ import annotations

import contextlib
import itertools
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from orchestrator.beside import beside
from orchestrator.plan import Plan, State
from orchestrator.precomputing import Precomputed
from trainables.recombination import Recombination

_REFRESH_SECONDS = 0.5
_LOOKS = 50  # into the store, at most, for a frame

Running = Mapping[str, tuple[float, float]]
"""Fraction done and seconds so far of each running stage, by fingerprint."""


@contextlib.contextmanager
def live(console: Console, picture: Callable[[], Group], log: Path) -> Iterator[None]:
    """Draw a picture every half second while the block runs, from a thread of its own.

    Args:
        console: Where to draw.
        picture: Makes one frame.
        log: What Ray and other libraries print meanwhile goes to this file.
    """
    display = Live(console=console, auto_refresh=False, transient=True, redirect_stdout=False, redirect_stderr=False)

    def redraw() -> None:
        with _dispensable():
            display.update(picture(), refresh=console.is_terminal)

    with contextlib.ExitStack() as stack:
        stream = stack.enter_context(log.open("a"))
        stack.enter_context(display)
        stack.enter_context(contextlib.redirect_stdout(stream))
        stack.enter_context(contextlib.redirect_stderr(stream))
        stack.enter_context(_ray_logs_to(stream))
        try:
            with beside(redraw, _REFRESH_SECONDS):
                yield
        finally:
            with _dispensable():
                picture()  # announces what ended since the last frame


@contextlib.contextmanager
def _ray_logs_to(stream: TextIO) -> Iterator[None]:
    """Ray's loggers keep the stream that they began with, and tell of every death that a sweep survives, with its traceback."""
    handlers = [handler for handler in logging.getLogger("ray").handlers if isinstance(handler, logging.StreamHandler)]
    before = [handler.setStream(stream) for handler in handlers]
    try:
        yield
    finally:
        for handler, old in zip(handlers, before, strict=True):
            if old is not None:  # it was this very stream
                handler.setStream(old)


def _dispensable() -> contextlib.AbstractContextManager[None]:
    """A picture is never worth a sweep: the store may be away for a moment."""
    return contextlib.suppress(OSError)


class SweepDisplay:
    """Draws the sweep.

    Args:
        plan: What is being run.
        console: Where to draw.
        running: Returns what runs now.
        is_done: Whether a stage's result is there.
    """

    def __init__(self, plan: Plan, console: Console, running: Callable[[], Running], is_done: Callable[[str], bool]) -> None:
        self._plan, self._console, self._running, self._is_done = plan, console, running, is_done
        self._stages = {stage.fingerprint: stage.stage for stage in plan.stages}
        # Those that are looked at next come first.
        self._open = {stage.fingerprint: None for stage in plan.stages if stage.state in (State.missing, State.failed)}
        chains = [[name for name in trial.record.stages if name in self._open] for trial in plan.trials]
        self._lacking = dict(enumerate(map(len, chains)))  # how many stages each trial still lacks
        self._needed_by: dict[str, list[int]] = {}
        for trial, chain in enumerate(chains):
            for name in chain:
                self._needed_by.setdefault(name, []).append(trial)
        self._seconds: dict[str, float] = {}
        self._ran: set[str] = set()  # in the last frame

    @contextlib.contextmanager
    def shown(self, log: Path) -> Iterator[None]:
        """Draw while the block runs; see :func:`live`. What has ended is announced at its end at the latest."""
        try:
            with live(self._console, self.picture, log):
                yield
        finally:
            with _dispensable():
                self._announce(list(self._open))

    def picture(self) -> Group:
        """One frame; stages that have ended since the last one are announced above it, once."""
        running = self._running()
        self._seconds |= {name: seconds for name, (_, seconds) in running.items()}
        self._announce(self._worth_a_look(running))
        stages = Table.grid(padding=(0, 2))
        for name, (fraction, seconds) in sorted(running.items()):
            left = f"{seconds * (1 - fraction) / fraction:4.0f} s left" if fraction > 0.02 else ""
            stages.add_row("  " + self._title(name), ProgressBar(total=1.0, completed=fraction, width=24), f"{fraction:4.0%}", left)
        return Group(self._totals(), stages)

    def _worth_a_look(self, running: Running) -> list[str]:
        """Open stages that ran and do not run any more, and a few others: the store may be far away, and the stages many."""
        ended = [name for name in self._ran - running.keys() if name in self._open]
        self._ran = set(running)
        others = list(itertools.islice(self._open, _LOOKS))
        for name in others:
            self._open[name] = self._open.pop(name)  # to the end
        return list(dict.fromkeys(ended + others))

    def _announce(self, names: Iterable[str]) -> None:
        for name in filter(self._is_done, names):
            del self._open[name]
            for trial in self._needed_by.get(name, ()):
                self._lacking[trial] -= 1
            self._console.print(f"  [green]✓[/green] {self._title(name)}  {self._seconds.get(name, 0.0):.0f} s", highlight=False)

    def _totals(self) -> Text:
        trials = sum(not lacking for lacking in self._lacking.values())
        stages = len(self._stages) - len(self._open)
        return Text(f"stages {stages}/{len(self._stages)}   trials {trials}/{len(self._lacking)}", style="bold")

    def _title(self, name: str) -> str:
        stage = self._stages.get(name)
        return f"{stage.label} [dim]{name.split('/')[1][:48]}[/dim]" if stage else name  # another sweep's


def plan_table(plan: Plan) -> Table:
    """The plan as it is printed before anything runs: one line per kind of stage."""
    table = Table(title=f"{plan.study.table.source}: {plan.study.table.title}", title_justify="left", box=None, padding=(0, 2))
    table.add_column("stage")
    columns = [state for state in State if state in (State.done, State.missing) or plan.in_state(state)]
    for title in ("needed by", "distinct", *columns):
        table.add_column(title, justify="right")
    for label in dict.fromkeys(stage.stage.label for stage in plan.stages):
        kind = [stage for stage in plan.stages if stage.stage.label == label]
        counts = [sum(stage.state is state for stage in kind) for state in columns]
        numbers = [sum(stage.trials for stage in kind), len(kind), *counts]
        table.add_row(label, *(str(number) if number else "·" for number in numbers))
    return table


def plan_sentence(plan: Plan) -> str:
    """What the plan comes to."""
    failed = len(plan.in_state(State.failed))
    left = f" {failed} failed before and are left alone: --redo retry runs them again." if failed else ""
    return (
        f"{len(plan.trials)} trials ({len(plan.study.chains)} rows x {len(plan.seeds)} seeds) need {plan.unshared} stage results; "
        f"sharing leaves {len(plan.stages)} distinct stages ({plan.unshared / max(len(plan.stages), 1):.1f} times fewer), "
        f"of which {len(plan.in_state(State.missing))} will run.{_recombined(plan)}{_precomputed(plan)}{left}"
    )


def _precomputed(plan: Plan) -> str:
    """What is computed once because that pays."""
    kinds: dict[str, list[Precomputed]] = {}
    for each in plan.precomputed:
        kinds.setdefault(each.stage.label, []).append(each)
    told = [f"{label} ({len(each)} instead of {sum(one.passes for one in each):,.0f} times)" for label, each in kinds.items()]
    return f" Computed beforehand, because it pays: {' and '.join(told)}." if told else ""


def _recombined(plan: Plan) -> str:
    """Which of them train nothing."""
    kinds = Counter(stage.stage.label for stage in plan.stages if isinstance(stage.stage, Recombination))
    told = " and ".join(f"{label} ({count})" for label, count in kinds.items())
    return f" Stored predictions are recombined, and nothing is trained again, for {told}." if told else ""
