"""What supervised contrastive fine-tuning differentiates: an emotion encoder and its loss, over all workers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch
import torch.distributed as dist
from torch import nn
from torch.nn import functional as F

from trainables.losses.supcon import supcon_loss

if TYPE_CHECKING:
    from trainables.models.emotion_encoder import EmotionEncoder
    from trainables.speech_inputs import SpeechChunk


class Contrast(NamedTuple):
    """What a batch gives, each a 0-d float32 tensor, the same on every worker.

    Attributes:
        loss: Equation (5).
        contrast: Equation (3).
        margin: Equation (4).
        positive_cosine: Mean cosine of two positives, over all pairs.
        negative_cosine: Mean cosine of a positive and a negative, over all pairs.
    """

    loss: torch.Tensor
    contrast: torch.Tensor
    margin: torch.Tensor
    positive_cosine: torch.Tensor
    negative_cosine: torch.Tensor


class ContrastiveLearner(nn.Module):
    """An emotion encoder and the supervised contrastive loss of a batch that several workers may share.

    Args:
        encoder: Whose pooled features are contrasted.
        temperature: tau of equation (2).
        alpha: Of equation (4).
        margin: m of equation (4).
    """

    def __init__(self, encoder: EmotionEncoder, *, temperature: float, alpha: float, margin: float) -> None:
        super().__init__()
        self.encoder = encoder
        self.temperature, self.alpha, self.margin = temperature, alpha, margin

    def forward(self, chunks: Sequence[SpeechChunk], own: torch.Tensor, size: int) -> Contrast:
        """The whole batch's loss, with the gradient of this worker's utterances.

        Every worker gets the same loss. Its gradient reaches the parameters through the worker's own utterances alone, so that of
        the whole batch is the *sum* over the workers.

        Args:
            chunks: This worker's utterances.
            own: Their places in the batch, int64 ``[n]``.
            size: Utterances of the batch; the first half are positives.
        """
        positives, negatives = all_workers(self.encoder(chunks), own, size).chunk(2)
        found = supcon_loss(positives, negatives, temperature=self.temperature, alpha=self.alpha, margin=self.margin)
        return Contrast(*found, *mean_cosines(positives.detach(), negatives.detach()))


def all_workers(local: torch.Tensor, own: torch.Tensor, size: int) -> torch.Tensor:
    """The rows of all workers in the order of the batch, ``[size, d]``; those of the others without gradient.

    Args:
        local: This worker's rows, ``[n, d]``.
        own: Their places in the batch, int64 ``[n]``. Every place belongs to exactly one worker.
        size: Rows of the batch.
    """
    rows = local.new_zeros(size, local.shape[1])
    if dist.is_initialized():
        rows[own] = local.detach()
        dist.all_reduce(rows)  # a sum in which all but one addend of each row are 0: exact
    return rows.index_copy(0, own, local)


def mean_cosines(positives: torch.Tensor, negatives: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean cosine over the pairs of equation (3): of two different positives, and of a positive and a negative.

    The sum over all pairs of rows is the product of the rows' sums.

    Args:
        positives: ``[P, d]``, P at least 2.
        negatives: ``[M, d]``.
    """
    positives, negatives = F.normalize(positives, dim=1), F.normalize(negatives, dim=1)
    count, total = len(positives), positives.sum(dim=0)
    among = (total.square().sum() - positives.square().sum()) / (count * (count - 1))
    return among, (total * negatives.mean(dim=0)).sum() / count
