"""What a sweep of very many trials costs when its stages cost nothing: each sleeps for ten milliseconds.

    python tests/benchmarks/many_trials.py [--trials 1000 10000] [--slots 2]

For each number of trials (ten rows, a stage of its own for every trial, one more for every seed) the same process plans the sweep,
runs it on a Ray cluster of its own, and reports

- seconds of planning;
- milliseconds of orchestration per trial: wall time, less the naps over the slots, over the trials;
- the most memory that the sweep's own process took;
- seconds until the same sweep, all of it finished, has been seen through again (delivery to MLflow included).
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import ClassVar

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # run by path, as the other benchmarks are

from search_spaces.study import Study, study
from search_spaces.table import Column, Row, TableSpec
from trainables.stage import Context, CorpusRole, Stage

ROOT = Path(__file__).resolve().parents[2]
NAP_SECONDS = 0.01
_ROWS = 10


class Doze(Stage):
    """Sleeps."""

    accelerated: ClassVar[bool] = False
    label: ClassVar[str] = "doze"
    corpus: CorpusRole = "mdd"
    seed: int = 0

    def run(self, context: Context) -> None:
        time.sleep(NAP_SECONDS)
        context.tick(1.0)
        (context.directory / "metrics.json").write_text("{}")


class Snooze(Stage):
    """Sleeps after another has."""

    accelerated: ClassVar[bool] = False
    label: ClassVar[str] = "snooze"
    after: Doze
    row: int
    seed: int = 0

    def run(self, context: Context) -> None:
        time.sleep(NAP_SECONDS)
        context.report({"value": float(self.row)}, 0)
        (context.directory / "metrics.json").write_text(json.dumps({"f1_macro": (self.row + self.seed % 7) / 100}))


def naps() -> Study:
    """Ten rows."""
    rows = [Row(key=f"row{number}", label=(f"row {number}",)) for number in range(_ROWS)]
    column = Column(metric="f1_macro", title="F1", percent=True, higher_is_better=True)
    spec = TableSpec(
        study="many_trials", title="Naps", source="nowhere", row_titles=("Row",), rows=(), headline="f1_macro", columns=(column,)
    )
    chains = [lambda seed, number=number: Snooze(after=Doze(seed=seed), row=number, seed=seed) for number in range(_ROWS)]
    return study(spec, list(zip(rows, chains, strict=True)), "none")


def known() -> None:
    """Called in every Ray worker: it has imported this module under the name that stages are looked up by."""


def measure(trials: int, slots: int, home: Path) -> None:
    """Plan and run, and print what it took."""
    from orchestrator.execution.environment import WORKER_ENVIRONMENT, set_environment

    set_environment(None)
    import ray
    from rich.console import Console

    from orchestrator.artifacts import ArtifactStore
    from orchestrator.conductor import _deliver
    from orchestrator.execution.namespace import NAMESPACE
    from orchestrator.execution.ray_sweep import RaySweep
    from orchestrator.execution.resources import ResourceRequest
    from orchestrator.plan import make_plan
    from orchestrator.progress import SweepDisplay
    from orchestrator.tracking import Tracker
    from search_spaces.scale import SCALES
    from tests.toys import toy_setting

    store, uri = ArtifactStore(home / "store"), f"sqlite:///{home}/mlflow.db"
    began = time.perf_counter()
    plan = make_plan(naps(), SCALES["smoke"], tuple(range(trials // _ROWS)), toy_setting(store.uri), store)
    print(f"{trials:6} trials: planned in              {time.perf_counter() - began:8.2f} s", flush=True)
    environment = {"env_vars": {**WORKER_ENVIRONMENT, "PYTHONPATH": str(ROOT)}}
    environment["worker_process_setup_hook"] = "tests.benchmarks.many_trials.known"
    ray.init(num_cpus=slots, num_gpus=0, namespace=NAMESPACE, log_to_driver=False, include_dashboard=False, runtime_env=environment)
    began = time.perf_counter()
    sweep = RaySweep(plan, ResourceRequest(1, 1, 0.0), uri, home / "artifacts")
    with (home / "log").open("w") as stream:
        display = SweepDisplay(plan, Console(file=stream), sweep.running, store.is_done)
        with display.shown(home / "sweep.log"):
            outcome = sweep.run()
    seconds = time.perf_counter() - began
    assert outcome == "FINISHED"
    assert all(store.is_done(stage.fingerprint) for stage in plan.stages)
    asleep = NAP_SECONDS * len(plan.stages) / slots
    print(f"{trials:6} trials: run in                  {seconds:8.2f} s", flush=True)
    print(f"{trials:6} trials: orchestration per trial {(seconds - asleep) / trials * 1000:8.2f} ms", flush=True)
    ray.shutdown()
    began = time.perf_counter()
    tracker = Tracker(uri, home / "artifacts")
    tracker.open_sweep(plan.sweep)
    print(f"{trials:6} trials: MLflow's runs opened in {time.perf_counter() - began:8.2f} s", flush=True)
    _deliver(plan, lambda method, *arguments: getattr(tracker, method)(*arguments), store)
    assert tracker.flush(), tracker.problem
    print(f"{trials:6} trials: seen through again in   {time.perf_counter() - began:8.2f} s", flush=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{trials:6} trials: most memory             {peak:8.2f} GiB", flush=True)


def main() -> None:
    """Each number of trials in a process of its own, whose memory is its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, nargs="+", default=[1000, 10000])
    parser.add_argument("--slots", type=int, default=2)
    given = parser.parse_args()
    if len(given.trials) == 1:
        with tempfile.TemporaryDirectory() as home:
            measure(given.trials[0], given.slots, Path(home))
        return
    for trials in given.trials:
        command = [sys.executable, __file__, "--trials", str(trials), "--slots", str(given.slots)]
        subprocess.run(command, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"})


if __name__ == "__main__":
    from tests.benchmarks import many_trials  # under the name by which workers know its stages

    many_trials.main()
