"""Stage: the utterances of a corpus that a protocol lets train, with their classes."""

from __future__ import annotations

import json
from typing import ClassVar

from trainables.divided import DividedStage
from trainables.leakage.exposure import Exposure
from trainables.protocols import Protocol
from trainables.stage import Context
from trainables.tasks import TASKS, UnitsTaskName
from trainables.utterances import Utterances


class TrainingSet(DividedStage):
    """Which utterances of one corpus a model learns from that is trained before the one that is scored, or on several corpora.

    Supervised contrastive learning across corpora, section 4.2: 'In the first stage of fine-tuning, only the data used for training
    was sampled.' A model that is trained on several corpora reads a training set of each and nothing else of their labels, so that
    none that is tested or selected on can reach it.

    ``seed`` controls the division where the protocol leaves it to the seed, and the permutation of ``shuffled_labels``.

    Result: ``training.parquet``, the training utterances in the order of the utterances' ``segments.parquet``: ``row``, the number
    of the utterance's row there; ``unit``, its name; ``speaker``; ``emotion``, its class as the task words it, so that classes of
    corpora with different tasks can be compared ('rated' of every utterance, where attributes are learnt). ``metrics.json``: how
    many they are, ``utterances``, and how many of each class.
    """

    label: ClassVar[str] = "training set"
    accelerated: ClassVar[bool] = False

    utterances: Utterances
    task: UnitsTaskName
    protocol: Protocol

    def exposure(self) -> Exposure:
        """The training utterances and their labels; what learns from this set learns from no others."""
        return Exposure(features=self.utterances, fitted="training", task=self.task)

    def aligned(self, stage: DividedStage) -> TrainingSet:
        """The set that is left to train where ``stage``, further down the chain, is scored.

        A set of the stage's own corpus is divided as the stage is. Of another corpus nothing is scored there, so any fold would be
        sound. Decision: the fold of the same number, modulo the number of folds (the paper's corpora have five each; by speaker
        IEMOCAP has five and CASIA four). One training on all corpora then serves the fold of every corpus that is scored.

        The task stays: it says which classes this corpus is to teach, and those may be more than are scored.
        """
        if stage.exposure().features.corpus != self.utterances.corpus:
            return self.with_upstream({}, fold=stage.fold % self.protocol.folds)
        divided = ("protocol", "fold", "inner", "scored_on", "seed", "shuffled_labels")
        return self.with_upstream({}, **{name: getattr(stage, name) for name in divided})

    def run(self, context: Context) -> None:
        """Divide the utterances.

        Raises:
            UserError: The corpus does not have what the task or the protocol needs.
        """
        import numpy as np

        from trainables.units import read_units

        training = self.sets(read_units(context.result(self.utterances), TASKS[self.task]))["train"]
        emotions = np.array(training.task.classes, dtype=object)[training.truth]
        names = training.table[["unit", "speaker"]]
        # An utterance is one row of segments.parquet; read_units orders by name.
        table = names.assign(row=np.concatenate(training.segments), emotion=emotions).sort_values("row", ignore_index=True)
        table[["row", "unit", "speaker", "emotion"]].to_parquet(context.directory / "training.parquet", index=False)
        counts = {str(name): int(count) for name, count in table["emotion"].value_counts().items()}
        (context.directory / "metrics.json").write_text(json.dumps({"utterances": len(table), **counts}))
