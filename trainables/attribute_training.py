"""What the stages share that learn activation, valence and dominance from frames: settings, training, scores."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from trainables.attributes import require_weights
from trainables.cpc_contexts import CpcContexts
from trainables.cpc_pretraining import CpcPretraining
from trainables.divided import DividedStage
from trainables.filterbank_features import FilterbankFeatures
from trainables.leakage.exposure import Exposure
from trainables.numerics import seeded
from trainables.protocols import Protocol
from trainables.protocols.division import drawn_by_seed
from trainables.stage import Context
from trainables.training_set import TrainingSet
from trainables.utterances import Utterances

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    import torch

    from trainables.emotion_inputs import EmotionInputs
    from trainables.models.attribute_recogniser import AttributeRecogniser
    from trainables.units import Units

    Step = Callable[[int], dict[str, torch.Tensor]]


class AttributeTraining(DividedStage):
    """The slides' recogniser (:class:`~trainables.models.attribute_recogniser.AttributeRecogniser`) trained on the CCC of batches.

    From the slides of Li et al. (ICASSP 2021): recogniser and loss (:func:`~trainables.losses.concordance.concordance_loss`). They
    are silent on the rest:

    - alpha = beta = 1/3: the loss is then 1 minus 'CCC avg', which the tables compare.
    - 4 heads of 32 values; Adam, 1e-3, no schedule, 50 epochs, batch 32: usual for a network of this size (115,000 weights on 256
      contexts). The CCC of a batch is another than that of all utterances; 32 hold enough to tell how they vary, and a batch of one
      would have none.
    - Batches are drawn from all training utterances, whatever their length, for the loss compares those of a batch with each other.
      Within a batch utterances of about one length go through the network together (:func:`~trainables.features.buckets.buckets`)
      and the loss is of all. That changes no number but by rounding; a step on a CPU took a fifth of the time (32 utterances of
      3 s on average and 10 s at most).
    - An utterance longer than ``window_seconds`` is cut into equal windows, each with its ratings; it is scored by their mean. 30 s
      hold every utterance of MSP-Podcast (at most 11 s) and all but a few of IEMOCAP (at most 34 s), and bound the memory.
    - Inputs are standardised by the training utterances. Attributes are learnt in deviations from the training utterances' mean,
      which the CCC does not see, and told in the corpus' own scale.
    - Of a protocol with a development set the epoch with the best mean CCC there counts; without one the last epoch counts,
      because choosing on the test set would lie.

    ``seed`` controls the division where the protocol leaves it to the seed, first weights and batch order.

    Where what comes before was pretrained on a training set of the same corpus (``CpcPretraining.within``), that set gets this
    stage's own division, so that a protocol or a fold that is asked for reaches the pretraining too. Its seed stays as it is where
    the division does not depend on it: one pretraining then serves all seeds.

    Result: ``predictions.parquet`` (one row per scored utterance) and, where the division has a development set beside the scored
    one, ``predictions_dev.parquet``; ``metrics.json`` (:func:`trainables.metrics.write_attributes`).
    """

    frames: FilterbankFeatures | CpcContexts
    """Of utterances, which all have ratings."""
    protocol: Protocol
    heads: int = Field(default=4, gt=0)
    attention_size: int = Field(default=128, gt=0)
    """Values of all heads together."""
    alpha: float = 1 / 3
    """Weight of activation's CCC."""
    beta: float = 1 / 3
    """Weight of valence's CCC; dominance has the rest."""
    window_seconds: float = Field(default=30.0, gt=0)
    epochs: int = Field(default=50, gt=0)
    batch_size: int = Field(default=32, gt=1)
    learning_rate: float = Field(default=1e-3, gt=0)
    precision: Literal["float32", "bfloat16"] = "bfloat16"
    """bfloat16 autocast; weights, pooling, attributes and loss stay in float32."""

    @field_validator("frames")
    @classmethod
    def _of_utterances(cls, frames: FilterbankFeatures | CpcContexts, info: ValidationInfo) -> FilterbankFeatures | CpcContexts:
        if frames.unit != "utterance":
            raise ValueError("attributes are rated by utterance; give frames with unit='utterance'")
        if isinstance(frames, CpcContexts):
            return frames.with_upstream({"encoder": divided_alike(frames.encoder, frames.corpus, info.data)})
        return frames

    @model_validator(mode="after")
    def _can_be_learnt(self) -> AttributeTraining:
        if self.attention_size % self.heads:
            raise ValueError(f"attention_size={self.attention_size} cannot be shared by heads={self.heads}; give a multiple of it")
        if self.shuffled_labels:
            raise ValueError("shuffled_labels permutes classes, and ratings are none; compare with AttributeProbe(model='mean')")
        require_weights(self.alpha, self.beta)
        return self

    @property
    def window_frames(self) -> int:
        """Frames of the longest window."""
        source = self.frames.frames if isinstance(self.frames, CpcContexts) else self.frames
        return max(1, round(self.window_seconds * source.sample_rate / source.hop))

    def exposure(self) -> Exposure:
        """Training utterances, their ratings and their statistics; the best epoch on the development set, if there is one."""
        selected = "dev" if self.has_development_set() else "nothing"
        return Exposure(self.frames, "training", "attributes", normalised="training", selected=selected)

    @abstractmethod
    def model(self, context: Context, inputs: EmotionInputs, training: Units) -> torch.nn.Module:
        """The untrained network: from frames ``[B, T, D]`` and lengths ``[B]`` to attributes ``[B, 3]`` in their own scale."""

    def beside(
        self, model: torch.nn.Module, index: int, frames: torch.Tensor, lengths: torch.Tensor
    ) -> tuple[torch.Tensor | float, dict[str, torch.Tensor]]:
        """What is minimised beside the CCC loss, and what to report of it; nothing, unless a stage says otherwise.

        Args:
            model: The network.
            index: Number of the step.
            frames: Of the batch, ``[B, T, D]``, on the context's device, zero beyond the lengths.
            lengths: ``[B]``, on the CPU.
        """
        return 0.0, {}

    def run(self, context: Context) -> None:
        """Train on the training utterances and score the others.

        Raises:
            UserError: An utterance lacks an attribute; the corpus does not have what the protocol needs; the training diverged.
        """
        from trainables.attributes import rated_units
        from trainables.emotion_inputs import EmotionInputs
        from trainables.metrics import scored_sets, write_attributes

        directory = context.result(self.frames)
        units = rated_units(directory)
        sets = self.sets(units)
        inputs = EmotionInputs(directory, None, self.window_frames)
        model = self.model(context, inputs, sets["train"]).to(context.device)
        self._fit(context, inputs, sets, model)
        for name, scored in scored_sets(self, units).items():
            write_attributes(context.directory, scored, self._predicted(context, inputs, scored, model), name)

    def recogniser(self, dimensions: int, training: Units) -> AttributeRecogniser:
        """The recogniser with first weights by the seed and the attributes' statistics; those of its inputs are not set."""
        import torch

        from trainables.attributes import attribute_values
        from trainables.features.statistics import statistics_of
        from trainables.models.attribute_recogniser import AttributeRecogniser

        torch.manual_seed(seeded(self.seed, "initialisation"))
        found = AttributeRecogniser(dimensions, self.attention_size, self.heads)
        found.set_statistics("attributes", *statistics_of([attribute_values(training)]))
        return found

    def _fit(self, context: Context, inputs: EmotionInputs, sets: Mapping[str, Units], model: torch.nn.Module) -> None:
        """Train; with a set 'dev' the epoch with its best mean CCC counts, without one the last."""
        import torch

        from trainables.attributes import ATTRIBUTES, attribute_values
        from trainables.losses.concordance import ccc
        from trainables.training import train_epochs

        optimizer = torch.optim.Adam(model.parameters(), lr=self.learning_rate)
        step, steps_per_epoch = self._training_step(context, inputs, sets["train"], model, optimizer)

        def validate() -> dict[str, float]:
            said = torch.from_numpy(self._predicted(context, inputs, sets["dev"], model))
            found = ccc(attribute_values(sets["dev"]), said)
            return {"ccc": float(found.mean()), **dict(zip((f"ccc_{name}" for name in ATTRIBUTES), found.tolist(), strict=True))}

        train_epochs(
            context,
            seed=self.seed,
            epochs=self.epochs,
            steps_per_epoch=steps_per_epoch,
            step=step,
            model=model,
            optimizer=optimizer,
            validate=validate if "dev" in sets else None,
            score="ccc",
        )

    def _training_step(
        self,
        context: Context,
        inputs: EmotionInputs,
        training: Units,
        model: torch.nn.Module,
        optimizer: torch.optim.Optimizer,
    ) -> tuple[Step, int]:
        """One optimizer step as a function of the step's number, and the number of steps per epoch."""
        import numpy as np
        import torch

        from trainables.attributes import ATTRIBUTES, attribute_values
        from trainables.losses.concordance import concordance_loss
        from trainables.training import EpochOrder, autocast

        rows = torch.from_numpy(np.concatenate(training.segments))
        windows = inputs.windows_of(rows)
        values = torch.empty(len(inputs.turns), len(ATTRIBUTES)).index_copy_(0, rows, attribute_values(training))
        order = EpochOrder(len(windows), self.batch_size, self.seed)

        def step(index: int) -> dict[str, torch.Tensor]:
            model.train()
            chosen = windows[order[index]]
            batch = inputs.batch(chosen)
            frames = batch.frames.to(context.device)
            with autocast(context.device, self.precision):
                said = _in_buckets(model, frames, batch.lengths)
                other, told = self.beside(model, index, frames, batch.lengths)
            truth = values[inputs.turn[chosen]].to(context.device)
            concordance = concordance_loss(truth, said, self.alpha, self.beta)
            loss = concordance + other
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            return {"loss": loss.detach(), "ccc_loss": concordance.detach(), **told}

        return step, order.steps_per_epoch

    def _predicted(self, context: Context, inputs: EmotionInputs, units: Units, model: torch.nn.Module) -> np.ndarray:
        """The attributes of units in the corpus' own scale, float64 ``[units, 3]``: means of their windows'.

        Raises:
            UserError: One is not finite.
        """
        import numpy as np
        import torch

        from trainables.emotion_inference import means_of_groups
        from trainables.errors import UserError
        from trainables.training import autocast

        model.eval()
        rows = torch.from_numpy(np.concatenate(units.segments))
        windows = inputs.windows_of(rows)
        windows = windows[inputs.frames[windows].argsort(descending=True, stable=True)]
        said = []
        with torch.inference_mode(), autocast(context.device, self.precision):
            for chosen in windows.split(self.batch_size):
                batch = inputs.batch(chosen).to(context.device)
                said.append(model(batch.frames, batch.lengths).double().cpu())
        if not (found := torch.cat(said)).isfinite().all():
            raise UserError("the trained model's outputs are not finite; lower learning_rate, or set precision='float32'")
        return means_of_groups(found, inputs.turn[windows], len(inputs.turns))[rows].numpy()


def divided_alike(pretraining: CpcPretraining, corpus: str, settings: Mapping[str, Any]) -> CpcPretraining:
    """The same pretraining on the training set that is left by a stage that is scored on a corpus.

    Args:
        pretraining: As it was given.
        corpus: Role of the corpus that is scored.
        settings: Of that stage, as far as they are valid: those of :class:`~trainables.divided.DividedStage` among them.

    Raises:
        ValueError: Its set is of that corpus and of another task, by which other utterances could be divided otherwise.
    """
    within, division = pretraining.within, {name: settings[name] for name in DividedStage.model_fields if name in settings}
    if within is None or len(division) < len(DividedStage.model_fields):  # what decides the division has a fault, which is told
        return pretraining
    if not drawn_by_seed(division["protocol"]):
        division["seed"] = within.seed  # one pretraining for all seeds
    if within.utterances.corpus == corpus and within.task != "attributes":
        raise ValueError(f"within: the pretraining hears a training set of {within.task!r}; give one with task='attributes'")
    own = TrainingSet(utterances=Utterances(corpus=corpus), task="attributes", **division)
    return pretraining.with_upstream({"within": within.aligned(own)})


def _in_buckets(model: torch.nn.Module, frames: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """What a model says of a batch, ``[B, 3]``; utterances of about one length go through it together."""
    import torch

    from trainables.features.buckets import buckets

    parts = buckets(lengths)
    said = [model(frames[part, : int(lengths[part[0]])], lengths[part].to(frames.device)) for part in parts]
    return torch.cat(said)[torch.cat(parts).argsort()]
