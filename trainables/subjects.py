"""From the scores of segments to that of the subject they were cut from.

What is classified is a segment of a few seconds; what is asked is whether a person is depressed, or what is felt in a recording.
The paper on attention-residual networks (Lu et al., Frontiers in Bioscience 2021) reports segments alone and says nothing of
putting them together (sections 3.5 and 5). Decision: both levels are reported, and a subject's score follows from its segments' by
one of two stated rules, the mean of their probabilities or their vote.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainables.errors import UserError

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    import pandas as pd

    from trainables.units import Units


def are_segments(units: Units) -> bool:
    """Whether the units were cut from something longer (:class:`trainables.mfcc_segments.MfccSegments`)."""
    return "cut_from" in units.table


def subjects_of(units: Units) -> np.ndarray:
    """Who or what each segment's score is put together for, str ``[units]``.

    The speaker where the task's label is the speaker's (a diagnosis), else the stretch of a recording that it was cut from.
    """
    return units.table["speaker" if units.task.of_speaker else "cut_from"].to_numpy().astype(str)


def write_subjects(directory: Path, table: pd.DataFrame) -> dict[str, float]:
    """Write ``predictions_subject.parquet`` (:func:`mean_probability`) and ``predictions_vote.parquet`` (:func:`vote`).

    Columns of both: unit (the subject), speaker, truth, predicted, p0, p1, ...; subjects in the order of their names. Their scores
    are added to ``metrics.json``, as ``subject_<score>`` and ``vote_<score>``, and returned.

    Args:
        directory: The stage's result directory.
        table: The segments' predictions with a column ``subject``; all segments of a subject that were scored count alike, whatever
            seconds they have.

    Raises:
        UserError: The segments of a subject are of several classes.
    """
    from trainables.metrics import write_table

    require_one_truth(table["subject"], table["truth"].to_numpy())
    by_mean = write_table(directory, mean_probability(table), "predictions_subject")
    return by_mean | write_table(directory, vote(table), "predictions_vote")


def mean_probability(table: pd.DataFrame) -> pd.DataFrame:
    """Predictions of subjects: p_k is the mean of its segments', and the most probable class (the lowest of equal ones) is said.

    Args:
        table: As :func:`write_subjects` takes it.
    """
    from trainables.metrics import with_probabilities

    return with_probabilities(_subjects(table), _mean(table))


def vote(table: pd.DataFrame) -> pd.DataFrame:
    """Predictions of subjects: p_k is the share of its segments that are said to be k, and the class of most votes is said.

    Of classes with equally many votes it is the one of the higher mean probability (the lowest of equal ones).

    Args:
        table: As :func:`write_subjects` takes it.
    """
    import numpy as np
    import pandas as pd

    from trainables.metrics import with_probabilities

    mean = _mean(table)
    one_each = np.eye(mean.shape[1])[table["predicted"].to_numpy()]
    votes = pd.DataFrame(one_each).groupby(table["subject"].to_numpy()).sum().to_numpy()
    first = np.where(votes == votes.max(axis=1, keepdims=True), mean, -1.0).argmax(axis=1)
    return with_probabilities(_subjects(table), votes / votes.sum(axis=1, keepdims=True)).assign(predicted=first)


def _subjects(table: pd.DataFrame) -> pd.DataFrame:
    """``unit``, ``speaker`` and ``truth`` of each subject, in the order of the groups of :func:`_mean`."""
    return table.groupby("subject")[["speaker", "truth"]].first().reset_index(names="unit")


def _mean(table: pd.DataFrame) -> np.ndarray:
    """Mean probabilities ``[subjects, classes]``, float64."""
    from trainables.metrics import probability_columns

    return table[probability_columns(table)].astype("float64").groupby(table["subject"]).mean().to_numpy()


def require_one_truth(subjects: pd.Series, truth: pd.Series | np.ndarray) -> None:
    """Refuse subjects whose segments are of several classes.

    Args:
        subjects: The subject of each segment, or of each turn that segments are to be cut from.
        truth: The class of each.

    Raises:
        UserError: There are such; they are named.
    """
    import pandas as pd

    from trainables.corpora.reading import listing

    classes = pd.Series(truth).groupby(subjects.to_numpy()).nunique()
    if len(mixed := classes.index[classes > 1]):
        raise UserError(
            f"segments of one subject have several classes: {listing(mixed)}; expected one class for all that a subject says, or a "
            "stretch contains: mend the labels in the manifest"
        )
