"""The order in which a chain of stages can be run, and the jobs it consists of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from orchestrator.artifacts import ArtifactStore
from orchestrator.execution.job import StageJob
from trainables.corpora.corpus import CorpusSource
from trainables.identity import fingerprint
from trainables.stage import Stage, to_config


@dataclass(frozen=True)
class Setting:
    """What all jobs of a sweep have in common.

    Attributes:
        corpora: The corpus of every role.
        store: Root of the artifact store.
        code: Version of the code that planned the sweep.
        threads: CPU threads of each worker.
        sweep: Key of the sweep, by which its workers find its tracker.
        checkpoint_seconds: Time between checkpoints.
    """

    corpora: Mapping[str, CorpusSource]
    store: str
    code: str
    threads: int = 1
    sweep: str = ""
    checkpoint_seconds: float = 30.0

    def fingerprint(self, stage: Stage) -> str:
        """The stage's identity with these corpora."""
        return fingerprint(stage, {role: corpus.digest for role, corpus in self.corpora.items()})

    def job(self, stage: Stage) -> StageJob:
        """The stage as data that travels."""
        roles = {role for part in stage.chain() for role in part.roles().values()}
        return StageJob(
            config=to_config(stage),
            corpora={role: self.corpora[role] for role in sorted(roles)},
            store=self.store,
            code=self.code,
            threads=self.threads,
            sweep=self.sweep,
            checkpoint_seconds=self.checkpoint_seconds,
        )


def ready_stages(target: Stage, setting: Setting, store: ArtifactStore) -> dict[str, Stage]:
    """Unfinished stages that ``target`` needs (itself included) and whose own upstream stages are finished, by fingerprint.

    Empty when the target is finished. A stage whose result is there hides everything upstream of it, finished or not.
    """
    ready: dict[str, Stage] = {}

    def visit(stage: Stage) -> bool:
        name = setting.fingerprint(stage)
        if name in ready:
            return False
        if store.is_done(name):
            return True
        if all([visit(above) for above in stage.upstream().values()]):  # a list: every missing branch is to be found
            ready[name] = stage
        return False

    visit(target)
    return ready
