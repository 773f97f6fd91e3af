"""What is wrong with the trials of a sweep as material for one table. Each fault is a sentence that says the way out."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from statistics import fmean

from orchestrator.records import CellStatistics, RecordedSweep, SweepRecord, TrialResult, sweep_command

_SAME = 1e-12  # relative: another order of summation is no other number


def usable_trials(recorded: RecordedSweep) -> list[TrialResult]:
    """The finished trials of declared rows and seeds, in the order of the rows and of the seeds."""
    rows, seeds = [row.key for row in recorded.sweep.table.rows], recorded.sweep.seeds
    usable = [trial for trial in recorded.trials if trial.status == "FINISHED" and trial.row in rows and trial.seed in seeds]
    return sorted(usable, key=lambda trial: (rows.index(trial.row), seeds.index(trial.seed), trial.fingerprint))


def values_of(trials: Iterable[TrialResult], row: str, metric: str) -> tuple[float, ...]:
    """The values of one cell; empty if a trial of the row lacks the metric, because the others answer another question."""
    of_row = [trial for trial in trials if trial.row == row]
    return tuple(trial.metrics[metric] for trial in of_row) if all(metric in trial.metrics for trial in of_row) else ()


def fatal_faults(recorded: RecordedSweep, trials: Sequence[TrialResult]) -> list[str]:
    """Why no table can be made, not even a partial one: a seed twice in a row, values that are no numbers, and statistics that
    are missing or of other trials than these.
    """
    return _doubled_seeds(trials) + _not_finite(recorded.sweep, trials) + _other_statistics(recorded, trials)


def doubtful_faults(sweep: SweepRecord, trials: Sequence[TrialResult]) -> list[str]:
    """Why like is not compared with like: seeds or metrics missing, mixed corpora, protocols or scales, one class of stage computed
    by several versions of its code, or by code that no commit holds.
    """
    return _missing_seeds(sweep, trials) + _missing_metrics(sweep, trials) + _mixtures(trials) + _uncommitted(trials)


def _doubled_seeds(trials: Sequence[TrialResult]) -> list[str]:
    seen: dict[tuple[str, int], list[str]] = defaultdict(list)
    for trial in trials:
        seen[trial.row, trial.seed].append(trial.fingerprint)
    return [
        f"row {row!r} has seed {seed} {len(fingerprints)} times ({', '.join(fingerprints)}); delete one in MLflow"
        for (row, seed), fingerprints in seen.items()
        if len(fingerprints) > 1
    ]


def _not_finite(sweep: SweepRecord, trials: Sequence[TrialResult]) -> list[str]:
    return [
        f"row {trial.row!r}, seed {trial.seed}: {column.metric} is {trial.metrics[column.metric]}, expected a finite number; look "
        f"at the stages of {trial.fingerprint} and run them again with --redo force"
        for trial in trials
        for column in sweep.table.columns
        if not math.isfinite(trial.metrics.get(column.metric, 0.0))
    ]


def _other_statistics(recorded: RecordedSweep, trials: Sequence[TrialResult]) -> list[str]:
    """Rows with a doubled seed or a value that is no number are left to the faults that say so."""
    counts = Counter((trial.row, trial.seed) for trial in trials)
    doubled = {row for (row, _), count in counts.items() if count > 1}
    stale = [row.key for row in recorded.sweep.table.rows if row.key not in doubled and _is_stale(recorded, row.key, trials)]
    if not stale:
        return []
    rows = f"{'row' if len(stale) == 1 else 'rows'} {', '.join(map(repr, stale))}"
    command = sweep_command(recorded.sweep.study)
    return [
        f"the statistics of {rows} were recorded for other trials; run `{command}` again, which computes nothing and records "
        "them anew"
    ]


def _is_stale(recorded: RecordedSweep, row: str, trials: Sequence[TrialResult]) -> bool:
    metrics = [column.metric for column in recorded.sweep.table.columns]
    cells = {metric: values_of(trials, row, metric) for metric in metrics}
    cell = recorded.cells.get(row, {})
    return any(
        not _agree(CellStatistics.from_metrics(metric, cell), values)
        for metric, values in cells.items()
        if all(map(math.isfinite, values))
    )


def _agree(recorded: CellStatistics | None, values: Sequence[float]) -> bool:
    if recorded is None or not values:
        return recorded is None and not values
    tolerance = _SAME * max(map(abs, values))
    return recorded.n == len(values) and abs(recorded.mean - fmean(values)) <= tolerance


def _missing_seeds(sweep: SweepRecord, trials: Sequence[TrialResult]) -> list[str]:
    there = {(trial.row, trial.seed) for trial in trials}
    faults = []
    for row in sweep.table.rows:
        missing = [seed for seed in sweep.seeds if (row.key, seed) not in there]
        if missing:
            noun = "seed" if len(missing) == 1 else "seeds"
            faults.append(f"row {row.key!r} lacks {noun} {', '.join(map(str, missing))} of {len(sweep.seeds)}")
    return faults


def _missing_metrics(sweep: SweepRecord, trials: Sequence[TrialResult]) -> list[str]:
    return [
        f"row {trial.row!r}, seed {trial.seed} has no metric {column.metric!r}, only {sorted(trial.metrics)}"
        for trial in trials
        for column in sweep.table.columns
        if column.metric not in trial.metrics
    ]


def _mixtures(trials: Sequence[TrialResult]) -> list[str]:
    facts: dict[str, Counter[str]] = defaultdict(Counter)
    for trial in trials:
        facts["scale"][trial.scale] += 1
        facts["protocol"][trial.protocol] += 1
        for role, digest in trial.corpora.items():
            facts[f"corpus {role}"][digest] += 1
        for stage, digests in trial.code.items():
            facts[f"code of {stage}"].update(digests.split("+"))
    return [
        f"mixed {name}: {', '.join(f'{value!r} in {_trials(count)}' for value, count in sorted(values.items()))}{_way_out(name)}"
        for name, values in sorted(facts.items())
        if len(values) > 1
    ]


def _way_out(fact: str) -> str:
    if not fact.startswith("code of "):
        return ""
    return "; run the sweep again with --redo force to compute all with the present code, or --partial"


def _uncommitted(trials: Sequence[TrialResult]) -> list[str]:
    dirty = [trial for trial in trials if trial.dirty]
    if not dirty:
        return []
    files = ", ".join(sorted({file for trial in dirty for file in trial.dirty}))
    return [
        f"{_trials(len(dirty))} computed by code that no commit holds ({files}); commit them and run again with --redo force, "
        "or --partial"
    ]


def _trials(count: int) -> str:
    return f"{count} {'trial' if count == 1 else 'trials'}"
