"""Stage: emotion recognition by a Cnn10 that is fine-tuned whole on utterances (ReCLR, section 3.4, Tables 3 and 4)."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field, model_validator

from trainables.contrastive_pretraining import ContrastivePretraining
from trainables.leakage.exposure import Exposure
from trainables.protocols import Protocol
from trainables.stage import Context
from trainables.tasks import TASKS, TaskName
from trainables.utterance_training import UtteranceTraining

_FRONT_END = ("segment_seconds", "sample_rate", "window", "hop", "mels", "f_min", "f_max")
"""What pretrained weights and the features they are applied to must share; corpus and unit may differ."""


class EmotionClassifier(UtteranceTraining):
    """Cnn10, from pretrained or random weights, and a fully connected layer, trained whole; scored on unseen speakers.

    From the paper: 'we use a Cnn10 followed by a fully connected layer and initialize Cnn10 with the pretrained model', a random
    split of 70 % and 30 % for IEMOCAP (section 3.2), the classes (section 3.1). The paper is silent on the rest:

    - Optimiser Adam, 1e-4: PANNs' rate for fine-tuning. The same from random weights, so that the rows of a table differ by
      their first weights alone; so is the head's initialisation at one seed.
    - 30 epochs, batch 64: the reference model's.
    - Of a protocol with a validation set the epoch with its best macro F1 counts, as section 2.1 chooses on MOSEI; without one
      there is no choice of an epoch: the last one counts. Choosing on the test set would lie.
    - No speaker is in two sets. The paper splits 'randomly'; of the speakers or of the utterances, it does not say.

    ``seed`` controls the split where it is drawn, the initialisation of what is not pretrained, batch order and dropout.

    Result: ``predictions.parquet`` (one row per test utterance), ``metrics.json`` (``f1_macro, f1_micro, uar``).
    """

    label: ClassVar[str] = "emotion classifier"

    initial: ContrastivePretraining | None = None
    """Where Cnn10's first weights come from; None for random ones (Table 3, 'Random')."""
    task: TaskName
    protocol: Protocol
    learning_rate: float = Field(default=1e-4, gt=0)

    @model_validator(mode="after")
    def _initial_weights_fit(self) -> EmotionClassifier:
        if self.initial is None:
            return self
        if self.initial.width != self.width:
            raise ValueError(f"width is {self.width}, but the initial weights have width {self.initial.width}; make them equal")
        theirs = self.initial.features
        other = [name for name in _FRONT_END if getattr(theirs, name) != getattr(self.features, name)]
        if other:
            raise ValueError(f"the initial weights were trained on other features: {', '.join(other)} differ; use the same")
        return self

    def exposure(self) -> Exposure:
        """Training utterances and their labels; the best epoch on the development set, if the protocol has one."""
        return self.learning(self.task)

    def run(self, context: Context) -> None:
        """Train on the training utterances and score the test utterances."""
        from trainables.metrics import write_predictions
        from trainables.units import read_units

        units = read_units(context.result(self.features), TASKS[self.task])
        sets = self.sets(units)
        model, _ = self.fit(context, sets, context.result(self.initial) if self.initial else None)
        write_predictions(context.directory, sets[self.scored_on], self.probabilities(context, model, sets[self.scored_on]))
