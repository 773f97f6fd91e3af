"""Scores of a classifier and the file of predictions from which every score can be recomputed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from trainables.errors import UserError

if TYPE_CHECKING:
    import numpy as np

    from trainables.units import Units


def classification_scores(truth: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """Macro F1, micro F1 and unweighted average recall, as fractions.

    Micro F1 of single-label predictions equals accuracy. The macro averages are, as in scikit-learn, over the classes that occur
    in truth or prediction; a scored set has all classes that its corpus has (:mod:`trainables.protocols`). A class that is never
    predicted scores 0.

    Args:
        truth: Integer labels ``[n]``.
        predicted: Integer labels ``[n]``.
    """
    from sklearn.metrics import f1_score, recall_score

    return {
        "f1_macro": float(f1_score(truth, predicted, average="macro", zero_division=0)),
        "f1_micro": float(f1_score(truth, predicted, average="micro", zero_division=0)),
        "uar": float(recall_score(truth, predicted, average="macro", zero_division=0)),
    }


def write_predictions(directory: Path, units: Units, probabilities: np.ndarray) -> dict[str, float]:
    """Write ``predictions.parquet`` (unit, speaker, truth, predicted, p0, p1, ...) and ``metrics.json``; return the scores.

    Truth and prediction are class indices; ``p0 ... p{k-1}`` are the probabilities of all k classes of the task, whether or not a
    class occurs.

    Args:
        directory: The stage's result directory.
        units: The scored units.
        probabilities: ``[n, classes]``.

    Raises:
        UserError: A probability is not finite, because the training diverged.
    """
    import numpy as np

    if not np.isfinite(probabilities).all():
        raise UserError("the trained model's outputs are not finite; lower learning_rate, or set precision='float32'")
    predicted = probabilities.argmax(axis=1)
    table = units.table[["unit", "speaker"]].reset_index(drop=True).assign(truth=units.truth, predicted=predicted)
    for number in range(probabilities.shape[1]):
        table[f"p{number}"] = probabilities[:, number]
    table.to_parquet(directory / "predictions.parquet", index=False)
    scores = classification_scores(units.truth, predicted)
    (directory / "metrics.json").write_text(json.dumps(scores))
    return scores
