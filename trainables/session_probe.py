"""Stage: how well a linear model can tell the classes from fixed embeddings; the cheap probe of a search."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from trainables.leakage.exposure import Exposure
from trainables.protocols import Protocol, divide
from trainables.protocols.catalogue import HELD_OUT_30
from trainables.segment_embeddings import SegmentEmbeddings
from trainables.stage import Context, Stage
from trainables.tasks import TASKS, TaskName

if TYPE_CHECKING:
    import numpy as np

    from trainables.units import Units


class SessionProbe(Stage):
    """Logistic regression on each session's mean segment embedding, scored on development speakers alone.

    Ours, not a paper's: it stands in for the session classifier while a search decides which pretrainings to stop. Classes are
    balanced by weight, dimensions are standardised by the training sessions, the penalty is scikit-learn's default and is not
    tuned, so that scores differ by the embeddings alone.

    The scores are means over several divisions, those of a session classifier with ``scored_on='dev'``, the seeds 0, 1, ... and
    the same protocol: the test speakers have no part in them.

    Result: ``metrics.json`` (``f1_macro, f1_micro, uar``, means over the divisions).
    """

    label: ClassVar[str] = "session probe"
    accelerated: ClassVar[bool] = False

    embeddings: SegmentEmbeddings
    task: TaskName = "depression"
    protocol: Protocol = HELD_OUT_30
    """One with a holdout seed and a development set; the test speakers are left out."""
    seeds: int = Field(default=3, gt=0)
    """Number of divisions into training and development speakers: 0, 1, ... are their seeds."""

    def exposure(self) -> Exposure:
        """Training sessions of every division, their labels and their statistics."""
        return Exposure(features=self.embeddings.features, fitted="training", task=self.task, normalised="training")

    def run(self, context: Context) -> None:
        """Fit and score once for each division."""
        import numpy as np

        from trainables.metrics import classification_scores
        from trainables.units import read_units

        units = read_units(context.result(self.embeddings.features), TASKS[self.task])
        embeddings = np.load(context.result(self.embeddings) / "embeddings.npy", mmap_mode="r")
        scores = []
        for seed in range(self.seeds):
            sets = divide(units, self.protocol, seed, scored_on="dev")
            predicted = _predict(sets["train"], sets["dev"], embeddings)
            scores.append(classification_scores(sets["dev"].truth, predicted))
            context.tick((seed + 1) / self.seeds)
        means = {name: float(np.mean([score[name] for score in scores])) for name in scores[0]}
        (context.directory / "metrics.json").write_text(json.dumps(means))


def _predict(training: Units, dev: Units, embeddings: np.ndarray) -> np.ndarray:
    """Classes of the development sessions, int64 ``[sessions]``."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    probe = make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced", max_iter=1000))
    return probe.fit(_means(training, embeddings), training.truth).predict(_means(dev, embeddings))


def _means(units: Units, embeddings: np.ndarray) -> np.ndarray:
    """Mean segment embedding of each session, float64 ``[sessions, dimensions]``."""
    import numpy as np

    return np.stack([embeddings[segments].mean(axis=0, dtype=np.float64) for segments in units.segments])
