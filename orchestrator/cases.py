"""``python -m orchestrator.cases [PARTICIPANT...]``: case studies of single participants (Climate and Weather, section 4)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from orchestrator.command import command_line, console

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, context_settings={"help_option_names": ["-h", "--help"]})

STUDY = "climate_emotion_analysis"
CONTRADICTION_MODEL = "iemocap"
"""Whose audio and text models the paper's case studies contrast."""


@app.command()
def cases(
    participants: Annotated[
        list[str] | None, typer.Argument(help="Sessions, e.g. 350 426; by default those whose voice and words contradict.")
    ] = None,
    turns: Annotated[int, typer.Option(min=0, help="Show so many of the clearest turns of each.")] = 2,
    seed: Annotated[int, typer.Option(min=0, help="Of the emotion models.")] = 0,
    corpora: Annotated[str, typer.Option(help="As of the sweep.")] = "demo",
    scale: Annotated[str, typer.Option(help="As of the sweep.")] = "demo",
    results: Annotated[Path, typer.Option(help="As of the sweep.")] = Path("results"),
    store: Annotated[str | None, typer.Option(help="As of the sweep.")] = None,
) -> None:
    """Show what emotion each modality finds in some participants of the sweep climate_emotion_analysis, and in which turns.

    It is shown here alone: nothing of a single participant is logged or written.
    """
    from orchestrator.case_studies import case_table, chosen_participants, described, turn_table
    from orchestrator.checks import Options, check, plan_study

    options = Options(STUDY, corpora=corpora, scale=scale, seeds=seed + 1, results=results, store=store)
    checked = check(options)
    found = described(plan_study(checked, checked.question, options), seed)
    for participant in chosen_participants(found, participants or [], CONTRADICTION_MODEL):
        console.print(case_table(found, participant))
        if turns:
            console.print(turn_table(found, participant, turns))


if __name__ == "__main__":
    command_line(app)
