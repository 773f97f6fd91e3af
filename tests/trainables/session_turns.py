"""Sessions of toy turns, and sequence classifiers of them run by the local executor."""

from typing import ClassVar, Literal

import numpy as np
import pandas as pd

from orchestrator.artifacts import ArtifactStore
from orchestrator.execution.local import LocalExecutor
from trainables.leakage.exposure import Exposure
from trainables.sequence_classifier import SequenceClassifier
from trainables.stage import Context, CorpusRole, Stage

SESSIONS, WIDTH = 36, 6


class Turns(Stage):
    """Turn features of sessions of 1 to 9 turns; of the depressed, who are a third, two dimensions are shifted."""

    label: ClassVar[str] = "toy turns"
    corpus: CorpusRole = "mdd"
    unit: Literal["session"] = "session"
    first_dimension: int = 0
    dropped: int = 0
    spoilt: str = ""
    """The split whose sessions have quite other features and the other diagnosis."""

    def exposure(self) -> Exposure:
        return Exposure(features=self)

    def run(self, context: Context) -> None:
        rng, rows, vectors = np.random.default_rng(self.first_dimension), [], []
        for number in range(SESSIONS - self.dropped):
            name, split, depressed = f"s{number:02d}", ("train", "train", "dev", "test")[number % 4], int(number // 4 % 3 == 0)
            values = rng.standard_normal((1 + number * 7 % 9, WIDTH))
            values[:, :2] += 1.5 * depressed
            if split == self.spoilt:
                values, depressed = 100 * values, 1 - depressed
            facts = {"unit": name, "speaker": f"p{number:02d}", "session": name, "split": split, "depressed": depressed}
            rows += [{**facts, "position": turn, "seconds": 1.0} for turn in range(len(values))]
            vectors.append(values)
        pd.DataFrame(rows).to_parquet(context.directory / "segments.parquet", index=False)
        np.save(context.directory / "embeddings.npy", np.concatenate(vectors).astype(np.float32))
        (context.directory / "metrics.json").write_text("{}")


FEATURES = Turns()


def classifier(**settings):
    small = {"hidden_size": 4, "epochs": 5, "batch_size": 5, "learning_rate": 0.02, "together": 4}
    return SequenceClassifier(**{"features": (FEATURES,), **small, **settings})


def run(setting, stage):
    """Run the whole chain by the local executor; where the stage's result is, and what was executed."""
    executor = LocalExecutor(setting, lambda *call: None)
    executor.finish_chain(stage)
    return ArtifactStore(setting.store).path(setting.fingerprint(stage)), executor.executed


def predictions(setting, stage, name="predictions"):
    return pd.read_parquet(run(setting, stage)[0] / f"{name}.parquet").set_index("unit")[["p0", "p1"]]
