"""All statistics of one table, from its trials and their predictions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from orchestrator.records import CellStatistics, TrialResult
from orchestrator.statistics.controls import control_differences
from orchestrator.statistics.over_seeds import complete, distinct_metrics, interval_of, shown_value
from orchestrator.statistics.summary import Summary, require_finite, summarize
from search_spaces.table import Column, Row, Scalar, TableSpec
from trainables.errors import Faults, UserError

if TYPE_CHECKING:
    import pandas

    from orchestrator.statistics.resampling import SeedScores
    from orchestrator.statistics.scores import Score
    from orchestrator.statistics.sums import SpeakerSums

Cells = dict[tuple[str, str], CellStatistics]
"""By row key and column key."""

Predictions = Callable[[str, str], "pandas.DataFrame"]
"""From a trial's fingerprint and a file's name (:func:`orchestrator.statistics.scores.predictions_file`) to the predictions; raises
FileNotFoundError or UserError without one."""

_Trials = dict[str, dict[int, TrialResult]]  # finished ones by row and seed
_Sums = dict[tuple[str, str], dict[int, "SpeakerSums"]]  # by row and metric, and by seed
_Fields = dict[tuple[str, str], dict[str, Scalar | None]]  # of some cells, by row key and column key
_TOLERANCE = {True: 1e-9, False: 1e-6}  # of shares, which are counted; and of means, which a stage may have taken in float32


def table_statistics(spec: TableSpec, trials: Sequence[TrialResult], predictions: Predictions, with_published: bool) -> Cells:
    """The statistics of every row that has finished trials, in every column whose metrics all of them have.

    The same trials give the same bits, in whatever order they come. A metric that is not known to
    :func:`orchestrator.statistics.scores.find_score` cannot be recomputed for other speakers. Decision: its interval is Student's
    over seeds, ``speakers`` is None to say so, and it is compared with the baseline without interval and p (see
    :func:`orchestrator.statistics.comparison.compare`).

    Args:
        spec: The table.
        trials: Of any status; those that did not finish and those of undeclared rows are left out.
        predictions: Where the predictions of a trial are had from.
        with_published: Whether the published numbers are about the same corpora, so that equivalence can be asked.

    Raises:
        UserError: A seed of a row is there twice, a value is not finite, predictions are missing or are not those of the trial, or
            a row and its baseline or its best control were tested on different units: all faults of one of these kinds at once.
    """
    from orchestrator.statistics.resampling import SeedScores, resample, speaker_weights
    from orchestrator.statistics.scores import find_score

    finished = _finished(spec, trials)
    metrics = {row: _common_metrics(spec, by_seed) for row, by_seed in finished.items()}
    require_finite(
        {_name(t, metric): t.metrics[metric] for row in finished for t in finished[row].values() for metric in metrics[row]}
    )
    sums = _read_sums(finished, metrics, predictions)
    weights = speaker_weights({name for by_seed in sums.values() for each in by_seed.values() for name in each.speakers})
    scores = {}
    for row, by_seed in finished.items():
        for metric in metrics[row]:
            if score := find_score(metric):
                scores[row, metric] = resample(sums[row, metric], score, weights)
            else:
                scores[row, metric] = SeedScores.without_sums({seed: trial.metrics[metric] for seed, trial in by_seed.items()})
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
    nulls = _null_tests(spec, scores)
    cells = {}
    for row in spec.rows:
        of_row = {metric: found for (key, metric), found in scores.items() if key == row.key}
        for column in spec.columns:
            place = row.key, column.key
            if not complete(spec, column, of_row.__contains__):
                continue
            own = _derived(spec, column, of_row) if column.suffix else _own(row, column, of_row[column.metric], with_published)
            cells[place] = CellStatistics(**own, **comparisons.get(place, {}), **controls.get(place, {}), **nulls.get(place, {}))
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
    return [name for name in distinct_metrics(spec.columns) if all(name in trial.metrics for trial in trials.values())]


def _name(trial: TrialResult, metric: str) -> str:
    return f"{metric} of {trial.row}, seed {trial.seed} ({trial.fingerprint}),"


def _read_sums(finished: _Trials, metrics: Mapping[str, list[str]], predictions: Predictions) -> _Sums:
    """Sums of the trials for every metric that can be had from some."""
    faults, sums = Faults("the predictions of the trials"), {}
    for row, by_seed in finished.items():
        for seed, trial in by_seed.items():
            try:
                for metric, found in _trial_sums(trial, metrics[row], predictions).items():
                    sums.setdefault((row, metric), {})[seed] = found
            except (FileNotFoundError, UserError) as error:
                faults.add(f"row {row!r}, seed {seed} ({trial.fingerprint}): {error}")
    faults.raise_if_any()
    return sums


def _trial_sums(trial: TrialResult, metrics: Sequence[str], predictions: Predictions) -> dict[str, SpeakerSums]:
    """By metric; each file is read once, and what several metrics have in common is added up once."""
    from orchestrator.statistics.scores import find_score, predictions_file
    from orchestrator.statistics.sums import speaker_sums

    files, known, found = {}, {}, {}
    for metric in metrics:
        if (score := find_score(metric)) is None:
            continue
        file = predictions_file(metric)
        if file not in files:
            files[file] = predictions(trial.fingerprint, file)
        if (file, score.statistic) not in known:
            known[file, score.statistic] = speaker_sums(files[file], score.statistic)
        found[metric] = known[file, score.statistic]
        _require_own(trial, metric, score, found[metric])
    return found


def _require_own(trial: TrialResult, metric: str, score: Score, sums: SpeakerSums) -> None:
    recomputed, told = float(score.of_sums(sums.sums.sum(axis=0))), trial.metrics[metric]
    if not abs(recomputed - told) <= _TOLERANCE[score.share] * max(1.0, abs(told)):
        raise UserError(
            f"the predictions give {metric} {recomputed!r}, expected the trial's own {told!r}: they are not that trial's; run it "
            "again with --redo force"
        )


def _own(row: Row, column: Column, scores: SeedScores, with_published: bool) -> dict[str, Scalar | None]:
    """The fields of a plain mean's cell that concern no other row."""
    from orchestrator.statistics.equivalence import equivalence_p

    summary = summarize(
        {f"{column.metric} of {row.key}, seed {s},": float(v) for s, v in zip(scores.seeds, scores.values, strict=True)}
    )
    low, high = _interval(scores, summary)
    published = row.published.get(column.key) if with_published else None
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
    if estimate is None:
        return None, None
    return estimate.interval_of_share() if scores.share else estimate.interval()


def _derived(spec: TableSpec, column: Column, scores: Mapping[str, SeedScores]) -> dict[str, Scalar | None]:
    """The fields of a cell that is no plain mean: its number, its interval if there is one, and of how many seeds and speakers."""
    values = {name: dict(zip(found.seeds, found.values.tolist(), strict=True)) for name, found in scores.items()}
    low, high = interval_of(spec, column, scores)
    own = scores[column.metric]
    mean = shown_value(spec, column, values)
    return {"n": len(own.seeds), "mean": mean, "ci_low": low, "ci_high": high, "speakers": own.speakers()}


def _null_tests(spec: TableSpec, scores: Mapping[tuple[str, str], SeedScores]) -> _Fields:
    """p of the rows' means against their columns' null: the two-level t test, corrected by Holm over the rows of a column.

    With one seed it is over speakers alone. There is no sign-flip test over seeds beside it, as there is for comparisons: it takes
    the speakers as given, and what is asked here is asked of speakers. Where nothing is to be found, a difference between classes
    of 20 and 20 or of 77 and 30 speakers (DAIC-WOZ's training set) has p < 0.05 in 5 % of draws; between 30 and 6 in 9 %, for the
    variance within a class is then taken from six speakers: such a p is to be read with that in mind.
    """
    from orchestrator.statistics.comparison import holm
    from orchestrator.statistics.two_level import two_level

    fields: _Fields = {}
    for column in spec.columns:
        if column.null is None:
            continue
        found = {row.key: two_level(scores[row.key, column.metric]) for row in spec.rows if (row.key, column.metric) in scores}
        tested = {row: estimate.p_value(column.null) for row, estimate in found.items() if estimate}
        for row, p in zip(tested, holm(list(tested.values())), strict=True):
            fields[row, column.key] = {"p_null": p}
    return fields


def _comparisons(spec: TableSpec, scores: Mapping[tuple[str, str], SeedScores], faults: Faults) -> _Fields:
    """The fields of each compared row's cells that concern its baseline; ``faults`` is told of rows that are not paired.

    Holm's correction is over all of them, whichever baselines they have.
    """
    from orchestrator.statistics.comparison import compare, holm, sign_flip_floor

    found = {}
    for row in spec.rows:
        opponent = spec.opponent(row)
        for column in spec.columns:
            mine, theirs = (scores.get((key, column.metric)) for key in (row.key, opponent))
            if not column.ranked or mine is None or theirs is None:
                continue
            try:
                differences = mine.minus(theirs, f"its baseline, {opponent!r}" if row.against else "the baseline")
            except UserError as error:
                faults.add(f"row {row.key!r}, {error}")
                continue
            if differences:
                found[row.key, column.key] = compare(differences, column.higher_is_better)
    fields = {place: comparison.fields() for place, comparison in found.items()}
    family = [place for place in found if place[1] == spec.headline and found[place].p_uncorrected is not None]
    for place, corrected in zip(family, holm([found[place].p_uncorrected for place in family]), strict=True):
        floor = min(1.0, len(family) * sign_flip_floor(found[place].n))
        fields[place] |= {"p_vs_baseline": corrected, "p_floor": floor}
    return fields
