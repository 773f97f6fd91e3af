"""Stage: a diagnosis guessed from what a model of speech and language should not need."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from trainables.divided import DividedStage
from trainables.leakage.exposure import Exposure
from trainables.session_descriptors import SessionDescriptors
from trainables.stage import Context
from trainables.tasks import TASKS, TaskName
from trainables.units import with_class

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd
    from sklearn.pipeline import Pipeline

    from trainables.tasks import Task
    from trainables.units import Units


class ShortcutClassifier(DividedStage):
    """scikit-learn on one kind of descriptor, on the same sets as the models that it stands beside.

    ``gender``, ``timing`` and ``interviewer``: logistic regression with balanced classes; numbers are standardised by the training
    sessions and gaps get the mean, words are counted as TF-IDF. The penalty is
    scikit-learn's default and is not tuned: a control that was tuned on few sessions would be too weak or too lucky.

    ``voice``: the speaker-identity probe, the diagnosis of the training session that sounds most alike (nearest neighbour in the
    standardised mean and deviation of the log-mel spectrum). Where a division lets a speaker be in training and test it is nearly
    always right; where speakers are disjoint it tells how far timbre and microphone alone tell the diagnosis.

    Result: ``predictions.parquet`` (one row per scored session) and, where there is a development set beside the scored one,
    ``predictions_dev.parquet``; ``metrics.json`` (:func:`trainables.metrics.write_predictions`).
    """

    version: ClassVar[int] = 2  # 2: predictions of the development set too
    label: ClassVar[str] = "shortcut control"
    accelerated: ClassVar[bool] = False

    descriptors: SessionDescriptors
    shortcut: Literal["gender", "timing", "interviewer", "voice"]
    task: TaskName = "depression"

    def exposure(self) -> Exposure:
        """Training sessions and their labels; of the interviewer, if that is the shortcut."""
        talkers = "interviewer" if self.shortcut == "interviewer" else "subject"
        return Exposure(self.descriptors, "training", self.task, normalised="training", talkers=talkers)

    def run(self, context: Context) -> None:
        """Fit on the training sessions and score.

        Raises:
            UserError: The diagnosis of some sessions is not known, or no session has one that is a class.
        """
        import numpy as np

        from trainables.metrics import scored_sets, write_predictions

        sessions = _read(context.result(self.descriptors), TASKS[self.task])
        training = self.sets(sessions)["train"]
        model = _model(self.shortcut, training.table).fit(training.table, training.truth)
        for name, scored in scored_sets(self, sessions).items():
            probabilities = np.zeros((len(scored.truth), len(scored.task.classes)))
            probabilities[:, model.classes_] = model.predict_proba(scored.table)
            write_predictions(context.directory, scored, probabilities, name=name)


def _read(result: Path, task: Task) -> Units:
    """The sessions that the task gives a class."""
    import numpy as np
    import pandas as pd

    table = pd.read_parquet(result / "descriptors.parquet")
    return with_class(table, np.arange(len(table))[:, None], task)


def _model(shortcut: str, table: pd.DataFrame) -> Pipeline:
    from sklearn.compose import ColumnTransformer
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    numbers = make_pipeline(SimpleImputer(keep_empty_features=True), StandardScaler())
    if shortcut == "gender":
        inputs = [("gender", OneHotEncoder(handle_unknown="ignore"), ["gender"])]
    else:
        prefix = {"timing": "timing_", "interviewer": "interviewer_mel_", "voice": "voice_mel_"}[shortcut]
        inputs = [("numbers", numbers, [name for name in table if name.startswith(prefix)])]
    if shortcut == "interviewer" and table["interviewer_words"].str.contains(r"\w\w").any():
        inputs.append(("words", TfidfVectorizer(), "interviewer_words"))
    balanced = LogisticRegression(class_weight="balanced", max_iter=1000)
    return make_pipeline(ColumnTransformer(inputs), KNeighborsClassifier(1) if shortcut == "voice" else balanced)
