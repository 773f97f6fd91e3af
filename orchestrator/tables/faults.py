"""What is wrong with the trials of a sweep as material for one table. Each fault is a sentence that says the way out."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from orchestrator.records import RecordedSweep, SweepRecord, TrialResult, statistics_digest, sweep_command
from orchestrator.statistics.over_seeds import distinct_metrics


def usable_trials(recorded: RecordedSweep) -> list[TrialResult]:
    """The finished trials of declared rows and seeds, in the order of the rows and of the seeds."""
    rows = {row.key: place for place, row in enumerate(recorded.sweep.table.rows)}
    seeds = {seed: place for place, seed in enumerate(recorded.sweep.seeds)}
    usable = [trial for trial in recorded.trials if trial.status == "FINISHED" and trial.row in rows and trial.seed in seeds]
    return sorted(usable, key=lambda trial: (rows[trial.row], seeds[trial.seed], trial.fingerprint))


def fatal_faults(sweep: SweepRecord, trials: Sequence[TrialResult]) -> list[str]:
    """Why no table can be made, not even a partial one: a seed twice in a row, and values that are no numbers."""
    return _doubled_seeds(trials) + _not_finite(sweep, trials)


def doubtful_faults(recorded: RecordedSweep, trials: Sequence[TrialResult]) -> list[str]:
    """Why like is not compared with like: seeds or metrics missing, mixed corpora, protocols or scales, one class of stage computed
    by several versions of its code, or by code that no commit holds.
    """
    sweep = recorded.sweep
    return _missing_seeds(recorded, trials) + _missing_metrics(sweep, trials) + _mixtures(trials) + _uncommitted(trials)


def statistics_fault(recorded: RecordedSweep, trials: Sequence[TrialResult]) -> str | None:
    """Why the recorded statistics are not to be shown: there are none, or they were not computed from these trials by this code."""
    if recorded.told_by == statistics_digest(recorded.trials):
        return None
    found = (
        "the statistics were recorded for other trials, or by another version of the statistics"
        if recorded.told_by
        else "no statistics of these trials were recorded"
    )
    cost = "" if _missing_seeds(recorded, trials) else "computes nothing and "
    anew = " anew" if recorded.told_by else ""
    return f"{found}; run `{sweep_command(recorded.sweep.study)}` again, which {cost}records them{anew}"


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
        f"row {trial.row!r}, seed {trial.seed}: {metric} is {trial.metrics[metric]}, expected a finite number; look at the stages "
        f"of {trial.fingerprint} and run them again with --redo force"
        for trial in trials
        for metric in distinct_metrics(sweep.table.columns)
        if not math.isfinite(trial.metrics.get(metric, 0.0))
    ]


def _missing_seeds(recorded: RecordedSweep, trials: Sequence[TrialResult]) -> list[str]:
    there, sweep = {(trial.row, trial.seed) for trial in trials}, recorded.sweep
    reasons = {(trial.row, trial.seed): trial.failure for trial in recorded.trials if trial.failure}
    faults = []
    for row in sweep.table.rows:
        missing = [seed for seed in sweep.seeds if (row.key, seed) not in there]
        if missing:
            why = {seed: reasons[row.key, seed] for seed in missing if (row.key, seed) in reasons}
            faults.append(f"row {row.key!r} lacks {_seeds(missing)} of {len(sweep.seeds)}{_why(why)}")
    return faults


def _why(reasons: Mapping[int, str]) -> str:
    """Why seeds are missing, each reason once."""
    told = [f"{_seeds([seed for seed in reasons if reasons[seed] == each])}: {each}" for each in dict.fromkeys(reasons.values())]
    return f" ({'; '.join(told)})" if told else ""


def _seeds(seeds: Sequence[int]) -> str:
    return f"{'seed' if len(seeds) == 1 else 'seeds'} {', '.join(map(str, seeds))}"


def _missing_metrics(sweep: SweepRecord, trials: Sequence[TrialResult]) -> list[str]:
    """A metric that no trial of a row has is not asked of that row (a row of another task shows a dash), unless no row has it."""
    having = {(trial.row, metric) for trial in trials for metric in trial.metrics}
    anywhere = {metric for _, metric in having}
    return [
        f"row {trial.row!r}, seed {trial.seed} has no metric {metric!r}, only {sorted(trial.metrics)}"
        for trial in trials
        for metric in distinct_metrics(sweep.table.columns)
        if metric not in trial.metrics and ((trial.row, metric) in having or metric not in anywhere)
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
    return "; run the study again with --redo force to compute all with the present code, or --partial"


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
