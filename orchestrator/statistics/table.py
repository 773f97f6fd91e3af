"""All statistics of one table, from its trials and their predictions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from orchestrator.records import CellStatistics, TrialResult
from orchestrator.statistics.controls import control_differences
from orchestrator.statistics.summary import Summary, require_finite, summarize
from search_spaces.table import Column, Row, Scalar, TableSpec
from trainables.errors import Faults, UserError

if TYPE_CHECKING:
    import pandas

    from orchestrator.statistics.counts import SpeakerCounts
    from orchestrator.statistics.resampling import SeedScores

Cells = dict[tuple[str, str], CellStatistics]
"""By row key and metric."""

_Trials = dict[str, dict[int, TrialResult]]  # finished ones by row and seed
_Counts = dict[str, dict[int, "SpeakerCounts"]]  # by row and seed
_TOLERANCE = 1e-9


def table_statistics(
    spec: TableSpec, trials: Sequence[TrialResult], predictions: Callable[[str], pandas.DataFrame], with_published: bool
) -> Cells:
    """The statistics of every row that has finished trials, in every column's metric that all of them have.

    The same trials give the same bits, in whatever order they come. A metric that is not in
    :data:`orchestrator.statistics.scores.SCORES` cannot be recomputed for other speakers. Decision: its interval is Student's over
    seeds, ``speakers`` is None to say so, and it is compared with the baseline without interval and p (see
    :func:`orchestrator.statistics.comparison.compare`).

    Args:
        spec: The table.
        trials: Of any status; those that did not finish and those of undeclared rows are left out.
        predictions: The file of predictions of the trial with this fingerprint; raises FileNotFoundError or UserError without one.
        with_published: Whether the published numbers are about the same corpora, so that equivalence can be asked.

    Raises:
        UserError: A seed of a row is there twice, a value is not finite, predictions are missing or are not those of the trial, or
            a row and its baseline or its best control were tested on different units: all faults of one of these kinds at once.
    """
    from orchestrator.statistics.resampling import SeedScores, resample, speaker_weights
    from orchestrator.statistics.scores import SCORES

    finished = _finished(spec, trials)
    metrics = {row: _common_metrics(spec, by_seed) for row, by_seed in finished.items()}
    require_finite(
        {_name(t, metric): t.metrics[metric] for row in finished for t in finished[row].values() for metric in metrics[row]}
    )
    counts = _read_counts(finished, metrics, predictions)
    weights = speaker_weights({name for by_seed in counts.values() for each in by_seed.values() for name in each.speakers})
    scores = {}
    for row, by_seed in finished.items():
        for metric in metrics[row]:
            if metric in SCORES:
                scores[row, metric] = resample(counts[row], SCORES[metric], weights)
            else:
                scores[row, metric] = SeedScores.without_counts({seed: trial.metrics[metric] for seed, trial in by_seed.items()})
    return cell_statistics(spec, scores, with_published)


def cell_statistics(spec: TableSpec, scores: Mapping[tuple[str, str], SeedScores], with_published: bool) -> Cells:
    """The statistics of scores that are already resampled.

    Args:
        spec: The table.
        scores: By row key and metric.
        with_published: As in :func:`table_statistics`.

    Raises:
        UserError: As far as :func:`table_statistics` raises it for rows that are not paired.
    """
    faults = Faults("the pairs of rows")
    comparisons = _comparisons(spec, scores, faults)
    controls = control_differences(spec, scores, faults)
    faults.raise_if_any()
    places = [(row, column) for row in spec.rows for column in spec.columns if (row.key, column.metric) in scores]
    cells = {}
    for row, column in places:
        place = row.key, column.metric
        own = _own(row, column, scores[place], with_published)
        cells[place] = CellStatistics(**own, **comparisons.get(place, {}), **controls.get(place, {}))
    return cells


def _finished(spec: TableSpec, trials: Sequence[TrialResult]) -> _Trials:
    faults, found = Faults("the seeds of the trials"), {row.key: {} for row in spec.rows}
    for trial in sorted(trials, key=lambda trial: (trial.seed, trial.fingerprint)):
        if trial.status != "FINISHED" or trial.row not in found:
            continue
        other = found[trial.row].setdefault(trial.seed, trial)
        if other is not trial:
            pair = f"{other.fingerprint} and {trial.fingerprint}"
            faults.add(f"row {trial.row!r} has seed {trial.seed} twice ({pair}), expected once; delete one in MLflow")
    faults.raise_if_any()
    return {key: by_seed for key, by_seed in found.items() if by_seed}


def _common_metrics(spec: TableSpec, trials: Mapping[int, TrialResult]) -> list[str]:
    return [column.metric for column in spec.columns if all(column.metric in trial.metrics for trial in trials.values())]


def _name(trial: TrialResult, metric: str) -> str:
    return f"{metric} of {trial.row}, seed {trial.seed} ({trial.fingerprint}),"


def _read_counts(finished: _Trials, metrics: Mapping[str, list[str]], predictions: Callable[[str], pandas.DataFrame]) -> _Counts:
    """Counts of the trials that have a metric in need of them."""
    from orchestrator.statistics.counts import speaker_counts
    from orchestrator.statistics.scores import SCORES

    faults, counts = Faults("the predictions of the trials"), {}
    for row, by_seed in finished.items():
        recomputable = [metric for metric in metrics[row] if metric in SCORES]
        counts[row] = {}
        for seed, trial in by_seed.items() if recomputable else ():
            try:
                counts[row][seed] = speaker_counts(predictions(trial.fingerprint))
                _require_own(trial, recomputable, counts[row][seed])
            except (FileNotFoundError, UserError) as error:
                faults.add(f"row {row!r}, seed {seed} ({trial.fingerprint}): {error}")
    faults.raise_if_any()
    return counts


def _require_own(trial: TrialResult, metrics: Sequence[str], counts: SpeakerCounts) -> None:
    from orchestrator.statistics.scores import SCORES

    for metric in metrics:
        recomputed = float(SCORES[metric](counts.confusion.sum(axis=0)))
        if abs(recomputed - trial.metrics[metric]) > _TOLERANCE:
            raise UserError(
                f"the predictions give {metric} {recomputed!r}, expected the trial's own {trial.metrics[metric]!r}: they are not "
                "that trial's; run it again with --redo force"
            )


def _own(row: Row, column: Column, scores: SeedScores, with_published: bool) -> dict[str, Scalar | None]:
    """The fields of a cell that concern no other row."""
    from orchestrator.statistics.equivalence import equivalence_p

    summary = summarize(
        {f"{column.metric} of {row.key}, seed {s},": float(v) for s, v in zip(scores.seeds, scores.values, strict=True)}
    )
    low, high = _interval(scores, summary)
    published = row.published.get(column.metric) if with_published else None
    return {
        "n": summary.n,
        "mean": summary.mean,
        "std": summary.std,
        "ci_low": low,
        "ci_high": high,
        "speakers": scores.speakers(),
        "p_equivalence": equivalence_p(summary, published, 100.0 if column.percent else 1.0) if published else None,
    }


def _interval(scores: SeedScores, summary: Summary) -> tuple[float | None, float | None]:
    from orchestrator.statistics.two_level import two_level

    if scores.replicates is None:
        return summary.ci_low, summary.ci_high
    estimate = two_level(scores)
    return estimate.interval_of_share() if estimate else (None, None)


def _comparisons(
    spec: TableSpec, scores: Mapping[tuple[str, str], SeedScores], faults: Faults
) -> dict[tuple[str, str], dict[str, Scalar | None]]:
    """The fields of each compared row's cells that concern the baseline; ``faults`` is told of rows that are not paired."""
    from orchestrator.statistics.comparison import compare, holm, sign_flip_floor

    found = {}
    for row in spec.rows:
        for column in spec.columns:
            mine, theirs = (scores.get((key, column.metric)) for key in (row.key, spec.baseline))
            if row.key == spec.baseline or not row.compared or mine is None or theirs is None:
                continue
            try:
                differences = mine.minus(theirs)
            except UserError as error:
                faults.add(f"row {row.key!r}, {error}")
                continue
            if differences:
                found[row.key, column.metric] = compare(differences, column.higher_is_better)
    fields = {place: comparison.fields() for place, comparison in found.items()}
    family = [place for place in found if place[1] == spec.headline and found[place].p_uncorrected is not None]
    for place, corrected in zip(family, holm([found[place].p_uncorrected for place in family]), strict=True):
        floor = min(1.0, len(family) * sign_flip_floor(found[place].n))
        fields[place] |= {"p_vs_baseline": corrected, "p_floor": floor}
    return fields
