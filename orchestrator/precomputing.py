"""Work that several trainings, or the epochs of one, would repeat: where it pays, it is done once, in a stage of its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from trainables.stage import Stage

_WORTH = 1.0
"""Passes over a corpus above which a result on disk pays: making it costs one, and reading it next to nothing (a second of speech
is a tenth of a megabyte of convolved frames, and 5 billion operations to make them)."""


class Precomputed(NamedTuple):
    """A stage whose result spares others work.

    Attributes:
        stage: It.
        passes: How many times the work would be done without it.
    """

    stage: Stage
    passes: float


def precompute(targets: Sequence[Stage]) -> tuple[list[Stage], list[Precomputed]]:
    """Give the stages of all chains the shortcuts that pay over all of them together (:meth:`trainables.stage.Stage.repeated`).

    What is finished already counts as well: so the same command plans the same stages, whenever it is run.

    Args:
        targets: The last stages of the chains.

    Returns:
        The same with shortcuts, in order: no identity changes. And what is computed beforehand for them.
    """
    passes = Counter()
    for stage in _distinct(targets):
        for spared, times in set(stage.repeated().values()):
            passes[spared] += times
    chosen = {spared for spared, times in passes.items() if times > _WORTH}
    if not chosen:
        return list(targets), []
    known: dict[Stage, Stage] = {}
    return [_with_shortcuts(target, chosen, known) for target in targets], [
        Precomputed(spared, passes[spared]) for spared in passes if spared in chosen
    ]


def _distinct(targets: Iterable[Stage]) -> dict[Stage, None]:
    return {stage: None for target in targets for stage in target.chain()}


def _with_shortcuts(stage: Stage, chosen: set[Stage], known: dict[Stage, Stage]) -> Stage:
    """The stage and all upstream of it; ``known`` spares doing one twice, because long chains share most of their stages."""
    if stage not in known:
        above = {name: _with_shortcuts(upstream, chosen, known) for name, upstream in stage.upstream().items()}
        known[stage] = stage.with_upstream(above, **_shortcuts(stage, chosen))
    return known[stage]


def _shortcuts(stage: Stage, chosen: set[Stage]) -> dict[str, Stage | tuple[Stage, ...]]:
    """Values of the shortcut fields whose work is done beforehand; one that holds several only if all of them are."""
    repeated, filled = stage.repeated(), {}
    for field in dict.fromkeys(name.partition(".")[0] for name in repeated):
        spared = [each for name, (each, _) in repeated.items() if name.partition(".")[0] == field]
        if chosen.issuperset(spared):
            filled[field] = spared[0] if field in repeated else tuple(spared)
    return filled
