"""How the state of a sweep is put into words, on the terminal and on the page."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from orchestrator.status_costs import Estimate, Hours
from orchestrator.status_trials import Reason, Stand, SweepState, duration

GLYPHS = {Stand.done: "✓", Stand.running: "▶", Stand.waiting: "·", Stand.failed: "✗"}
LEGEND = ", ".join(f"{glyph} {stand}" for stand, glyph in GLYPHS.items())
_TRACEBACK = "Traceback"


def moment(time: datetime) -> str:
    """A time by the reader's clock."""
    return time.astimezone().strftime("%Y-%m-%d %H:%M %Z")


def condition(state: SweepState) -> str:
    """How the sweep itself stands, in a word or two."""
    if state.lives:
        return "running"
    if state.status is None or state.status.state == "running":
        return "silent"
    if state.status.state == "stopped":
        return "stopped"
    return "finished" if state.is_complete else "ended incomplete"


def life(state: SweepState) -> str:
    """Which process runs the sweep, or ran it, and when it was last heard of."""
    status = state.status
    if status is None:
        return "its process has written nothing but its plan"
    process = f"process {status.pid} on {status.host}" + (f", on {status.at}" if status.at else "")
    if state.lives:
        return f"{process}, for {duration((state.now - status.started).total_seconds())}"
    silent = duration(status.silent_seconds(state.now))
    return f"{process}, {'ended' if status.state != 'running' else 'last heard of'} {silent} ago"


def trials(state: SweepState) -> str:
    """How many trials stand where."""
    counts = state.counts
    told = [f"{counts[stand]} {stand}" for stand in (Stand.running, Stand.waiting, Stand.failed) if counts[stand]]
    cells = "points" if state.plan.points else f"{len(state.plan.rows)} rows x {len(state.plan.seeds)} seeds"
    told += [f"{state.undrawn} not drawn yet"] if state.undrawn else []
    return ", ".join([f"{counts[Stand.done]} of {state.total} done ({cells})", *told])


def mend(state: SweepState) -> str:
    """What can be done about trials that failed; '' if none did, or if their search is over."""
    if state.is_complete or not state.counts[Stand.failed]:
        return ""
    return "when what failed is mended, the same command with --redo retry runs it again"


def end(state: SweepState, estimate: Estimate) -> str:
    """When the sweep may end, and what that rests on; '' if nothing is left that will be computed."""
    if not (state.needed or state.undrawn):
        return ""
    if estimate.seconds is None:
        return f"not known: {estimate.rests}"
    about = f"in about {duration(estimate.seconds)}"
    if state.lives:
        about += f", at {moment(state.now + timedelta(seconds=estimate.seconds))}"
    else:
        about += " of running, once the same command goes on"
    return f"{about}. An estimate: {estimate.rests}"


def short_end(state: SweepState, estimate: Estimate) -> str:
    """The same in a cell of a table."""
    if not ((state.needed or state.undrawn) and state.lives):
        return ""
    return "not known" if estimate.seconds is None else f"~ {duration(estimate.seconds)}"


def spent(hours: Hours) -> str:
    """What the sweep's stages took and what sharing saved."""
    used = f"{amount(hours.gpu)} GPU h and {amount(hours.cpu)} CPU h used by its finished stages, whoever computed them"
    saved = f"sharing saved {amount(hours.gpu_saved)} GPU h and {amount(hours.cpu_saved)} CPU h"
    unknown = f"; of {hours.unknown} finished stages it cannot be told" if hours.unknown else ""
    return f"{used}; {saved}{unknown}"


def amount(hours: float) -> str:
    """Hours with as many digits as matter."""
    if 0 < hours < 0.01:
        return "<0.01"
    return f"{hours:,.0f}" if hours >= 100 else f"{hours:.1f}" if hours >= 10 else f"{hours:.2f}"


def full_reason(reason: Reason) -> str:
    """A reason with what a failed stage said, for who may see the recordings' names."""
    if not reason.story:
        return reason.words
    lines = [line for line in reason.story.splitlines() if line.strip()] or [""]
    return f"{reason.words}: {lines[-1 if reason.story.startswith(_TRACEBACK) else 0].strip()}"


def public_reason(reason: Reason, study: str) -> str:
    """A reason for a page that may be passed on: what a failed stage said may name participants, so the kind of error alone."""
    if not reason.story:
        return reason.words
    if reason.story.startswith(_TRACEBACK):
        kind = reason.story.strip().splitlines()[-1].partition(":")[0]
        if kind.replace(".", "").isidentifier():
            return f"{reason.words} ({kind})"
    return f"{reason.words} (what it said is not for this page: `python -m orchestrator.status {study}` tells it)"


def ranges(numbers: Iterable[int]) -> str:
    """Numbers with runs drawn together: 0-3, 7."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)
