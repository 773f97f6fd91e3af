"""The display of a sweep: what has ended is announced once, and a store with thousands of stages is not asked about all of them."""

import io
import logging
from collections import Counter

import pytest
from rich.console import Console

from orchestrator.artifacts import ArtifactStore
from orchestrator.plan import make_plan
from orchestrator.progress import _LOOKS, SweepDisplay
from search_spaces.scale import SCALES
from search_spaces.study import Study
from search_spaces.table import Column, Row, TableSpec
from tests.toys import Number, Sum, toy_setting

SEEDS = 200


@pytest.fixture
def plan(tmp_path):
    """Two rows, whose trials share one stage."""
    chains = {f"r{n}": lambda seed, n=n: Sum(left=Number(), right=Number(value=n), seed=seed) for n in (2, 3)}
    table = TableSpec(
        study="toy",
        title="Toy",
        source="nowhere",
        row_titles=("row",),
        rows=tuple(Row(key=key, label=(key,)) for key in chains),
        columns=(Column(metric="f1_macro", title="F1", percent=False, higher_is_better=True),),
        headline="f1_macro",
    )
    store = ArtifactStore(tmp_path / "store")
    return make_plan(Study(table, chains, "none"), SCALES["smoke"], tuple(range(SEEDS)), toy_setting(store.uri), store)


class Sweep:
    """What a display looks at."""

    def __init__(self):
        self.running, self.done, self.asked = {}, set(), Counter()

    def is_done(self, name):
        self.asked[name] += 1
        return name in self.done


@pytest.fixture
def console(tmp_path):
    return Console(file=(tmp_path / "console").open("w+"), width=200)


def told(console):
    console.file.seek(0)
    return console.file.read()


def test_a_frame_asks_about_what_has_just_run_and_a_few_others_and_in_time_about_all(plan, console):
    sweep = Sweep()
    display = SweepDisplay(plan, console, lambda: sweep.running, sweep.is_done)
    last = plan.stages[-1].fingerprint
    sweep.running = {last: (0.5, 3.0)}
    display.picture()
    sweep.asked.clear()
    sweep.running, sweep.done = {}, {last}
    display.picture()
    assert sweep.asked[last] == 1
    assert len(sweep.asked) <= _LOOKS + 1
    for _ in range(len(plan.stages) // _LOOKS + 1):
        display.picture()
    assert sweep.asked.keys() == {stage.fingerprint for stage in plan.stages}


def test_every_stage_that_has_ended_is_announced_once_at_the_end_at_the_latest(plan, console, tmp_path):
    sweep = Sweep()
    display = SweepDisplay(plan, console, lambda: sweep.running, sweep.is_done)
    with display.shown(tmp_path / "log"):
        sweep.done = {stage.fingerprint for stage in plan.stages}
    assert told(console).count("✓") == len(plan.stages)
    display.picture()
    assert told(console).count("✓") == len(plan.stages)


def test_a_trial_counts_as_done_when_it_lacks_no_stage(plan, console, tmp_path):
    sweep = Sweep()
    display = SweepDisplay(plan, console, lambda: sweep.running, sweep.is_done)
    first, *others = plan.trials
    sweep.done = set(first.record.stages) | {others[-1].record.fingerprint}  # of the last trial not what is upstream
    with display.shown(tmp_path / "log"):
        pass
    assert display._totals().plain == f"stages {len(sweep.done)}/{len(plan.stages)}   trials 1/{2 * SEEDS}"


def test_what_ray_logs_meanwhile_goes_to_the_file(plan, console, tmp_path):
    """A death that the sweep survives is no news for its screen."""
    sweep, before = Sweep(), io.StringIO()
    handler, logger = logging.StreamHandler(before), logging.getLogger("ray")
    logger.addHandler(handler)
    try:
        with SweepDisplay(plan, console, lambda: sweep.running, sweep.is_done).shown(tmp_path / "log"):
            logging.getLogger("ray.tune").error("a driver died")
        logger.error("afterwards")
    finally:
        logger.removeHandler(handler)
    assert "a driver died" in (tmp_path / "log").read_text()
    assert before.getvalue() == "afterwards\n"
