"""Scores of a classifier and the file of predictions from which every score can be recomputed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


def classification_scores(truth: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """Macro F1, micro F1 and unweighted average recall, as fractions.

    Micro F1 of single-label predictions equals accuracy. A class that is never predicted scores 0.

    Args:
        truth: Integer labels ``[n]``.
        predicted: Integer labels ``[n]``.
    """
    from sklearn.metrics import f1_score, recall_score

    # A class missing from both has no score; one in the truth alone counts as 0 instead of warning.
    return {
        "f1_macro": float(f1_score(truth, predicted, average="macro", zero_division=0)),
        "f1_micro": float(f1_score(truth, predicted, average="micro", zero_division=0)),
        "uar": float(recall_score(truth, predicted, average="macro", zero_division=0)),
    }


def write_predictions(directory: Path, units: pd.DataFrame, truth: np.ndarray, probabilities: np.ndarray) -> dict[str, float]:
    """Write ``predictions.parquet`` (unit, speaker, truth, predicted, p0, p1, ...) and ``metrics.json``; return the scores.

    Args:
        directory: The stage's result directory.
        units: One row per test unit with ``unit`` and ``speaker``.
        truth: Integer labels ``[n]``.
        probabilities: ``[n, classes]``.
    """
    predicted = probabilities.argmax(axis=1)
    table = units[["unit", "speaker"]].reset_index(drop=True).assign(truth=truth, predicted=predicted)
    for number in range(probabilities.shape[1]):
        table[f"p{number}"] = probabilities[:, number]
    table.to_parquet(directory / "predictions.parquet", index=False)
    scores = classification_scores(truth, predicted)
    (directory / "metrics.json").write_text(json.dumps(scores))
    return scores
