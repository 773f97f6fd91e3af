"""A study of stages that only wait, and a process that runs it on a cluster: ``python toy_sweep.py SPECIFICATION``."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import ClassVar

from search_spaces.study import Study, study
from search_spaces.table import Column, Row, TableSpec
from trainables.stage import Context, CorpusRole, Stage


class Nap(Stage):
    """Waits, on a CPU; leaves a file in ``notes`` for every process that has begun it."""

    accelerated: ClassVar[bool] = False
    label: ClassVar[str] = "nap"
    corpus: CorpusRole = "mdd"
    notes: str
    seconds: float = 1.0
    seed: int = 0

    def run(self, context: Context) -> None:
        name = f"{type(self).__name__}-{self.seed}-{context.rank}-{os.getpid()}-{time.monotonic_ns()}"
        (Path(self.notes) / name).touch()
        steps = max(1, int(self.seconds * 10))
        for step in range(steps):
            time.sleep(0.1)
            context.tick((step + 1) / steps)
            if context.checkpoint_due():
                context.save_checkpoint({"step": step})
        (context.directory / "metrics.json").write_text(json.dumps({"f1_macro": float(self.seed)}))


class GangNap(Nap):
    """On several workers."""

    data_parallel: ClassVar[bool] = True
    label: ClassVar[str] = "gang nap"


class GpuNap(Nap):
    """With a share of a GPU."""

    accelerated: ClassVar[bool] = True
    label: ClassVar[str] = "GPU nap"


KINDS = {kind.__name__: kind for kind in (Nap, GangNap, GpuNap)}


def toy_study(kinds: list[str], notes: str, seconds: float) -> Study:
    """A row for each kind."""
    rows = [Row(key=kind.lower(), label=(kind,)) for kind in kinds]
    column = Column(metric="f1_macro", title="F1", percent=True, higher_is_better=True)
    spec = TableSpec(
        study="toy_sweep", title="Toy", source="nowhere", row_titles=("Row",), rows=(), headline="f1_macro", columns=(column,)
    )
    chains = [lambda seed, kind=kind: KINDS[kind](notes=notes, seconds=seconds, seed=seed) for kind in kinds]
    return study(spec, list(zip(rows, chains, strict=True)), "none")


def known() -> None:
    """Called in every Ray worker: it has imported this module, and computes on the CPU where a GPU is pretended."""
    import torch

    from orchestrator.execution import ray_stage

    ray_stage._device = lambda *asked: torch.device("cpu")


def main(specification: dict) -> None:
    """Run the study, or say why the cluster cannot; prints one line that begins with TOLD."""
    from orchestrator.execution.environment import WORKER_ENVIRONMENT, set_environment

    set_environment(specification["address"])
    import ray

    from orchestrator.artifacts import ArtifactStore
    from orchestrator.execution.cluster import current_shape
    from orchestrator.execution.namespace import NAMESPACE
    from orchestrator.execution.per_stage import read_per_stage
    from orchestrator.execution.ray_sweep import RaySweep
    from orchestrator.execution.resources import ResourceRequest, request_faults
    from orchestrator.plan import make_plan
    from orchestrator.running import stop_signals
    from search_spaces.scale import SCALES
    from tests.toys import toy_setting

    home = Path(specification["home"])
    request = ResourceRequest(1, specification["cpus"], 0.0, *read_per_stage(specification["per_stage"]))
    store = ArtifactStore(home / "store")
    toys = toy_study(specification["kinds"], str(home / "notes"), specification["seconds"])
    plan = make_plan(toys, SCALES["smoke"], tuple(range(specification["seeds"])), toy_setting(store.uri), store)
    began = time.monotonic()
    environment = {"env_vars": {**WORKER_ENVIRONMENT, "SWEEP_MARK": specification["mark"]}}
    environment["worker_process_setup_hook"] = "tests.orchestrator.toy_sweep.known"
    ray.init(address=specification["address"], namespace=NAMESPACE, log_to_driver=False, runtime_env=environment)
    faults = request_faults(request, [planned.stage for planned in plan.stages], current_shape())
    if faults:
        print("TOLD", json.dumps({"refused": faults, "seconds": time.monotonic() - began}), flush=True)
        return
    sweep = RaySweep(plan, request, f"sqlite:///{home}/mlflow.db", home / "artifacts")
    with stop_signals(sweep.stop):
        outcome = sweep.run()
    names = [planned.fingerprint for planned in plan.stages]
    failures = [story for name in names if (story := store.failure(name))]
    told = {"outcome": outcome, "done": sum(map(store.is_done, names)), "stages": len(names), "failures": failures}
    print("TOLD", json.dumps(told), flush=True)
    ray.shutdown()


if __name__ == "__main__":
    from tests.orchestrator import toy_sweep  # under the name by which workers know its stages

    toy_sweep.main(json.loads(sys.argv[1]))
