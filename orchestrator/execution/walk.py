"""The order in which a chain of stages can be run."""

from __future__ import annotations

from orchestrator.artifacts import ArtifactStore
from orchestrator.execution.setting import Setting
from trainables.stage import Stage


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
