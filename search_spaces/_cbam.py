"""What the tables of the attention-residual network share: its segments, the two divisions, columns and rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Literal

from search_spaces.study import Chain
from search_spaces.table import Column, Published, Row
from trainables.chance import ChanceClassifier
from trainables.divided import DividedStage
from trainables.mfcc_segments import MfccSegments
from trainables.protocols.catalogue import SEGMENTS_70_30, SPEAKERS_70_30
from trainables.protocols.protocol import restricted
from trainables.resnet_classifier import ResnetClassifier
from trainables.segment_baseline import SegmentBaseline
from trainables.split_comparison import SplitComparison
from trainables.tasks import TaskName

Restriction = Mapping[str, str]
"""Which segments take part: label column and value, such as the task 'interview'."""

Algorithm = Literal["gaussian_process", "svm", "knn", "adaboost", "logistic_regression"]

EVERYTHING: Restriction = MappingProxyType({})

DEPTHS = (18, 34, 50, 101)
"""Table 5."""

VALENCES = ("positive", "neutral", "negative")

GENDERS = {"male": "men", "female": "women"}

ALGORITHMS: dict[Algorithm, str] = {
    "logistic_regression": "logistic regression",
    "gaussian_process": "Gaussian process",
    "svm": "SVM",
    "knn": "kNN",
    "adaboost": "AdaBoost",
}
"""Section 5; logistic regression, to which the paper's softmax 'degenerates' (section 3.5), is ours."""

sre = MfccSegments(corpus="sre")


def network(depth: int, only: Restriction = EVERYTHING, task: TaskName = "depression", **settings: Any) -> Chain:
    """ResNet with attention, trained and scored on the segments that ``only`` names, under both divisions."""
    return _both(lambda **given: ResnetClassifier(features=sre, task=task, depth=depth, **settings, **given), only)


def algorithm(model: Algorithm, only: Restriction = EVERYTHING, task: TaskName = "depression") -> Chain:
    """One of scikit-learn's classifiers on the same segments."""
    return _both(lambda **given: SegmentBaseline(features=sre, task=task, model=model, **given), only)


def majority(only: Restriction = EVERYTHING, task: TaskName = "depression") -> Chain:
    """Always the commonest class of the training segments."""
    return _both(lambda **given: ChanceClassifier(features=sre, task=task, strategy="most_frequent", **given), only)


def _both(stage: Callable[..., DividedStage], only: Restriction) -> Chain:
    """The same stage on speakers that it has not heard, and as the paper divides."""
    clean, mixed = restricted(SPEAKERS_70_30, **only), restricted(SEGMENTS_70_30, **only)
    return lambda seed: SplitComparison(clean=stage(protocol=clean, seed=seed), mixed=stage(protocol=mixed, seed=seed))


def majority_row(
    key: str, label: tuple[str, ...], only: Restriction = EVERYTHING, task: TaskName = "depression"
) -> tuple[Row, Chain]:
    """The row that listens to nothing."""
    return Row(key=key, label=label, params=dict(only), compared=False), majority(only, task)


def network_row(
    key: str,
    label: tuple[str, ...],
    depth: int,
    only: Restriction = EVERYTHING,
    against: str | None = None,
    published: Mapping[str, Published] = MappingProxyType({}),
    **settings: Any,
) -> tuple[Row, Chain]:
    """A row of a network; ``settings`` are those that are not the paper's."""
    shown = {name: value for name, value in settings.items() if name != "task"}
    row = Row(key=key, label=label, params={"depth": depth, **only, **shown}, published=dict(published), against=against)
    return row, network(depth, only, **settings)


def _percent(metric: str, title: str, **more: Any) -> Column:
    return Column(metric=metric, title=title, percent=True, **{"higher_is_better": True, **more})


def gap(metric: str, title: str) -> Column:
    """What a score under the paper's division is above that on speakers who were not heard."""
    return _percent(f"mixed_{metric}", title, minus=metric, higher_is_better=None, bounded=False)


_SCORES = {"f1_micro": "Acc", "precision_positive": "Prec", "recall_positive": "Rec", "f1_positive": "F1", "auc": "AUC"}
"""Table 5's metrics; precision, recall and F1 are those of the depressed class."""

SUBJECT_COLUMNS = (
    _percent("subject_f1_micro", "Acc subj"),
    _percent("vote_f1_micro", "Acc subj vote"),
)

COLUMNS = (
    *(_percent(metric, title) for metric, title in _SCORES.items()),
    *SUBJECT_COLUMNS,
    *(_percent(f"mixed_{metric}", f"{title} mixed") for metric, title in _SCORES.items()),
    _percent("mixed_subject_f1_micro", "Acc subj mixed"),
    gap("f1_micro", "Acc gap"),
)

REMARKS = (
    "segments of 4 s; 'subj' puts the segments of a subject together by their mean probability, 'vote' by their majority; "
    "learning rates are those of range tests; published numbers are of the paper's own division"
)
