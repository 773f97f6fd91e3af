"""Scores of a classifier or of predicted attributes, and the files of predictions from which every score can be recomputed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from trainables.attributes import ATTRIBUTES, attribute_columns
from trainables.errors import UserError
from trainables.protocols import divide

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from trainables.divided import DividedStage
    from trainables.units import Units

PredictionsName = Literal[
    "predictions",
    "predictions_dev",
    "predictions_subject",
    "predictions_vote",
    "predictions_mixed",
    "predictions_mixed_subject",
]
"""A file of predictions: of the scored set; of the development set of a stage that is scored on the test set; of the subjects whose
segments were scored, by mean probability and by vote (:mod:`trainables.subjects`); and of the scored set under a protocol that
mixes speakers, its units and its subjects (:mod:`trainables.split_comparison`)."""

PREFIXES: dict[PredictionsName, str] = {
    "predictions": "",
    "predictions_dev": "dev_",
    "predictions_subject": "subject_",
    "predictions_vote": "vote_",
    "predictions_mixed": "mixed_",
    "predictions_mixed_subject": "mixed_subject_",
}
"""What the names of the metrics of each file begin with."""


def classification_scores(truth: np.ndarray, predicted: np.ndarray, classes: int | None = None) -> dict[str, float]:
    """Macro F1, micro F1 and unweighted average recall, and of two classes F1, precision and recall of class 1, as fractions.

    Those of class 1 are ``f1_positive``, ``precision_positive`` and ``recall_positive``. Micro F1 of single-label predictions
    equals accuracy. The macro averages are, as in scikit-learn, over the classes that occur in truth or prediction; a scored set
    has all classes that its corpus has (:mod:`trainables.protocols`). A class that is never predicted scores 0. The positive class
    is class 1 of :mod:`trainables.tasks`: the depressed one, positive sentiment.

    Args:
        truth: Integer labels ``[n]``.
        predicted: Integer labels ``[n]``.
        classes: Classes of the task; None if the labels show how many there are.
    """
    import numpy as np
    from sklearn.metrics import f1_score, precision_recall_fscore_support, recall_score

    scores = {
        "f1_macro": float(f1_score(truth, predicted, average="macro", zero_division=0)),
        "f1_micro": float(f1_score(truth, predicted, average="micro", zero_division=0)),
        "uar": float(recall_score(truth, predicted, average="macro", zero_division=0)),
    }
    if (classes or max(np.max(truth), np.max(predicted)) + 1) <= 2:
        of_class_1 = precision_recall_fscore_support(truth, predicted, average="binary", zero_division=0)
        scores |= dict(zip(("precision_positive", "recall_positive", "f1_positive"), map(float, of_class_1[:3]), strict=True))
    return scores


def prediction_scores(table: pd.DataFrame) -> dict[str, float]:
    """All scores of a file of predictions: the classification's where there is one, and those of every attribute.

    Beside :func:`classification_scores` that is, of two classes, ``auc``: the area under the ROC curve of ``p1``, scikit-learn's.
    Of a set in which one class alone occurs there is no such curve, and no such score.

    Args:
        table: As the file has it (:func:`write_predictions`, :func:`write_attributes`), or rows of several such files.
    """
    scores = {}
    if "truth" in table:
        truth, classes = table["truth"].to_numpy(), len(probability_columns(table))
        scores |= classification_scores(truth, table["predicted"].to_numpy(), classes)
        if classes == 2 and 0 < truth.sum() < len(truth):
            from sklearn.metrics import roc_auc_score

            scores["auc"] = float(roc_auc_score(truth, table["p1"].to_numpy()))
    return scores | _attribute_scores(table)


def _attribute_scores(table: pd.DataFrame) -> dict[str, float]:
    """``mae_<name>`` and ``ccc_<name>`` of every attribute; of all three the mean coefficient, ``ccc``."""
    names = attribute_columns(table)
    if not names:
        return {}
    import numpy as np
    import torch

    from trainables.losses.concordance import ccc

    scores = {f"mae_{name}": float((table[name] - table[f"{name}_predicted"]).abs().mean()) for name in names}
    columns = (table[[f"{name}{suffix}" for name in names]] for suffix in ("", "_predicted"))
    truth, predicted = (torch.from_numpy(np.array(values, dtype=np.float64, order="C")) for values in columns)
    coefficients = dict(zip(names, ccc(truth, predicted).tolist(), strict=True))
    if set(ATTRIBUTES) <= set(names):
        scores["ccc"] = sum(coefficients[name] for name in ATTRIBUTES) / len(ATTRIBUTES)
    return scores | {f"ccc_{name}": value for name, value in coefficients.items()}


def probability_columns(table: pd.DataFrame) -> list[str]:
    """The columns ``p0 ... p{k-1}`` of a file of predictions, by class."""
    return sorted((name for name in table if name[:1] == "p" and name[1:].isdigit()), key=lambda name: int(name[1:]))


def scored_sets(stage: DividedStage, units: Units) -> dict[PredictionsName, Units]:
    """The units whose predictions a stage writes, by the name of the file: the scored set, and a development set beside it.

    The classes are the true ones in both, also of a control with ``shuffled_labels``, whose :meth:`DividedStage.sets` has a
    development set with permuted ones: what is reported of a row must be about the same truth as what is reported beside it.

    Raises:
        UserError: The corpus does not have what the protocol needs.
    """
    sets = divide(units, stage.protocol, stage.seed, fold=stage.fold, inner=stage.inner, scored_on=stage.scored_on)
    beside = {"predictions_dev": sets["dev"]} if stage.scored_on == "test" and "dev" in sets else {}
    return {"predictions": sets[stage.scored_on], **beside}


def write_predictions(
    directory: Path,
    units: Units,
    probabilities: np.ndarray,
    extra: Mapping[str, np.ndarray] | None = None,
    name: PredictionsName = "predictions",
) -> dict[str, float]:
    """Write ``<name>.parquet`` (unit, speaker, truth, predicted, p0, p1, ...), add its scores to ``metrics.json``, return them.

    Of segments that were cut from recordings there is the column ``subject`` too, and beside ``predictions`` stand the files of the
    subjects, whose scores are among those that are returned (:func:`trainables.subjects.write_subjects`).

    Truth and prediction are class indices; ``p0 ... p{k-1}`` are the probabilities of all k classes of the task, whether or not a
    class occurs. A stage that has a development set beside the scored one calls this once for each: its ``metrics.json`` then
    holds ``f1_macro`` and ``dev_f1_macro``, and so on.

    Args:
        directory: The stage's result directory.
        units: The scored units, with their true classes.
        probabilities: ``[n, classes]``.
        extra: Further columns ``[n]``. A column ``valence`` with another one ``valence_predicted`` is an attribute, in the
            corpus' own unit; its mean absolute error is the metric ``mae_valence``, its concordance ``ccc_valence``.
        name: 'predictions_dev' for the development set, whose scores bear the prefix ``dev_``.

    Raises:
        UserError: A probability or another prediction is not finite, because the training diverged; a unit lacks an attribute; or
            the segments of a subject are of several classes.
    """
    from trainables.subjects import are_segments, subjects_of, write_subjects

    table = units.table[["unit", "speaker"]].reset_index(drop=True).assign(truth=units.truth)
    table = with_probabilities(table, probabilities).assign(**dict(extra or {}))
    if not are_segments(units):
        return write_table(directory, table, name)
    table = table.assign(subject=subjects_of(units))
    beside = write_subjects(directory, table) if name == "predictions" else {}
    return write_table(directory, table, name) | beside


def write_attributes(
    directory: Path, units: Units, predicted: np.ndarray, name: PredictionsName = "predictions"
) -> dict[str, float]:
    """Write ``<name>.parquet`` of attributes alone, add its scores to ``metrics.json`` and return them.

    Columns: unit, speaker, ``activation``, ``activation_predicted``, and so on, float64, in the corpus' own scale. Scores: the
    concordance correlation coefficients (:func:`trainables.losses.concordance.ccc`) ``ccc_activation``, ``ccc_valence``,
    ``ccc_dominance`` and their mean ``ccc``, over all units of the file; the mean absolute errors ``mae_activation`` and so on;
    with the prefix ``dev_`` of a development set.

    Args:
        directory: The stage's result directory.
        units: The scored units, with their ratings.
        predicted: ``[n, 3]``, columns as :data:`trainables.attributes.ATTRIBUTES`.
        name: As in :func:`write_predictions`.

    Raises:
        UserError: A prediction is not finite, because the training diverged; or a unit lacks an attribute.
    """
    table = units.table[["unit", "speaker"]].reset_index(drop=True)
    for attribute, said in zip(ATTRIBUTES, predicted.T, strict=True):
        table[attribute] = units.table[attribute].to_numpy("float64")
        table[f"{attribute}_predicted"] = said.astype("float64")
    return write_table(directory, table, name)


def with_probabilities(table: pd.DataFrame, probabilities: np.ndarray) -> pd.DataFrame:
    """The table with the columns ``predicted``, the most probable class (the lowest of equal ones), and ``p0``, ``p1``, ...

    Args:
        table: Any columns, ``n`` rows.
        probabilities: ``[n, classes]``.

    Raises:
        UserError: A probability is not finite.
    """
    _require_finite(probabilities)
    columns = {f"p{number}": probabilities[:, number] for number in range(probabilities.shape[1])}
    return table.assign(predicted=probabilities.argmax(axis=1), **columns)


def write_table(directory: Path, table: pd.DataFrame, name: PredictionsName = "predictions") -> dict[str, float]:
    """Write a whole file of predictions, add its scores to ``metrics.json`` and return them, as :func:`write_predictions` does."""
    for attribute in attribute_columns(table):
        _require_finite(table[f"{attribute}_predicted"].to_numpy())
        if len(unknown := table.loc[table[attribute].isna(), "unit"]):
            from trainables.corpora.reading import listing

            raise UserError(f"label {attribute!r} is missing for {listing(unknown)}; fill it in or delete them")
    table.to_parquet(directory / f"{name}.parquet", index=False)
    scores = {f"{PREFIXES[name]}{metric}": value for metric, value in prediction_scores(table).items()}
    add_metrics(directory, scores)
    return scores


def add_metrics(directory: Path, metrics: Mapping[str, float]) -> None:
    """Add numbers to the ``metrics.json`` of a result that is being written."""
    file = directory / "metrics.json"
    known = json.loads(file.read_text()) if file.exists() else {}
    file.write_text(json.dumps(known | dict(metrics)))


def _require_finite(predictions: np.ndarray) -> None:
    import numpy as np

    if not np.isfinite(predictions).all():
        raise UserError("the trained model's outputs are not finite; lower learning_rate, or set precision='float32'")
