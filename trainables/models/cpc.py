"""Contrastive predictive coding of speech (van den Oord et al. 2018; Li et al., ICASSP 2021): encoder, context, predictors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch
import torch.distributed as dist
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.distributed.nn.functional import all_reduce
from torch.nn import functional as F

from trainables.errors import UserError
from trainables.losses.info_nce import InfoNce, info_nce

if TYPE_CHECKING:
    from trainables.filterbank_features import FilterbankFeatures

_WEIGHTS, _DESCRIPTION = "cpc.safetensors", "cpc.json"


class FrameSettings(NamedTuple):
    """What a frame is, so that a network is not given frames of another kind.

    Attributes:
        sample_rate: Hz.
        window: Samples of a frame.
        hop: Samples from frame to frame.
        mels: Log-mel coefficients.
        deltas: Whether their first derivatives follow them.
    """

    sample_rate: int
    window: int
    hop: int
    mels: int
    deltas: bool

    @classmethod
    def of(cls, stage: FilterbankFeatures) -> FrameSettings:
        """Those of the frames that a stage makes."""
        return cls(stage.sample_rate, stage.window, stage.hop, stage.mels, stage.deltas)

    @property
    def dimensions(self) -> int:
        """M, values of a frame."""
        return self.mels * (2 if self.deltas else 1)


class CpcNetwork(nn.Module):
    """Frame encoder f, autoregressive model g and prediction functions h_k of the slides.

    Decisions, where the slides are silent:

    - Frames are log-mel frames (the issue), standardised by the mean and deviation of what the network was pretrained on; these
      are part of the weights, so that every corpus is heard through the same network.
    - f is applied to each frame by itself ('z_i = f(x_i)'): ``encoder_layers`` times a linear layer, layer norm and ReLU, then a
      linear layer. Layer norm and not batch norm, because an embedding must not depend on the other frames of its batch.
    - z and c have 256 values each (Rivière et al. 2020); van den Oord et al. (2018) have 512 and 256.
    - g is a GRU of one layer (van den Oord et al., section 3.1). One slide prints c_i = g(z_<i), the next c_i = g(z_<=i) and
      predicts z_(i+1) from it: the latter is taken, as in van den Oord et al. (equation 3 and Figure 1).
    - h_k is linear without an offset: W_k of van den Oord et al., equation 3, for each of 12 steps (section 3.1).

    Args:
        frames: What it takes.
        size: D = H, values of an embedding and of a context.
        encoder_layers: Non-linear layers of f, at least 1.
        prediction_steps: K.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, frames: FrameSettings, size: int = 256, encoder_layers: int = 3, prediction_steps: int = 12) -> None:
        super().__init__()
        self.frames, self.size, self.encoder_layers, self.prediction_steps = frames, size, encoder_layers, prediction_steps
        layers: list[nn.Module] = []
        for number in range(encoder_layers):
            layers += [nn.Linear(size if number else frames.dimensions, size), nn.LayerNorm(size), nn.ReLU()]
        self.encoder = nn.Sequential(*layers, nn.Linear(size, size))
        self.recurrence = nn.GRU(size, size, batch_first=True)
        self.predictors = nn.Linear(size, prediction_steps * size, bias=False)
        self.register_buffer("mean", torch.zeros(frames.dimensions))
        self.register_buffer("scale", torch.ones(frames.dimensions))

    def set_statistics(self, mean: Tensor, scale: Tensor) -> None:
        """Set mean and deviation ``[M]`` by which frames are standardised. A deviation of 0, as of silence, counts as 1."""
        self.mean.copy_(mean)
        self.scale.copy_(scale.where(scale > 0, torch.ones_like(scale)))

    def encode(self, frames: Tensor) -> Tensor:
        """The embedding z of each frame by itself, ``[B, T, D]``, of frames ``[B, T, M]`` as they lie on disk."""
        return self.encoder((frames - self.mean) / self.scale)

    def contexts(self, embeddings: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The context c of each frame: what the GRU has heard up to and with it, and nothing of what follows.

        Args:
            embeddings: ``[B, T, D]``. What lies beyond a chunk's end touches no context before it.
            state: Where it had come to before, ``[1, B, H]``; None at the beginning. So a recording may be read in pieces.

        Returns:
            ``[B, T, H]``, and the state after the last frame ``[1, B, H]``.
        """
        return self.recurrence(embeddings, state)

    def predict(self, contexts: Tensor) -> Tensor:
        """What h_1 to h_K expect of the frames 1 to K ahead, ``[B, T, K, D]``, of contexts ``[B, T, H]``."""
        return self.predictors(contexts).unflatten(-1, (self.prediction_steps, self.size))

    def forward(self, chunks: Tensor, lengths: Tensor, negatives: Tensor, first: int = 0) -> InfoNce:
        """InfoNCE of a batch that several workers may share.

        Each worker returns its own part: losses, accuracies and gradients are those of the whole batch *summed* over the workers.
        The embeddings are brought together with their gradient, because a worker's frames are other workers' negatives.

        Args:
            chunks: This worker's, float32 ``[b, T, M]``, padded to the longest of *all* workers' chunks.
            lengths: Frames of each chunk of all workers, int64 ``[B]``.
            negatives: Of :func:`~trainables.losses.info_nce.draw_negatives` for these lengths; on every worker the same.
            first: Place in the batch of this worker's first chunk.
        """
        embeddings = self.encode(chunks)
        predicted = self.predict(self.contexts(embeddings)[0])
        return info_nce(predicted, _all_workers(embeddings, first, len(lengths)), lengths, negatives, first)

    def save(self, directory: Path) -> None:
        """Write ``cpc.safetensors`` (weights and statistics) and ``cpc.json`` (what frames it takes, and its sizes)."""
        save_file({name: value.detach().cpu().contiguous() for name, value in self.state_dict().items()}, directory / _WEIGHTS)
        sizes = {name: getattr(self, name) for name in ("size", "encoder_layers", "prediction_steps")}
        (directory / _DESCRIPTION).write_text(json.dumps({"frames": self.frames._asdict(), **sizes}))

    @staticmethod
    def load(directory: Path) -> CpcNetwork:
        """What :meth:`save` wrote, on the CPU, in evaluation mode.

        Raises:
            UserError: A file is missing or damaged, or the weights do not fit the description.
        """
        file, mend = directory / _DESCRIPTION, "remove this result and run its stage again"
        try:
            description = json.loads(file.read_text(encoding="utf-8"))
            network = CpcNetwork(FrameSettings(**description.pop("frames")), **description)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
            raise UserError(f"{file}: expected the sizes of a CPC network, found none ({error!r}); {mend}") from error
        file = directory / _WEIGHTS
        try:
            network.load_state_dict(load_file(file))
        except (OSError, SafetensorError, RuntimeError) as error:
            raise UserError(f"{file}: expected the weights that {_DESCRIPTION} tells of, found others ({error}); {mend}") from error
        return network.eval()


def _all_workers(local: Tensor, first: int, size: int) -> Tensor:
    """All workers' chunks ``[size, T, D]`` from this worker's ``[b, T, D]``, with the gradient that every worker has for them."""
    if not dist.is_initialized():
        return local
    # A sum in which all but one addend of each row are 0: exact. Float32, as the loss is.
    return all_reduce(F.pad(local.float(), (0, 0, 0, 0, first, size - first - len(local))))
