"""The state of sweeps as one static page of HTML that needs nothing else.

The page may be passed on, so it says nothing that could name a participant: of a failed stage the kind of error, not its words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from html import escape

from orchestrator import status_text as text
from orchestrator.records import command_words
from orchestrator.status_sweeps import SweepView
from orchestrator.status_trials import Reason, Stand, SweepState, TrialState, duration
from orchestrator.tables.html import link, page

_CLASSES = {Stand.done: "better", Stand.failed: "worse"}
_HEADS = ("done", "running", "waiting", "failed", "ends in", "GPU h", "saved", "CPU h", "saved")


def status_page(views: Sequence[SweepView], now: datetime) -> str:
    """The page of all sweeps: a line for each, then those in detail."""
    sections = "".join(_section(view) for view in views if view.in_detail)
    overview = f'<h1>Sweeps</h1>\n<p class="source">as of {text.moment(now)}</p>\n<section>\n{_overview(views)}\n</section>\n'
    return page("Sweeps", overview + sections)


def _overview(views: Sequence[SweepView]) -> str:
    rows = []
    for view in views:
        state, counts = view.state, view.state.counts
        name = command_words(state.plan.study)
        shown = link(f"#{state.plan.key}", name) if view.in_detail else escape(name)
        stands = [str(counts[stand] or "·") for stand in (Stand.running, Stand.waiting, Stand.failed)]
        spent = map(text.amount, (view.hours.gpu, view.hours.gpu_saved, view.hours.cpu, view.hours.cpu_saved))
        done = f"{counts[Stand.done]}/{state.total}"
        cells = [done, *stands, text.short_end(state, view.estimate) or "·", *spent]
        words = [shown, *map(escape, (state.plan.scale, state.plan.key, text.condition(state)))]
        heads = "".join(f'<th scope="row">{word}</th>' for word in words)
        rows.append(f"<tr>{heads}{''.join(f'<td>{escape(cell)}</td>' for cell in cells)}</tr>")
    return _table("details", ("study", "scale", "key", "sweep"), _HEADS, rows)


def _section(view: SweepView) -> str:
    state = view.state
    reasons = {reason: number for number, reason in enumerate(state.reasons, start=1)}
    name = f"{command_words(state.plan.study)}, {state.plan.scale} scale, key {state.plan.key}: {text.condition(state)}"
    facts = [text.trials(state), text.end(state, view.estimate) and f"may end {text.end(state, view.estimate)}"]
    facts += [text.mend(state), text.spent(view.hours), text.life(state), f"protocol: {state.plan.protocol}"]
    parts = [
        f'<section id="{escape(state.plan.key)}">\n<h2>{escape(state.plan.title)}</h2>',
        f'<p class="source">{escape(name)}</p>',
        _warning(state),
        f'<ul class="caption">{"".join(f"<li>{escape(fact)}</li>" for fact in facts if fact)}</ul>',
        _running(state),
        _reasons(state),
        _grid(state, reasons),
        "</section>",
    ]
    return "".join(f"{part}\n" for part in parts if part)


def _warning(state: SweepState) -> str:
    if state.lives or state.is_complete:
        return ""
    how = escape(text.condition(state))
    return f'<p class="partial">This sweep is not running ({how}), and trials are missing; the same command goes on.</p>'


def _running(state: SweepState) -> str:
    if not state.running:
        return ""
    rows = []
    for name, info in sorted(state.running.items(), key=lambda item: (-item[1].fraction, item[0])):
        stage = f"{escape(state.plan.stages[name].label)} <small>{escape(name.partition('/')[2])}</small>"
        bar = f'<progress max="1" value="{info.fraction:.3f}">{info.fraction:.0%}</progress> {info.fraction:.0%}'
        cells = f"<td>{bar}</td><td>{duration(info.seconds)}</td><td>{escape(info.where)}</td>"
        rows.append(f'<tr><th scope="row">{stage}</th>{cells}</tr>')
    return "<h3>Being computed</h3>\n" + _table("details", ("stage",), ("progress", "for", "where"), rows)


def _reasons(state: SweepState) -> str:
    if not state.reasons:
        return ""
    items = [
        f'<li id="{escape(state.plan.key)}-{number}">{len(trials)} x {escape(text.public_reason(reason, state.plan.study))}</li>'
        for number, (reason, trials) in enumerate(state.reasons.items(), start=1)
    ]
    return f"<h3>Why trials wait or failed</h3>\n<ol>{''.join(items)}</ol>"


def _grid(state: SweepState, reasons: Mapping[Reason, int]) -> str:
    """A cell for every trial: done, or where it stands with the number of the reason."""
    rows = []
    for key, label in state.plan.rows.items():
        cells = "".join(f"<td>{_cell(each, state.plan.key, reasons)}</td>" for each in state.rows[key])
        rows.append(f'<tr><th scope="row">{escape(label)}</th>{cells}</tr>')
    legend = f'<p class="files">{escape(text.LEGEND)}; the number is the reason above</p>'
    first, heads = ("point", [""]) if state.plan.points else ("seed", [str(seed) for seed in state.plan.seeds])
    return f"<h3>Trials</h3>\n{legend}\n" + _table("details", (first,), heads, rows)


def _cell(state: TrialState, key: str, reasons: Mapping[Reason, int]) -> str:
    glyph, kind = text.GLYPHS[state.stand], _CLASSES.get(state.stand)
    shown = f'<span class="{kind}">{glyph}</span>' if kind else glyph
    if state.stand is Stand.done:
        return shown
    if state.stand is Stand.running:
        return f'<span title="{escape(state.reason.words)}">{shown}</span>'
    number = reasons[state.reason]
    return f"{shown} {link(f'#{key}-{number}', str(number))}"


def _table(kind: str, words: Sequence[str], heads: Sequence[str], rows: Sequence[str]) -> str:
    """``rows`` are whole ``tr`` elements, with as many ``th`` as ``words`` in front."""
    head = "".join(f'<th class="text" scope="col">{escape(word)}</th>' for word in words)
    head += "".join(f'<th scope="col">{escape(title)}</th>' for title in heads)
    body = "".join(f"{row}\n" for row in rows)
    return (
        f'<div class="scroll"><table class="{kind}">\n<thead>\n<tr>{head}</tr>\n</thead>\n<tbody>\n{body}</tbody>\n</table></div>'
    )
