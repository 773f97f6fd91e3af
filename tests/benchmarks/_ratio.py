"""Compares variants of one computation within one run: a ratio travels from machine to machine, a time does not."""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

# These scripts are run by path, which puts only their own folder on the search path.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

CLOCKS = {"cpu": time.process_time, "wall": time.perf_counter}


@dataclass(frozen=True)
class Row:
    """One variant: its median seconds, how many times as fast as the first variant, and figures such as its error."""

    name: str
    seconds: float
    ratio: float
    lowest: float
    highest: float
    figures: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Goal:
    """What was aimed at (``"at least 3.5 x"``), and whether it was reached."""

    text: str
    met: bool


def one_thread() -> None:
    """Keep torch and numpy's BLAS, which must be loaded by now, to one thread each."""
    import torch
    from threadpoolctl import threadpool_limits

    torch.set_num_threads(1)
    threadpool_limits(1)


def interleaved(
    variants: dict[str, Callable[[], object]], rounds: int, clock: str, before_round: Callable[[], object] | None = None
) -> dict[str, list[float]]:
    """Time every variant once a round, in turn forwards and backwards, so that drift and neighbours hit all alike.

    Returns seconds per variant and round. ``before_round`` prepares the round's input, untimed.
    """
    now = CLOCKS[clock]
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    for number in range(rounds):
        if before_round:
            before_round()
        for name in list(variants)[:: 1 if number % 2 == 0 else -1]:
            start = now()
            variants[name]()
            seconds[name].append(now() - start)
    return seconds


def rows(seconds: dict[str, list[float]], figures: dict[str, dict[str, float]] | None = None) -> list[Row]:
    """Reduce timings to one row per variant; the ratio is the median over rounds of first variant's / own seconds."""
    reference = next(iter(seconds.values()))
    table = []
    for name, own in seconds.items():
        ratios = [theirs / mine for theirs, mine in zip(reference, own, strict=True)]
        medians = statistics.median(own), statistics.median(ratios)
        table.append(Row(name, *medians, min(ratios), max(ratios), (figures or {}).get(name, {})))
    return table


def arguments(description: str | None, rounds: int) -> argparse.Namespace:
    """Read ``--rounds`` and ``--json PATH`` from the command line."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--rounds", type=int, default=rounds, help=f"how often each variant is timed (default {rounds})")
    parser.add_argument("--json", type=Path, metavar="PATH", help="also write the figures to PATH")
    return parser.parse_args()


def report(title: str, tables: dict[str, list[Row]], goals: list[Goal], json_path: Path | None) -> int:
    """Print the tables and the goals, write them to ``json_path`` if given, and return 1 if a goal was missed, else 0."""
    from rich.console import Console
    from rich.table import Table

    console = Console()
    for caption, lines in tables.items():
        names = sorted({name for line in lines for name in line.figures})
        table = Table("variant", "ms", "x", "lowest to highest x", *names, title=f"{title}: {caption}" if caption else title)
        for line in lines:
            figures = [f"{line.figures[name]:.2g}" if name in line.figures else "" for name in names]
            span = f"{line.lowest:.2f} to {line.highest:.2f}"
            table.add_row(line.name, f"{line.seconds * 1e3:.1f}", f"{line.ratio:.2f}", span, *figures)
        console.print(table)
    for goal in goals:
        console.print(f"{'met' if goal.met else 'MISSED'}: {goal.text}")
    if json_path:
        content = {
            "title": title,
            "tables": {caption: [asdict(line) for line in lines] for caption, lines in tables.items()},
            "goals": [asdict(goal) for goal in goals],
        }
        json_path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return 0 if all(goal.met for goal in goals) else 1
