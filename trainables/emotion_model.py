"""Stage: emotion recognition from audio, text or both (Climate and Weather, section 2.2, Table 1)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field, model_validator

from trainables.attributes import attribute_values, require_attributes
from trainables.divided import DividedStage
from trainables.filterbank_features import FilterbankFeatures
from trainables.leakage.exposure import Exposure
from trainables.numerics import seeded
from trainables.protocols import Protocol
from trainables.sentence_embeddings import SentenceEmbeddings
from trainables.stage import Context
from trainables.tasks import TASKS, TaskName

if TYPE_CHECKING:
    import numpy as np
    import torch

    from trainables.emotion_inference import Described
    from trainables.emotion_inputs import EmotionInputs
    from trainables.models.emotion_net import EmotionOutput
    from trainables.models.emotion_recogniser import EmotionRecogniser
    from trainables.units import Units

ATTRIBUTES = ("valence", "activation", "dominance")
"""Labels of the manifest, in the corpus' own scale; IEMOCAP's are from 1 to 5."""


class EmotionModel(DividedStage):
    """Residual TDNN over frames, self-attentive pooling, sentences in context, fusion; scored on unseen speakers.

    From the paper: the network; cross entropy for classes and Huber loss for attributes together on IEMOCAP, binary sentiment on
    CMU-MOSEI (sections 2.2, 3.2). The paper is silent on the rest:

    - Adam, 1e-3, 30 epochs, batch 32: usual for networks of this size from random weights.
    - The losses are added: cross entropy and Huber loss with weight 1, the attention penalty with weight 0.1, with which each
      branch begins at about 0.3, beside a cross entropy of 1.4 for four classes.
    - Attributes are predicted in deviations from the training utterances' mean, so that Huber's threshold (1) and the weight mean
      the same in every corpus' scale; results are in the corpus' scale. An utterance that has a class and lacks an attribute is a
      fault, as one without a class would be: all have both in IEMOCAP.
    - Of a protocol with a development set the epoch with its best macro F1 counts; without one the last epoch counts.
    - An utterance longer than ``window_seconds`` is cut into equal windows, each with its label; its scores are the means of the
      windows' log-probabilities and attributes, its emotion feature that of theirs.
    - Frames and sentences are standardised by the training utterances. These statistics are the model's: another corpus is
      standardised by them too, because the model is 'fixed' when it is transferred (section 2.3), and because statistics of
      depression interviews would be statistics of those who are tested.

    An utterance's context is that of its conversation, in IEMOCAP the partner's turns too, and turns without a class of the task
    (:func:`~trainables.emotion_inputs.context_rows`). In training only turns of training speakers are heard: under
    ``iemocap-10-speakers``, where the partner of the tested speaker trains, the tested speaker's words are absent from the
    partner's context. The tested utterance hears both; the partner's words that it hears were trained on.

    ``seed`` controls the split where it is drawn, the initialisation, batch order and dropout.

    Result: ``model.safetensors`` and ``model.json`` (:class:`~trainables.models.emotion_recogniser.EmotionRecogniser`),
    ``predictions.parquet`` (one row per scored utterance; of attributes the columns ``valence``, ``valence_predicted`` and so on),
    ``metrics.json`` (``f1_macro, f1_micro, uar``; of two classes ``f1_positive``; of attributes ``ccc``, ``ccc_valence``,
    ``mae_valence`` and so on).
    """

    label: ClassVar[str] = "emotion model"

    filterbanks: FilterbankFeatures | None = None
    """The audio branch's frames; None for text alone."""
    sentences: SentenceEmbeddings | None = None
    """The text branch's sentences; None for audio alone."""
    task: TaskName
    attributes: bool = False
    """Whether valence, activation and dominance are learnt besides (section 3.2, IEMOCAP)."""
    protocol: Protocol
    width: int = Field(default=512, gt=0)
    """Section 2.2: 'layer width 512'."""
    window_seconds: float = Field(default=10.0, gt=0)
    attribute_weight: float = Field(default=1.0, ge=0)
    penalty_weight: float = Field(default=0.1, ge=0)
    epochs: int = Field(default=30, gt=0)
    batch_size: int = Field(default=32, gt=0)
    learning_rate: float = Field(default=1e-3, gt=0)

    @model_validator(mode="after")
    def _inputs_fit(self) -> EmotionModel:
        given = [stage for stage in (self.filterbanks, self.sentences) if stage is not None]
        if not given:
            raise ValueError("neither filterbanks nor sentences are given; give one of them or both")
        if any(stage.unit != "utterance" for stage in given):
            raise ValueError("emotions are labelled by utterance; give features with unit='utterance'")
        if len({stage.corpus for stage in given}) > 1:
            raise ValueError(f"filterbanks and sentences are of two corpora, {' and '.join(s.corpus for s in given)}; give one")
        if self.shuffled_labels and self.attributes:
            raise ValueError("shuffled_labels permutes classes alone; set attributes=False")
        return self

    @property
    def modality(self) -> Literal["audio", "text", "both"]:
        """What the model reads."""
        if self.sentences is None:
            return "audio"
        return "text" if self.filterbanks is None else "both"

    @property
    def turns(self) -> FilterbankFeatures | SentenceEmbeddings:
        """The stage whose units are learnt and scored."""
        return self.filterbanks or self.sentences

    @property
    def window_frames(self) -> int:
        """Frames of the longest window; 1 without audio, where there is nothing to cut."""
        return max(1, round(self.window_seconds * self.filterbanks.sample_rate / self.filterbanks.hop)) if self.filterbanks else 1

    def exposure(self) -> Exposure:
        """Training utterances, their labels and their statistics; the best epoch on the development set, if there is one."""
        selected = "dev" if self.has_development_set() else "nothing"
        return Exposure(self.turns, "training", self.task, normalised="training", selected=selected)

    def run(self, context: Context) -> None:
        """Train on the training utterances and score the others.

        Raises:
            UserError: The corpus does not have the labels that are asked for; the training diverged.
        """
        from trainables.emotion_inputs import EmotionInputs
        from trainables.metrics import write_predictions
        from trainables.units import read_units

        inputs = EmotionInputs(
            context.result(self.filterbanks) if self.filterbanks else None,
            context.result(self.sentences) if self.sentences else None,
            self.window_frames,
        )
        units = read_units(context.result(self.turns), TASKS[self.task])
        sets = self.sets(units)
        if self.attributes:
            require_attributes(sets, ATTRIBUTES, "the labels of the emotion model's corpus", "set attributes=False")
        model = self._fit(context, inputs, units, sets)
        scored = sets[self.scored_on]
        said = self._describe(model, inputs, units, sets, self.scored_on)
        model.save(context.directory)
        extra: dict[str, np.ndarray] = {}
        for name, values in zip(model.attributes, said.attributes.T, strict=True):
            extra |= {name: scored.table[name].to_numpy(), f"{name}_predicted": values}
        write_predictions(context.directory, scored, said.probabilities, extra=extra)

    def _fit(self, context: Context, inputs: EmotionInputs, units: Units, sets: Mapping[str, Units]) -> EmotionRecogniser:
        """Train; with a set 'dev' the epoch with its best macro F1 counts, without one the last epoch."""
        import torch

        from trainables.metrics import classification_scores
        from trainables.training import train_epochs

        model = self._initialised(inputs, sets["train"]).to(context.device)
        optimizer = torch.optim.Adam(model.parameters(), lr=self.learning_rate)
        step, steps_per_epoch = self._training_step(context, model, optimizer, inputs, units, sets)

        def validate() -> dict[str, float]:
            said = self._describe(model, inputs, units, sets, "dev")
            return classification_scores(sets["dev"].truth, said.probabilities.argmax(axis=1), len(model.classes))

        train_epochs(
            context,
            seed=self.seed,
            epochs=self.epochs,
            steps_per_epoch=steps_per_epoch,
            step=step,
            model=model,
            optimizer=optimizer,
            validate=validate if "dev" in sets else None,
        )
        return model

    def _initialised(self, inputs: EmotionInputs, training: Units) -> EmotionRecogniser:
        """Random weights, and the statistics of the training utterances."""
        import numpy as np
        import torch

        from trainables.models.emotion_net import EmotionNet
        from trainables.models.emotion_recogniser import EmotionRecogniser

        statistics = inputs.statistics(np.concatenate(training.segments))
        sizes = {name: len(found.mean) for name, found in statistics.items()}
        names = ATTRIBUTES if self.attributes else ()
        torch.manual_seed(seeded(self.seed, "initialisation"))
        classes = training.task.classes
        network = EmotionNet(sizes.get("frames"), sizes.get("sentences"), len(classes), len(names), width=self.width)
        model = EmotionRecogniser(network, classes, names)
        for name, found in statistics.items():
            model.set_statistics(name, *found)
        if names:
            values = attribute_values(training, ATTRIBUTES)
            model.set_statistics("attributes", values.mean(dim=0), values.std(dim=0, correction=0) + 1e-6)
        return model

    def _training_step(
        self,
        context: Context,
        model: EmotionRecogniser,
        optimizer: torch.optim.Optimizer,
        inputs: EmotionInputs,
        units: Units,
        sets: Mapping[str, Units],
    ) -> tuple[Callable[[int], dict[str, torch.Tensor]], int]:
        """One optimizer step as a function of the step's number, and the number of steps per epoch."""
        import numpy as np
        import torch

        from trainables.emotion_inputs import heard_turns
        from trainables.training import EpochOrder

        training = sets["train"]
        rows = torch.from_numpy(np.concatenate(training.segments))
        windows, heard = inputs.windows_of(rows), heard_turns(inputs.turns, units, sets, "train")
        labels = torch.empty(len(inputs.turns), dtype=torch.int64).index_copy_(0, rows, torch.from_numpy(training.truth))
        values = torch.empty(len(inputs.turns), len(model.attributes))
        if model.attributes:
            values.index_copy_(0, rows, attribute_values(training, ATTRIBUTES))
        order = EpochOrder(len(windows), self.batch_size, self.seed)

        def step(index: int) -> dict[str, torch.Tensor]:
            model.train()
            chosen = windows[order[index]]
            turns = inputs.turn[chosen]
            output = model(inputs.batch(chosen, heard).to(context.device))
            terms = self._loss(model, output, labels[turns].to(context.device), values[turns].to(context.device))
            optimizer.zero_grad(set_to_none=True)
            terms["loss"].backward()
            optimizer.step()
            return {name: term.detach() for name, term in terms.items()}

        return step, order.steps_per_epoch

    def _loss(
        self, model: EmotionRecogniser, output: EmotionOutput, labels: torch.Tensor, attributes: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        """The loss of a batch, 'loss', and the terms of which it is the weighted sum."""
        from torch.nn import functional as F

        terms = {"cross_entropy": F.cross_entropy(output.logits, labels), "penalty": output.penalty}
        loss = terms["cross_entropy"] + self.penalty_weight * terms["penalty"]
        if model.attributes:
            terms["huber"] = F.huber_loss(output.attributes, model.standardised(attributes))
            loss = loss + self.attribute_weight * terms["huber"]
        return {"loss": loss, **terms}

    def _describe(
        self, model: EmotionRecogniser, inputs: EmotionInputs, units: Units, sets: Mapping[str, Units], name: str
    ) -> Described:
        """What the model says of the units of a set."""
        import numpy as np
        import torch

        from trainables.emotion_inference import describe
        from trainables.emotion_inputs import heard_turns

        rows = torch.from_numpy(np.concatenate(sets[name].segments))
        return describe(model, inputs, rows, batch_size=self.batch_size, heard=heard_turns(inputs.turns, units, sets, name))
