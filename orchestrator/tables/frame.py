"""The trials of a sweep as a tidy data frame, and what is wrong with them as material for one table."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

from orchestrator.records import SweepRecord, TrialResult

if TYPE_CHECKING:
    import pandas


def trials_frame(sweep: SweepRecord, trials: Sequence[TrialResult]) -> pandas.DataFrame:
    """One line per finished trial and metric: ``row, seed, metric, value, fingerprint``, in the order of rows and seeds.

    Trials that did not finish, and rows, seeds and metrics that the sweep does not declare, are left out.
    """
    import pandas

    metrics = [column.metric for column in sweep.table.columns]
    rows = [row.key for row in sweep.table.rows]
    usable = [trial for trial in trials if trial.status == "FINISHED" and trial.row in rows and trial.seed in sweep.seeds]
    usable.sort(key=lambda trial: (rows.index(trial.row), sweep.seeds.index(trial.seed), trial.fingerprint))
    lines = [
        (trial.row, trial.seed, metric, trial.metrics[metric], trial.fingerprint)
        for trial in usable
        for metric in metrics
        if metric in trial.metrics
    ]
    return pandas.DataFrame(lines, columns=["row", "seed", "metric", "value", "fingerprint"])


def trial_faults(sweep: SweepRecord, trials: Sequence[TrialResult]) -> list[str]:
    """Why these trials make no sound table: seeds missing or doubled, metrics without a number, mixed corpora, or one class of
    stage computed by several versions of the code.

    Each fault is a sentence; none means that the table is complete and like is compared with like.
    """
    finished = [trial for trial in trials if trial.status == "FINISHED"]
    seeds = _missing_seeds(sweep, finished) + _doubled_seeds(finished)
    return seeds + _metrics(sweep, finished) + _mixtures(finished)


def _missing_seeds(sweep: SweepRecord, trials: Sequence[TrialResult]) -> list[str]:
    there = {(trial.row, trial.seed) for trial in trials}
    faults = []
    for row in sweep.table.rows:
        missing = [seed for seed in sweep.seeds if (row.key, seed) not in there]
        if missing:
            faults.append(f"row {row.key!r} lacks {_seeds(missing)} of {len(sweep.seeds)}")
    return faults


def _doubled_seeds(trials: Sequence[TrialResult]) -> list[str]:
    seen: dict[tuple[str, int], list[str]] = defaultdict(list)
    for trial in trials:
        seen[trial.row, trial.seed].append(trial.fingerprint)
    return [
        f"row {row!r} has seed {seed} {len(fingerprints)} times ({', '.join(sorted(fingerprints))}); delete one in MLflow"
        for (row, seed), fingerprints in sorted(seen.items())
        if len(fingerprints) > 1
    ]


def _metrics(sweep: SweepRecord, trials: Sequence[TrialResult]) -> list[str]:
    faults = []
    for trial in trials:
        for metric in (column.metric for column in sweep.table.columns):
            if metric not in trial.metrics:
                faults.append(f"row {trial.row!r}, seed {trial.seed} has no metric {metric!r}, only {sorted(trial.metrics)}")
            elif not math.isfinite(trial.metrics[metric]):
                faults.append(f"row {trial.row!r}, seed {trial.seed}: {metric} is {trial.metrics[metric]}")
    return faults


def _mixtures(trials: Sequence[TrialResult]) -> list[str]:
    facts: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for trial in trials:
        for name in ("scale", "protocol"):
            facts[name][getattr(trial, name)] += 1
        for role, digest in trial.corpora.items():
            facts[f"corpus {role}"][digest] += 1
        for stage, digests in trial.code.items():
            for digest in digests.split("+"):
                facts[f"code of {stage}"][digest] += 1
    return [
        f"mixed {name}: {', '.join(f'{value!r} in {_trials(count)}' for value, count in sorted(values.items()))}{_way_out(name)}"
        for name, values in sorted(facts.items())
        if len(values) > 1
    ]


def _way_out(fact: str) -> str:
    if not fact.startswith("code of "):
        return ""
    return "; run the sweep again with --redo force to compute all with the present code, or --partial"


def _trials(count: int) -> str:
    return f"{count} {'trial' if count == 1 else 'trials'}"


def _seeds(seeds: Sequence[int]) -> str:
    return f"{'seed' if len(seeds) == 1 else 'seeds'} {', '.join(map(str, seeds))}"
