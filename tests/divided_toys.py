"""Stages that are divided by a protocol and take no time: features without sound, and classifiers as good as one likes."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd

from orchestrator.artifacts import ArtifactStore
from orchestrator.execution.local import LocalExecutor
from tests.toys import toy_setting
from trainables.divided import DividedStage
from trainables.leakage.exposure import Exposure
from trainables.metrics import scored_sets, write_predictions
from trainables.numerics import seeded
from trainables.stage import Context, CorpusRole, Stage
from trainables.tasks import TASKS
from trainables.units import read_units


class Sessions(Stage):
    """``sessions`` of a speaker each, by turns healthy and depressed: of every ten six train, two select and two are scored."""

    label: ClassVar[str] = "sessions"
    accelerated: ClassVar[bool] = False
    corpus: CorpusRole = "mdd"
    unit: str = "session"
    sessions: int = 40

    def exposure(self) -> Exposure:
        return Exposure()

    def run(self, context: Context) -> None:
        splits = ("train",) * 6 + ("dev",) * 2 + ("test",) * 2
        table = pd.DataFrame({"unit": [f"s{number:03d}" for number in range(self.sessions)], "position": 0, "seconds": 1.0})
        number = table.index
        table = table.assign(speaker="p" + table["unit"], session=table["unit"], split=[splits[n % 10] for n in number])
        table["depressed"] = [float(n // 2 % 2 if splits[n % 10] == "train" else n % 2) for n in number]
        table.to_parquet(context.directory / "segments.parquet", index=False)
        (context.directory / "metrics.json").write_text("{}")


class Told(DividedStage):
    """Is told the classes and says them with noise: log-odds of ``skill`` on the right side, other noise for every ``name``.

    Scored on a test set it has ``test_skill`` there, so that what is best on development data need not be best on test data.
    """

    label: ClassVar[str] = "told"
    accelerated: ClassVar[bool] = False
    features: Stage = Sessions()
    name: str = "a"
    skill: float = 1.0
    test_skill: float = 1.0
    chooses: bool = False
    """Whether it needs a development set, as a stage that chooses an epoch does."""
    silent: bool = False
    """Whether it keeps its development predictions to itself."""

    def exposure(self) -> Exposure:
        selected = "dev" if self.chooses and (self.inner is not None or self.protocol.scheme == "named") else "nothing"
        return Exposure(self.features, "training", "depression", selected=selected)

    def run(self, context: Context) -> None:
        units = read_units(context.result(self.features), TASKS["depression"])
        for name, scored in scored_sets(self, units).items():
            if name == "predictions_dev" and self.silent:
                continue
            tested = name == "predictions" and self.scored_on == "test"
            noise = np.random.default_rng(seeded(self.seed, self.name, name)).normal(size=len(scored.truth))
            odds = (2 * scored.truth - 1) * (self.test_skill if tested else self.skill) + noise
            positive = 1 / (1 + np.exp(-odds))
            write_predictions(context.directory, scored, np.stack([1 - positive, positive], axis=1), name=name)


class Runner:
    """Runs chains in this process, keeping their results in a folder."""

    def __init__(self, folder: Path) -> None:
        self._executor = LocalExecutor(toy_setting(folder), lambda *call: None)

    @property
    def executed(self) -> list[str]:
        """The kinds of the stages that were run, in order."""
        return [name.partition("/")[0] for name in self._executor.executed]

    def place(self, stage: Stage) -> Path:
        """Where a stage's result is or will be."""
        return Path(ArtifactStore(self._executor.setting.store).path(self._executor.setting.fingerprint(stage)))

    def run(self, stage: Stage) -> Path:
        """Where a stage's result is, after whatever it lacked was run."""
        self._executor.finish_chain(stage)
        return self.place(stage)
