"""A real search without Ray, Tune and interruptions, and what any search has left in its store."""

from __future__ import annotations

from pathlib import Path
from statistics import fmean

from rich.console import Console

from orchestrator.artifacts import ArtifactStore
from orchestrator.checks import Options, check
from orchestrator.execution.local import LocalExecutor
from orchestrator.search.history import History, SearchTrial
from orchestrator.searching import look_at
from tests.orchestrator.search.toy_search import Driven


class Local(Driven):
    """Runs the stages of each trial in this process."""

    def probe(self, point, epoch):
        return self._score(self.plan.search.probes(point, self.plan.scale)[epoch])

    def develop(self, point):
        return fmean(map(self._score, self.plan.search.developments(point, self.plan.scale, self.plan.seeds)))

    def _score(self, stage):
        setting = self.plan.setting
        LocalExecutor(setting, lambda *call: None, lambda *progress: None).finish_chain(stage)
        return ArtifactStore(setting.store).read_json(setting.fingerprint(stage), "metrics.json")["f1_macro"]


def search_locally(asked: Options) -> tuple[SearchTrial, ...]:
    """The trials of a search, one after the other."""
    checked, done = check(asked), Console(record=True)
    return Local(look_at(checked, asked, done)).run()


def trials(store: Path) -> tuple[SearchTrial, ...]:
    """Of the one search in a store."""
    (folder,) = (store / "searches").iterdir()
    return History(ArtifactStore(store), folder.name).trials()
