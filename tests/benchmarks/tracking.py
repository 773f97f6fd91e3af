"""What MLflow costs: the table of many runs, and many stages that report at a time.

    python tests/benchmarks/tracking.py table [--trials 1000 10000]
    python tests/benchmarks/tracking.py load [--stages 64] [--metrics 50] [--seconds 20]

- *table*: read a finished sweep of so many trials (ten seeds to a row) from a sqlite store, make its table, and write it in each
  format; then a second tracker opens the sweep and is told all of its trials again, as the end of every sweep does;
- *load*: stages that report to one tracker on PostgreSQL, which is started here; says how long a call kept its caller at most, how
  far MLflow was behind at the end, and whether every point is there.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # run by path, as the other benchmarks are

from orchestrator.tables.cells import make_table
from orchestrator.tables.render import Format, render
from orchestrator.tracking import Tracker, read_sweep
from tests.load import logged, put_under_load
from tests.many_runs import many_trials, record_many
from tests.postgres import postgres
from tests.recorded import sweep


def measure_table(trials: int) -> None:
    """Print the seconds of each step."""
    with tempfile.TemporaryDirectory() as folder:
        uri = f"sqlite:///{folder}/mlflow.db"
        with timed(f"{trials} trials: recording"):
            record = record_many(uri, Path(folder), trials)
        with timed(f"{trials} trials: reading"):
            recorded = read_sweep(uri, record.study)
        assert len(recorded.trials) == trials
        with timed(f"{trials} trials: making the table"):
            table = make_table(recorded)
        for form in Format:
            with timed(f"{trials} trials: {form}"):
                render(table, form)
        tracker = Tracker(uri, None)
        with timed(f"{trials} trials: opening again"):
            tracker.open_sweep(record)
        told = {(result.row, result.seed): result.metrics for result in recorded.trials}
        with timed(f"{trials} trials: telling all again"):
            for trial in many_trials(record):
                tracker.trial_ended(trial, "FINISHED", told[trial.row, trial.seed])
            assert tracker.flush()


def measure_load(stages: int, metrics: int, seconds: float) -> None:
    """Print what a tracker on PostgreSQL did."""
    with postgres() as uri:
        tracker = Tracker(uri, None)
        tracker.open_sweep(sweep())
        load = put_under_load(tracker, stages, metrics, seconds)
        whole = "every point is there" if logged(uri) == load.told else "POINTS ARE MISSING"
        points = sum(map(len, load.told.values()))
        print(f"{stages} stages, {points} points in {seconds:g} s: {whole}; {tracker.problem or 'no error'}")
        print(f"slowest call {load.slowest * 1000:.0f} ms, {load.behind:.1f} s behind at the end")


@contextmanager
def timed(what: str) -> Iterator[None]:
    """Print how long the block took."""
    began, cpu = time.perf_counter(), time.process_time()
    yield
    print(f"{what:45} {time.perf_counter() - began:7.2f} s  ({time.process_time() - cpu:.2f} s of CPU)", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["table", "load"])
    parser.add_argument("--trials", type=int, nargs="+", default=[1000, 10000])
    parser.add_argument("--stages", type=int, default=64)
    parser.add_argument("--metrics", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=20.0)
    given = parser.parse_args()
    if given.what == "load":
        measure_load(given.stages, given.metrics, given.seconds)
    else:
        for trials in given.trials:
            measure_table(trials)
