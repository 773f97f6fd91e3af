"""A search over two numbers whose best point is known, and a driver of it that needs no Ray."""

from __future__ import annotations

import json
import math
from types import SimpleNamespace
from typing import ClassVar

from orchestrator.artifacts import ArtifactStore
from orchestrator.search.asha import RefilledAsha
from orchestrator.search.history import History
from orchestrator.search.plan import SearchPlan, plan_search
from orchestrator.search.sampler import ToldOptuna
from search_spaces.scale import Scale
from search_spaces.search import Real, Search, Whole
from search_spaces.study import study
from search_spaces.table import Column, Row, TableSpec
from tests.toys import toy_setting
from trainables.stage import Context, CorpusRole, Stage


class Climb(Stage):
    """Stands for a pretraining."""

    shortcuts: ClassVar[frozenset[str]] = frozenset({"resume"})
    corpus: CorpusRole = "mdd"
    x: float
    k: int
    epochs: int = 8
    stop_epoch: int | None = None
    resume: Climb | None = None

    def stopped(self, epoch: int, resume: Climb | None = None) -> Climb:
        return Climb(x=self.x, k=self.k, epochs=self.epochs, stop_epoch=epoch if epoch < self.epochs else None, resume=resume)

    def run(self, context: Context) -> None:
        (context.directory / "metrics.json").write_text(json.dumps({}))


class Grade(Stage):
    """Stands for a probe or a classifier."""

    climb: Climb
    seed: int = -1

    def run(self, context: Context) -> None:
        (context.directory / "metrics.json").write_text(json.dumps({"f1_macro": score(self.climb.x, self.climb.k)}))


def score(x: float, k: int, epoch: int = 8) -> float:
    """Best at x = 0.3 and k = 4; an earlier look sees less."""
    return 1 - abs(x - 0.3) - 0.05 * abs(k - 4) - 0.1 * math.sin(20 * x) / epoch


def table(point):
    spec = TableSpec(
        study="toy", title="Toy", source="nowhere", row_titles=("Row",), rows=(), headline="f1_macro",
        columns=(Column(metric="f1_macro", title="F1", percent=True, higher_is_better=True),),
    )  # fmt: skip
    return study(spec, [(Row(key="found", label=("found",), params=dict(point)), lambda seed: Grade(climb=Climb(**point)))], "toy")


SEARCH = Search(
    name="toy_search",
    title="Toy",
    source="nowhere",
    space={"x": Real(low=0.01, high=1.0, log=True), "k": Whole(low=1, high=9)},
    paper={"x": 0.9, "k": 9},
    pretraining=lambda point: Climb(**point),
    probe=lambda climb: Grade(climb=climb),
    development=lambda climb, seed: Grade(climb=climb, seed=seed),
    study=table,
    rungs=(0.25, 0.5, 1.0),
    trials={"paper": 24, "demo": 8, "smoke": 4},
    metric="f1_macro",
    protocol="toy",
)
SEEDS = (0, 1)


def toy_plan(store, trials=24, **options) -> SearchPlan:
    return plan_search(SEARCH, Scale("paper", seeds=2), SEEDS, toy_setting(store), trials, **options)


class Killed(Exception):
    """Stands for the death of the process."""


class Driven:
    """Does what Tune does with one trial at a time; dies after so many documents were written."""

    def __init__(self, plan: SearchPlan, documents: int | None = None) -> None:
        self._left = documents
        self._history = History(ArtifactStore(plan.setting.store), plan.key)
        self.plan, self.searcher = plan, ToldOptuna(plan, self._tell)
        self.asha = RefilledAsha(plan.rungs, plan.told + plan.unfinished)
        self.scored: list[tuple[int, int]] = []  # number and epoch

    def _tell(self, trial) -> None:
        if self._left == 0:
            raise Killed
        self._history.write(trial)
        self._left = None if self._left is None else self._left - 1

    def run(self):
        for number in range(self.plan.missing):
            self._trial(SimpleNamespace(trial_id=f"ray-{id(self)}-{number}"))
        return self._history.trials()

    def _trial(self, trial) -> None:
        trial.config = self.searcher.suggest(trial.trial_id)
        point = trial.config["point"]
        self.asha.on_trial_add(None, trial)
        for epoch in self.plan.rungs:
            self.scored.append((trial.config["number"], epoch))
            result = {"epoch": epoch, "score": self.probe(point, epoch)}
            if self.asha.on_trial_result(None, trial, result) == "STOP":
                self.searcher.on_trial_complete(trial.trial_id, result)
                return
            self.searcher.on_trial_result(trial.trial_id, result)
        self.searcher.on_trial_complete(trial.trial_id, {"state": "complete", "score": self.develop(point)})

    def probe(self, point, epoch) -> float:
        return score(**point, epoch=epoch)

    def develop(self, point) -> float:
        return score(**point)
