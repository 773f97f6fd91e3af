"""Masked prediction of units by HuBERT or WavLM (Hsu et al. 2021, "HuBERT", section II)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import nn
from torch.nn import functional as F

from trainables.masked_units import cepstra, nearest_unit

if TYPE_CHECKING:
    from transformers import HubertModel, WavLMModel

_CODE_SIZE = 256  # dimensions in which outputs and units are compared; HuBERT-base's
_TEMPERATURE = 0.1  # section II-E


class MaskedCrops(NamedTuple):
    """Crops of one length.

    Attributes:
        samples: What the encoder hears ``[B, n]``.
        units: The unit of each frame, int64 ``[B, T]``.
        masked: Which frames are masked, bool ``[B, T]``; at least one.
    """

    samples: torch.Tensor
    units: torch.Tensor
    masked: torch.Tensor


class MaskedPrediction(nn.Module):
    """An encoder, and the units that it is to tell of the frames it does not hear.

    Section II-E: the probability of unit c at frame t is the softmax over the units of ``cos(A o_t, e_c) / 0.1``, with the last
    layer's output o_t, a learnt projection A and a learnt vector e_c of each unit. Masked frames count with the weight alpha, those
    that are heard with 1 - alpha (section II-B).

    Decision: the units' vectors begin as normal random numbers, nearly at right angles to each other.

    Args:
        encoder: As transformers has it; all of it is trained. Its own random masks (SpecAugment) of features and its dropping of
            layers are turned off: the masks are those given.
        centres: Centres of the units ``[clusters, 39]``; a buffer, so that every checkpoint holds them.
        masked_weight: alpha, above 0.
    """

    def __init__(self, encoder: HubertModel | WavLMModel, centres: torch.Tensor, masked_weight: float) -> None:
        super().__init__()
        self.masked_weight = masked_weight
        encoder.config.update({"apply_spec_augment": True, "mask_feature_prob": 0.0, "layerdrop": 0.0})
        self.encoder = encoder.requires_grad_(True)
        self.projection = nn.Linear(encoder.config.hidden_size, _CODE_SIZE)
        self.codes = nn.Parameter(torch.randn(len(centres), _CODE_SIZE))
        self.register_buffer("centres", centres)

    def units(self, samples: torch.Tensor) -> torch.Tensor:
        """The unit of each frame of ``samples`` ``[n]`` as they were recorded, int64 ``[T]``."""
        return nearest_unit(cepstra(samples).to(self.centres.device), self.centres)

    def forward(self, batch: Sequence[MaskedCrops]) -> tuple[torch.Tensor, torch.Tensor]:
        """Cross entropy in nat, weighted by :meth:`weights`, and the number of masked frames told right: *sums* over all frames."""
        losses, right = zip(*(self._outcome(crops) for crops in batch), strict=True)
        return torch.stack(losses).sum(), torch.stack(right).sum()

    def weights(self, masked: torch.Tensor) -> torch.Tensor:
        """How much each frame counts: alpha where it is ``masked``, 1 - alpha elsewhere."""
        return torch.where(masked, self.masked_weight, 1 - self.masked_weight)

    def _outcome(self, crops: MaskedCrops) -> tuple[torch.Tensor, torch.Tensor]:
        hidden = self.encoder(crops.samples, mask_time_indices=crops.masked).last_hidden_state
        told = self.projection(hidden)
        with torch.autocast(told.device.type, enabled=False):
            logits = F.normalize(told.float(), dim=-1) @ F.normalize(self.codes, dim=1).T / _TEMPERATURE
            losses = F.cross_entropy(logits.transpose(1, 2), crops.units, reduction="none")
            right = (logits.argmax(dim=-1) == crops.units) & crops.masked
            return (self.weights(crops.masked) * losses).sum(), right.sum()
