"""A context for running one stage in a test."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from trainables.corpora.corpus import CorpusSource
from trainables.stage import Stage, StopRequested


class FakeContext:
    """Implements :class:`trainables.stage.Context`: results given, curves kept in ``reports``, checkpoint in a file.

    Args:
        directory: Where the stage writes.
        results: Directories of the upstream stages' results.
        rank: This process' rank.
        world_size: Number of ranks.
        stop_after: Be stopped after so many steps; None for never.
        other_code: Whether the upstream results were computed by other code.
    """

    def __init__(
        self,
        directory: Path,
        results: Mapping[Stage, Path],
        rank: int = 0,
        world_size: int = 1,
        stop_after: int | None = None,
        other_code: bool = False,
    ) -> None:
        directory.mkdir(exist_ok=True)
        self.rank, self.world_size, self.device, self.directory = rank, world_size, torch.device("cpu"), directory
        self.reports: list[tuple[int, dict[str, float]]] = []
        self._results, self._steps_left, self._other_code = dict(results), stop_after, other_code
        self._checkpoint = directory.with_suffix(".checkpoint")

    def result(self, stage: Stage) -> Path:
        return self._results[stage]

    def begun(self, stage: Stage) -> Path | None:
        return None if self._other_code else self._results[stage]

    def corpus(self, role: str) -> CorpusSource:
        raise NotImplementedError("this context has no corpora")

    def parts(self, work: Sequence[Any]) -> Iterator[Path]:
        raise NotImplementedError("this context hands out no parts")

    def report(self, metrics: Mapping[str, float], step: int) -> None:
        self.reports.append((step, dict(metrics)))

    def tick(self, fraction: float) -> None:
        if self._steps_left is not None:
            self._steps_left -= 1

    def checkpoint_due(self) -> bool:
        return self._steps_left == 0

    def save_checkpoint(self, state: dict[str, Any]) -> None:
        torch.save(state, self._checkpoint)
        raise StopRequested

    def load_checkpoint(self) -> dict[str, Any] | None:
        return torch.load(self._checkpoint, weights_only=True) if self._checkpoint.exists() else None
