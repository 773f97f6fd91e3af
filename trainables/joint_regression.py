"""Stage: a CPC network and the recogniser over its contexts trained together (Li et al., ICASSP 2021, slides, 'jointCPC')."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field, ValidationInfo, field_validator, model_validator

from trainables.attribute_training import AttributeTraining, divided_alike
from trainables.cpc_contexts import CpcContexts
from trainables.cpc_pretraining import CpcPretraining, NegativeSource
from trainables.filterbank_features import FilterbankFeatures
from trainables.numerics import seeded
from trainables.stage import Context

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch

    from trainables.emotion_inputs import EmotionInputs
    from trainables.models.attribute_recogniser import ContextRecogniser
    from trainables.units import Units


class JointRegression(AttributeTraining):
    """All weights, from filterbank frames to attributes, trained on ``L_CCC + cpc_weight * L_InfoNCE``; scored on unseen speakers.

    Of the slides' set-ups: jointCPC, which they draw as one network with both losses and say no more of; with ``cpc_weight=0`` and
    random weights 'Sup', the same network with the labels alone; with ``cpc_weight=0`` and ``initial`` a pretrained network that
    is fine-tuned. Decisions beside those of :class:`~trainables.attribute_training.AttributeTraining`:

    - ``cpc_weight`` 1: both losses as they are. The InfoNCE is of the batch's own utterances, a random chunk of each (an utterance
      shorter than a chunk is its own), with the settings of :class:`~trainables.cpc_pretraining.CpcPretraining`. A chunk is heard
      from its beginning, as in pretraining, while the recogniser hears the whole utterance. No other utterance is heard.
    - Adam, 2e-4, van den Oord et al.'s rate for CPC, for all weights in all three set-ups: the rows of a table then differ by their
      losses and first weights alone. So is the recogniser's first state: the same by one seed, whatever the network before it.
    - Frames are standardised by the training utterances; by what ``initial`` was pretrained on where it is given. Contexts are
      standardised by what they are over the training utterances before the first step, and this does not follow them when they
      change; so with ``initial`` training begins where :class:`~trainables.attribute_regression.AttributeRegression` on fixed
      contexts does.
    - One worker computes it. A window begins without a past; what the memory holds is a batch of windows.

    ``seed`` controls chunks and negatives besides, and the CPC network's first weights where there is no ``initial``.
    """

    label: ClassVar[str] = "joint regression"

    frames: FilterbankFeatures
    initial: CpcPretraining | None = None
    """The network to go on from; None for random weights."""
    cpc_weight: float = Field(default=1.0, ge=0)
    """Of InfoNCE; 0 leaves it out, and its predictors as they were."""
    size: int = Field(default=256, gt=0)
    encoder_layers: int = Field(default=3, gt=0)
    prediction_steps: int = Field(default=12, gt=0)
    negatives: int = Field(default=128, gt=0)
    negatives_from: NegativeSource = "batch"
    chunk_frames: int = Field(default=128, gt=1)
    learning_rate: float = Field(default=2e-4, gt=0)

    @field_validator("initial")
    @classmethod
    def _share_the_division(cls, initial: CpcPretraining | None, info: ValidationInfo) -> CpcPretraining | None:
        if initial is None or "frames" not in info.data:
            return initial
        CpcContexts(encoder=initial, frames=info.data["frames"])  # refuses a network that was pretrained on frames of another kind
        return divided_alike(initial, info.data["frames"].corpus, info.data)

    @model_validator(mode="after")
    def _initial_weights_fit(self) -> JointRegression:
        if self.chunk_frames <= self.prediction_steps:
            raise ValueError(
                f"a chunk of {self.chunk_frames} frames has none to predict {self.prediction_steps} steps ahead; "
                "raise chunk_frames or lower prediction_steps"
            )
        if self.initial is not None:
            for name in ("size", "encoder_layers", "prediction_steps"):
                own, theirs = getattr(self, name), getattr(self.initial, name)
                if own != theirs:
                    raise ValueError(f"{name} is {own}, but the initial weights have {name} {theirs}; make them equal")
        return self

    def model(self, context: Context, inputs: EmotionInputs, training: Units) -> ContextRecogniser:
        """The CPC network with its first weights and the recogniser, which standardises the contexts as they are now."""
        import numpy as np
        import torch

        from trainables.features.statistics import statistics_of
        from trainables.models.attribute_recogniser import ContextRecogniser
        from trainables.models.cpc import CpcNetwork, FrameSettings

        rows = np.concatenate(training.segments)
        recogniser = self.recogniser(self.size, training)
        if self.initial:
            network = CpcNetwork.load(context.result(self.initial))
        else:
            network = CpcNetwork(FrameSettings.of(self.frames), self.size, self.encoder_layers, self.prediction_steps)
            network.set_statistics(*inputs.statistics(rows)["frames"])
        model = ContextRecogniser(network, recogniser).to(context.device)
        with torch.inference_mode():
            recogniser.set_statistics("frames", *statistics_of(self._contexts(context, inputs, model, torch.from_numpy(rows))))
        return model

    def _contexts(
        self, context: Context, inputs: EmotionInputs, model: ContextRecogniser, rows: torch.Tensor
    ) -> Iterator[torch.Tensor]:
        """The contexts of all frames of some utterances, in pieces ``[n, H]``."""
        import torch

        windows = inputs.windows_of(rows)
        for chosen in windows[inputs.frames[windows].argsort(descending=True, stable=True)].split(self.batch_size):
            batch = inputs.batch(chosen).to(context.device)
            present = torch.arange(batch.frames.shape[1], device=context.device) < batch.lengths[:, None]
            yield model.contexts(batch.frames)[present].cpu()

    def beside(
        self, model: ContextRecogniser, index: int, frames: torch.Tensor, lengths: torch.Tensor
    ) -> tuple[torch.Tensor | float, dict[str, torch.Tensor]]:
        """InfoNCE of a random chunk of every utterance of the batch, weighted; its loss and accuracy."""
        import torch

        from trainables.losses.info_nce import draw_negatives

        if not self.cpc_weight:
            return 0.0, {}
        generator = torch.Generator().manual_seed(seeded(self.seed, "chunks", index))
        chunks, taken = random_chunks(frames, lengths, self.chunk_frames, generator)
        generator = torch.Generator().manual_seed(seeded(self.seed, "negatives", index))
        negatives = draw_negatives(taken, self.negatives, self.negatives_from, generator)
        found = model.cpc(chunks, taken, negatives)
        return self.cpc_weight * found.loss, {"info_nce": found.loss.detach(), "accuracy": found.accuracy}


def random_chunks(
    frames: torch.Tensor, lengths: torch.Tensor, longest: int, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """A stretch of at most ``longest`` frames of every utterance of a batch, anywhere in it.

    Args:
        frames: ``[B, T, M]``, zero beyond the lengths.
        lengths: Frames of each, int64 ``[B]``, on the CPU.
        longest: Frames of a stretch; an utterance that has fewer is taken whole.
        generator: On the CPU; draws where they begin.

    Returns:
        The stretches, zero beyond their lengths, ``[B, T', M]``, and their lengths ``[B]``, the longest T'.
    """
    import torch

    taken = lengths.clamp(max=longest)
    starts = (torch.rand(len(lengths), generator=generator, dtype=torch.float64) * (lengths - taken + 1)).long()
    offsets = torch.arange(int(taken.max()))
    places = torch.minimum(starts[:, None] + offsets, lengths[:, None] - 1)
    absent = offsets >= taken[:, None]
    chunks = frames.take_along_dim(places[..., None].to(frames.device), dim=1)
    return chunks.masked_fill(absent[..., None].to(frames.device), 0.0), taken
