"""What orchestration costs and what sharing saves: the same study three times, each from an empty store.

    python tests/benchmarks/orchestration.py [--scale demo] [--seeds 3] [--skip-unshared] [--json PATH]

- *bare*: the distinct stages one after the other in one process (the local executor);
- *sweep*: Ray Tune, Ray Train, single flight, MLflow;
- *unshared*: Ray Tune as its documentation shows it: every trial runs its whole chain (12 minutes at demo scale).

CPU time is that of the whole tree of processes. The corpora are made once, before.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

STUDY = "reclr_lambda"
LONG = 600.0  # seconds of a stage on a real corpus, for the extrapolation

UNSHARED = f"""
import sys
from pathlib import Path
from orchestrator.checks import Options, check, plan_study
from orchestrator.execution.environment import set_environment

results, scale, seeds = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
options = Options("{STUDY}", scale=scale, seeds=seeds, results=results)
checked = check(options)
plan = plan_study(checked, checked.question, options)
set_environment(None)
from ray import tune
from orchestrator.execution.cluster import joined

def trial(config, trials, setting):
    from orchestrator.execution.local import LocalExecutor
    planned = trials[config["number"]]
    private = setting.model_copy(update={{"store": str(results / f"store-{{config['number']}}")}})
    LocalExecutor(private, lambda *call: None).finish_chain(planned.target)

with joined(None, options.machine):
    function = tune.with_parameters(trial, trials=plan.trials, setting=plan.setting)
    space = {{"number": tune.grid_search(list(range(len(plan.trials))))}}
    run = tune.RunConfig(storage_path=str(results / "tune"), verbose=0)
    found = tune.Tuner(tune.with_resources(function, {{"cpu": 1}}), param_space=space, run_config=run).fit()
    sys.exit(1 if found.errors else 0)
"""


class TreeClock(threading.Thread):
    """CPU seconds of a process and everything that descends from it, read from /proc four times a second."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._known, self._ended = {pid: 0.0}, threading.Event()
        self._tick = os.sysconf("SC_CLK_TCK")

    def run(self) -> None:
        """Keep the last reading of every process, also of those that are adopted by another parent."""
        while not self._ended.wait(0.25):
            for folder in Path("/proc").glob("[0-9]*"):
                try:
                    fields = (folder / "stat").read_text().rpartition(")")[2].split()
                except (FileNotFoundError, ProcessLookupError):
                    continue
                if int(folder.name) in self._known or int(fields[1]) in self._known:
                    self._known[int(folder.name)] = (int(fields[11]) + int(fields[12])) / self._tick

    def seconds(self) -> float:
        """Stop and sum up."""
        self._ended.set()
        self.join()
        return sum(self._known.values())


def timed(command: list[str]) -> tuple[float, float]:
    """Wall and CPU seconds of a command that must succeed."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    with tempfile.TemporaryFile("w+") as output:
        started = time.perf_counter()
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=environment)
        clock = TreeClock(process.pid)
        clock.start()
        code, wall = process.wait(), time.perf_counter() - started
        if code != 0:
            output.seek(0)
            sys.exit(f"{command[:3]} ended with {code}:\n{output.read()[-3000:]}")
        return wall, clock.seconds()


def stage_seconds(results: Path) -> list[float]:
    """Wall seconds of every finished stage."""
    files = (results / "store" / "results").rglob("provenance.json")
    return [json.loads(file.read_text())["wall_seconds"] for file in files]


def main() -> int:
    """Run, print the ratios and whether the goals are met."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", default="demo")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--skip-unshared", action="store_true")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    sweep = [sys.executable, "-m", "orchestrator.sweep", STUDY, "--scale", options.scale, "--seeds", str(options.seeds)]
    with tempfile.TemporaryDirectory() as name:
        results = Path(name)
        from trainables.corpora.registry import open_corpora

        for corpus in open_corpora("demo", results, ["mdd", "mosei"]).values():
            corpus.prepare()
        figures: dict[str, float] = {}
        figures["sweep_wall"], figures["sweep_cpu"] = timed([*sweep, "--results", str(results)])
        print(figures, flush=True)  # the rest takes a quarter of an hour
        seconds = stage_seconds(results)
        bare = [*sweep, "--local", "--results", str(results), "--store", str(results / "bare")]
        figures["bare_wall"], figures["bare_cpu"] = timed(bare)
        print(figures, flush=True)
        if not options.skip_unshared:
            command = [sys.executable, "-c", UNSHARED, str(results), options.scale, str(options.seeds)]
            figures["unshared_wall"], figures["unshared_cpu"] = timed(command)
    slots = len(os.sched_getaffinity(0))
    overhead = figures["sweep_wall"] - sum(seconds) / slots
    figures |= {"stages": len(seconds), "slots": slots, "overhead_seconds": overhead}
    figures["tax"] = figures["sweep_wall"] / figures["bare_wall"]
    ideal = len(seconds) * LONG / slots
    figures["tax_of_10_minute_stages_over_a_perfect_schedule"] = (ideal + overhead) / ideal
    goals = {"wall time of the sweep over its bare stages: at most 1.5": figures["tax"] <= 1.5}
    if "unshared_cpu" in figures:
        figures["cpu_saved_by_sharing"] = figures["unshared_cpu"] / figures["sweep_cpu"]
        goals["CPU time of trials that share nothing over the sweep's: at least 3"] = figures["cpu_saved_by_sharing"] >= 3
    for key, value in figures.items():
        print(f"{key:50} {value:10.3f}")
    for goal, met in goals.items():
        print(f"{'met' if met else 'MISSED'}: {goal}")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return 0 if all(goals.values()) else 1


if __name__ == "__main__":
    raise SystemExit(main())
