"""Stage: emotion recognition by a Cnn10 that is fine-tuned whole on utterances (ReCLR, section 3.4, Tables 3 and 4)."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, model_validator

from trainables.contrastive_pretraining import ContrastivePretraining
from trainables.protocols import Division, SplitSource
from trainables.stage import Context
from trainables.tasks import TASKS
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
    - ``split='random'``: no validation set, so no choice of an epoch: the last one counts. Choosing on the test set would lie.
    - ``split='corpus'``: the epoch with the best macro F1 on the validation set, as section 2.1 chooses on MOSEI.
    - No speaker is in two sets. The paper splits 'randomly'; of the speakers or of the utterances, it does not say.

    ``seed`` controls the split where it is drawn, the initialisation of what is not pretrained, batch order and dropout.

    Result: ``predictions.parquet`` (one row per test utterance), ``metrics.json`` (``f1_macro, f1_micro, uar``).
    """

    label: ClassVar[str] = "emotion classifier"

    initial: ContrastivePretraining | None = None
    """Where Cnn10's first weights come from; None for random ones (Table 3, 'Random')."""
    task: Literal["emotion5", "sentiment"]
    split: SplitSource
    learning_rate: float = Field(default=1e-4, gt=0)
    test_fraction: float = Field(default=0.3, gt=0, lt=1)
    """Of the speakers, where the split is random."""

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

    def run(self, context: Context) -> None:
        """Train on the training utterances and score the test utterances."""
        from trainables.metrics import write_predictions
        from trainables.units import read_units

        units = read_units(context.result(self.features), TASKS[self.task])
        sets = Division(seed=self.seed, test_fraction=self.test_fraction, split=self.split).of(units)
        model, _ = self.fit(context, sets, context.result(self.initial) if self.initial else None)
        write_predictions(context.directory, sets["test"], self.probabilities(context, model, sets["test"]))
