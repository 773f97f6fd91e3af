"""Stage: classical classifiers of a segment's mean and spread of MFCC, each with a small search inside the training set."""

from __future__ import annotations

import json
import warnings
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

from trainables.divided import DividedStage
from trainables.leakage.exposure import Exposure
from trainables.mfcc_segments import MfccSegments
from trainables.numerics import seeded
from trainables.protocols import Protocol
from trainables.stage import Context
from trainables.tasks import TASKS, TaskName

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from sklearn.base import ClassifierMixin
    from sklearn.pipeline import Pipeline

    from trainables.units import Units

Model = Literal["gaussian_process", "svm", "knn", "adaboost", "logistic_regression"]

_FOLDS = 5
_GAUSSIAN_SEGMENTS = 1000
_NEIGHBOURS = (5, 1, 15, 45)


class SegmentBaseline(DividedStage):
    """scikit-learn on the sets and features of the networks that it stands beside.

    From the paper on attention-residual networks (Lu et al., 'Speech depression recognition based on attentional residual
    network', Frontiers in Bioscience 2021): 'Gaussian Process (GP), Support Vector Machines (SVM), and k-Nearest Neighbor (KNN)'
    and AdaBoost (section 5, Figure 15), on MFCC; logistic regression is ours. The paper says nothing of their inputs and settings.
    Decisions:

    - A segment's inputs are mean and standard deviation of each coefficient over its frames, those that pad a segment included, as
      the networks hear them; every input is standardised by the segments that the model is fitted on.
    - Each has a small grid of settings, from scikit-learn's defaults to both sides (:func:`_candidate`). What is best on average in
      up to five folds of the training set by unweighted average recall counts, of equal ones the first, and is fitted again on the
      whole training set. The folds are of the groups that the protocol keeps together: of speakers where it divides speakers, of
      segments where it mixes them; as many as the class of fewest groups has groups, and without those that would leave a class
      out of what is fitted. Where there is no such fold (a class of one speaker) the first setting of the grid counts.
    - Kernel and scale of the Gaussian process' function are set by its marginal likelihood; the grid is of two kinds of kernel.
    - A Gaussian process takes time with the cube of its segments: it is fitted on at most 1,000, drawn by the seed with the
      training set's shares of the classes; it searches on the same ones.
    - An SVM has no probabilities: they are the logistic function (of several classes the softmax) of its decision values. Platt's
      would be fitted in folds that ignore speakers, and their most probable class need not be the SVM's own.
    - No class is weighted, as in the networks' loss.

    ``seed`` controls the division where the protocol leaves it to the seed, the search's folds, which segments a Gaussian process
    gets, and the ties of AdaBoost's trees.

    Result: ``predictions.parquet`` (one row per scored segment) with the files of the subjects
    (:func:`trainables.subjects.write_subjects`) and, where there is a development set beside the scored one,
    ``predictions_dev.parquet``; ``search.json``: ``segments`` (in the search), ``folds``, ``chosen`` and all that was ``tried``
    (``settings`` and ``uar``: in each fold); ``metrics.json``: scores, and of the chosen settings the numbers as ``chosen_<name>``.
    """

    label: ClassVar[str] = "segment baseline"
    accelerated: ClassVar[bool] = False

    features: MfccSegments
    model: Model
    task: TaskName = "depression"

    def exposure(self) -> Exposure:
        """Training segments, their labels and their statistics; its settings are chosen inside the training set."""
        return Exposure(self.features, "training", self.task, normalised="training", selected="train")

    def run(self, context: Context) -> None:
        """Search, fit and score.

        Raises:
            UserError: The corpus does not have what the task or the protocol needs.
        """
        import numpy as np

        from trainables.features.array_file import open_array
        from trainables.metrics import add_metrics, scored_sets, write_predictions
        from trainables.units import read_units

        directory = context.result(self.features)
        units, frames = read_units(directory, TASKS[self.task]), open_array(directory / "features.npy", axes=3)
        training = self.sets(units)["train"]
        if self.model == "gaussian_process":
            training = training.where(drawn(training.truth, _GAUSSIAN_SEGMENTS, seeded(self.seed, "segments")))
        inputs = summaries(training, frames)
        state = seeded(self.seed, "search") % 2**32
        found = _search(self.model, inputs, training.truth, search_folds(training, self.protocol, state), state)
        _write_search(context.directory, found, len(training.truth))
        for name, scored in scored_sets(self, units).items():
            probabilities = np.zeros((len(scored.truth), len(scored.task.classes)))
            probabilities[:, found.model.classes_] = _probabilities(found.model, summaries(scored, frames))
            write_predictions(context.directory, scored, probabilities, name=name)
        numbers = {name: float(value) for name, value in found.chosen.items() if isinstance(value, int | float)}
        add_metrics(context.directory, {f"chosen_{name}": value for name, value in numbers.items()})


class _Found(NamedTuple):
    """The fitted model, its settings by name, and those that were tried with their recall in each fold."""

    model: Pipeline
    chosen: dict[str, Any]
    tried: list[tuple[dict[str, Any], list[float]]]


def summaries(units: Units, frames: np.ndarray) -> np.ndarray:
    """Mean and standard deviation over frames of each coefficient, float64 ``[segments, 2 coefficients]``.

    Args:
        units: Segments.
        frames: ``[N, frames, coefficients]``, of which every unit has one row.
    """
    import numpy as np

    each = (frames[rows].reshape(-1, frames.shape[2]).astype(np.float64) for rows in units.segments)
    return np.stack([np.concatenate([segment.mean(axis=0), segment.std(axis=0)]) for segment in each])


def drawn(truth: np.ndarray, count: int, seed: int) -> np.ndarray:
    """At most ``count`` units drawn at random with the classes' shares kept, boolean ``[units]``."""
    import numpy as np

    order = np.random.default_rng(seed).permutation(len(truth))
    rank = np.empty(len(truth))
    for number in np.unique(truth):
        of_class = order[truth[order] == number]
        rank[of_class] = (np.arange(len(of_class)) + 0.5) / len(of_class)
    return np.isin(np.arange(len(truth)), np.argsort(rank, kind="stable")[:count])


def search_folds(training: Units, protocol: Protocol, state: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Rows of the training set to fit on and to score, for each fold of a search; see :class:`SegmentBaseline`.

    Args:
        training: Segments.
        protocol: Says what is never divided.
        state: Of scikit-learn's shuffling.
    """
    import numpy as np
    from sklearn.model_selection import StratifiedGroupKFold

    from trainables.protocols.folds import groups_of

    groups, truth = groups_of(training, protocol.group), training.truth
    count = min(_FOLDS, *(len(np.unique(groups[truth == number])) for number in np.unique(truth)))
    if count < 2:
        return []
    folds = StratifiedGroupKFold(count, shuffle=True, random_state=state).split(truth, truth, groups)
    return [(fit, scored) for fit, scored in folds if len(np.unique(truth[fit])) == len(np.unique(truth))]


def _search(model: Model, inputs: np.ndarray, truth: np.ndarray, folds: list[tuple[np.ndarray, np.ndarray]], state: int) -> _Found:
    """The best of a model's settings in the folds, or where there are none its first ones, fitted on all that is given."""
    from sklearn.metrics import make_scorer
    from sklearn.model_selection import GridSearchCV, ParameterGrid
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler

    fewest = min((len(fit) for fit, _ in folds), default=len(truth))
    classifier, grid = _candidate(model, inputs.shape[1], fewest, state)
    whole = Pipeline([("standardised", StandardScaler()), ("classifier", classifier)])
    grid = {f"classifier__{name}": values for name, values in grid.items()}
    with warnings.catch_warnings():
        # Of a Gaussian process whose likelihood only grows towards an end of the range: that end is the answer.
        warnings.filterwarnings("ignore", r"The optimal value found for .* is close to the specified")
        if not folds:
            first = ParameterGrid(grid)[0]
            return _Found(whole.set_params(**first).fit(inputs, truth), _names(first), [])
        search = GridSearchCV(whole, grid, scoring=make_scorer(_recall), cv=folds, error_score="raise").fit(inputs, truth)
    scores = zip(*(search.cv_results_[f"split{number}_test_score"].tolist() for number in range(len(folds))), strict=True)
    tried = [(_names(each), list(score)) for each, score in zip(search.cv_results_["params"], scores, strict=True)]
    return _Found(search.best_estimator_, _names(search.best_params_), tried)


def _candidate(model: Model, dimensions: int, fewest: int, state: int) -> tuple[ClassifierMixin, dict[str, list[Any]]]:
    """A classifier and its grid, the defaults first.

    Args:
        model: Which one.
        dimensions: Of its inputs, which are standardised: kernels are as wide as two segments lie apart, or a few times that.
        fewest: Segments in the smallest set that it is fitted on.
        state: Of its random numbers.
    """
    if model == "gaussian_process":
        from sklearn.gaussian_process import GaussianProcessClassifier
        from sklearn.gaussian_process.kernels import RBF, Matern

        width = dimensions**0.5
        return GaussianProcessClassifier(), {"kernel": [1.0 * RBF(width), 1.0 * Matern(width, nu=1.5)]}
    if model == "svm":
        from sklearn.svm import SVC

        grid = {"C": [1.0, 0.1, 10.0], "gamma": [1 / dimensions, 0.25 / dimensions, 4 / dimensions]}
        return SVC(break_ties=True), grid
    if model == "knn":
        from sklearn.neighbors import KNeighborsClassifier

        neighbours = [count for count in _NEIGHBOURS if count <= fewest]
        return KNeighborsClassifier(), {"n_neighbors": neighbours, "weights": ["uniform", "distance"]}
    if model == "adaboost":
        from sklearn.ensemble import AdaBoostClassifier
        from sklearn.tree import DecisionTreeClassifier

        grid = {"n_estimators": [50, 200], "estimator__max_depth": [1, 2]}
        return AdaBoostClassifier(DecisionTreeClassifier(), random_state=state), grid
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(max_iter=1000), {"C": [1.0, 0.01, 0.1, 10.0]}


def _recall(truth: np.ndarray, predicted: np.ndarray) -> float:
    """Unweighted average recall over the classes that a fold has."""
    import numpy as np
    from sklearn.metrics import recall_score

    return float(recall_score(truth, predicted, labels=np.unique(truth), average="macro", zero_division=0))


def _probabilities(model: Pipeline, inputs: np.ndarray) -> np.ndarray:
    """Of the classes that the model knows, ``[segments, classes]``; of decision values where it has no probabilities."""
    import numpy as np
    from scipy.special import softmax

    if hasattr(model, "predict_proba"):
        return model.predict_proba(inputs)
    values = model.decision_function(inputs)
    return softmax(np.stack([np.zeros_like(values), values], axis=1) if values.ndim == 1 else values, axis=1)


def _names(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings by their last name, JSON-able; a kernel as it is written."""
    return {
        name.rpartition("__")[2]: value if isinstance(value, int | float | str) else str(value) for name, value in settings.items()
    }


def _write_search(directory: Path, found: _Found, segments: int) -> None:
    tried = [{"settings": settings, "uar": scores} for settings, scores in found.tried]
    told = {"segments": segments, "folds": len(tried[0]["uar"]) if tried else 0, "chosen": found.chosen, "tried": tried}
    (directory / "search.json").write_text(json.dumps(told))
