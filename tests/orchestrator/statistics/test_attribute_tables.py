"""Tables of concordance coefficients: intervals, comparisons and development sets from files without classes."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from orchestrator.records import TrialResult
from orchestrator.statistics import table_statistics
from search_spaces.table import Column, Row, TableSpec
from trainables.attributes import ATTRIBUTES
from trainables.errors import UserError
from trainables.metrics import write_attributes
from trainables.tasks import TASKS
from trainables.units import Units

SPEAKERS = {"predictions": 24, "predictions_dev": 10}
METRICS = ("ccc", "ccc_activation", "dev_ccc")
SEEDS = 4


def shown(metric):
    return Column(metric=metric, title=metric, percent=False, higher_is_better=True, decimals=3)


AT_BEST = Column(
    metric="ccc", title="at best", percent=False, higher_is_better=True, decimals=3, over_seeds="at_best", best_by="dev_ccc"
)
SPEC = TableSpec(
    study="toy",
    title="Toy",
    source="nowhere",
    row_titles=("row",),
    rows=tuple(Row(key=key, label=(key,), compared=key != "mean") for key in ("sup", "cpc", "mean")),
    columns=(*map(shown, METRICS), AT_BEST),
    headline="ccc",
    baseline="sup",
)
QUALITY = {"sup": 0.3, "cpc": 0.8, "mean": 0.0}


def rated(name):
    """Five units of each speaker; the same ones for every row and seed."""
    draw, speakers = np.random.default_rng(SPEAKERS[name]), np.repeat(np.arange(SPEAKERS[name]), 5)
    table = pd.DataFrame({"unit": [f"{name} {n}" for n in range(len(speakers))], "speaker": [f"{name} {s}" for s in speakers]})
    level = draw.normal(0, 0.4, SPEAKERS[name])[speakers]
    ratings = {attribute: (4 + level + draw.normal(0, 1, len(table))).clip(1, 7) for attribute in ATTRIBUTES}
    return Units(table.assign(**ratings), (), np.zeros(len(table), dtype=np.int64), TASKS["attributes"])


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    """Trials of three rows, and their files by fingerprint and name."""
    home, trials, files = tmp_path_factory.mktemp("sweep"), [], {}
    for row, quality in QUALITY.items():
        for seed in range(SEEDS):
            draw, directory, metrics = np.random.default_rng([*row.encode(), seed]), home / f"{row}-{seed}", {}
            directory.mkdir()
            for name in SPEAKERS:
                units = rated(name)
                truth = units.table[list(ATTRIBUTES)].to_numpy()
                predicted = 4.1 + quality * (truth - 4) + (quality > 0) * draw.normal(0, 0.5, truth.shape)
                metrics |= write_attributes(directory, units, predicted, name)
                files[f"{row}-{seed}", f"{name}.parquet"] = pd.read_parquet(directory / f"{name}.parquet")
            facts = {"status": "FINISHED", "scale": "demo", "protocol": "none", "code": {}, "corpora": {}}
            trials.append(TrialResult(row=row, seed=seed, fingerprint=f"{row}-{seed}", metrics=metrics, **facts))
    return trials, files


def statistics(sweep, changed=()):
    trials, files = sweep
    files = files | dict(changed)
    return table_statistics(SPEC, trials, lambda fingerprint, file: files[fingerprint, file], with_published=False)


def test_every_coefficient_has_its_mean_over_seeds_and_an_interval_over_speakers(sweep):
    cells = statistics(sweep)
    for row in ("sup", "cpc"):
        for metric in METRICS:
            cell, values = cells[row, metric], [trial.metrics[metric] for trial in sweep[0] if trial.row == row]
            assert (cell.n, cell.mean, cell.std) == (SEEDS, pytest.approx(np.mean(values)), pytest.approx(np.std(values, ddof=1)))
            assert cell.speakers == (10 if metric == "dev_ccc" else 24)
            assert cell.ci_low < cell.mean < cell.ci_high
    assert cells["cpc", "dev_ccc"].mean != cells["cpc", "ccc"].mean


def test_a_better_row_is_told_from_its_baseline_by_pairs_of_seeds_and_speakers(sweep):
    cell = statistics(sweep)["cpc", "ccc"]
    assert 0 < cell.difference_low < cell.difference < cell.difference_high
    assert (cell.p_superior, cell.p_floor) == (1, 2 / 2**SEEDS)


def test_a_row_of_constants_is_0_without_any_spread(sweep):
    cell = statistics(sweep)["mean", "ccc"]
    assert (cell.mean, cell.std, cell.ci_low, cell.ci_high) == (0, 0, 0, 0)


def test_the_seed_that_is_best_on_the_development_set_has_an_interval_over_speakers(sweep):
    trials = [trial.metrics for trial in sweep[0] if trial.row == "cpc"]
    cell = statistics(sweep)["cpc", "ccc_at_best"]
    assert cell.mean == pytest.approx(max(trials, key=lambda metrics: metrics["dev_ccc"])["ccc"])
    assert cell.ci_low < cell.mean < cell.ci_high


def test_rows_whose_units_were_rated_otherwise_are_not_paired(sweep):
    """A rating that has no part in the score at hand is changed, as by another release of the labels."""
    changed = []
    for seed in range(SEEDS):
        table = sweep[1][f"cpc-{seed}", "predictions.parquet"]
        changed.append(((f"cpc-{seed}", "predictions.parquet"), table.assign(valence=table["valence"] + 1e-9)))
    with pytest.raises(UserError, match="row 'cpc', seed 0 is not paired with the baseline"):
        statistics(sweep, changed)


def test_predictions_of_another_trial_are_told(sweep):
    other = sweep[1]["sup-1", "predictions.parquet"]
    with pytest.raises(UserError, match=r"the predictions give ccc .*, expected the trial's own"):
        statistics(sweep, [(("cpc-1", "predictions.parquet"), other)])
