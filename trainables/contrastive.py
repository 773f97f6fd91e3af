"""Contrastive learning with a query encoder and a momentum key encoder, over the batches of all workers."""

from __future__ import annotations

import copy
from typing import NamedTuple

import torch
import torch.distributed as dist
from torch import nn

from trainables.losses.reclr import ContrastiveLoss, contrastive_loss


class ContrastiveBatch(NamedTuple):
    """One worker's part of a batch, B segments; all workers' parts have the same size.

    Attributes:
        log_mel: Features ``[B, T, M]`` in dB.
        keep_query: False where the query view is masked, bool ``[B, T, M]``.
        keep_key: The same for the key view.
        reference: Reference features ``[B, R]``, or None.
        speaker: Speaker codes, int64 ``[B]``.
    """

    log_mel: torch.Tensor
    keep_query: torch.Tensor
    keep_key: torch.Tensor
    reference: torch.Tensor | None
    speaker: torch.Tensor


class MomentumContrast(nn.Module):
    """Two encoders of one architecture; the key encoder follows the query encoder (ReCLR, section 2.2.1: 'the MoCo-trick').

    The keys are those of the present batch: the paper's negatives are the batch's other samples, so there is no queue. The key
    encoder's weights are a running mean of the query encoder's; its batch norm normalises by its own batch and its running
    statistics follow its own forward passes, as in MoCo. MoCo's shuffling of batches between GPUs is not needed: batch norm
    sees the whole batch on every worker, so its statistics do not tell which worker's samples a key belongs to.

    Args:
        encoder: The query encoder; the key encoder starts as its copy.
        momentum: m of ``key = m * key + (1 - m) * query``.
        lambda_: Weight of L_R in equation (6).
        top_k: Positives by reference cosine.
        temperature: tau.
        same_speaker_positives: Whether samples of one speaker are positives of each other.
    """

    def __init__(
        self,
        encoder: nn.Module,
        *,
        momentum: float,
        lambda_: float,
        top_k: int,
        temperature: float,
        same_speaker_positives: bool,
    ) -> None:
        super().__init__()
        self.query = encoder
        self.key = copy.deepcopy(encoder).requires_grad_(False)
        self.momentum = momentum
        self.lambda_, self.top_k, self.temperature = lambda_, top_k, temperature
        self.same_speaker_positives = same_speaker_positives

    def forward(self, batch: ContrastiveBatch) -> ContrastiveLoss:
        """Loss of this worker's queries against the keys of all workers; its mean over workers is the whole batch's loss."""
        query = self.query(batch.log_mel, batch.keep_query)
        with torch.no_grad():
            key = self.key(batch.log_mel, batch.keep_key).float()
        rank = dist.get_rank() if dist.is_initialized() else 0
        return contrastive_loss(
            query,
            _gather(key),
            None if batch.reference is None else _gather(batch.reference),
            _gather(batch.speaker),
            own=torch.arange(len(query), device=query.device) + rank * len(query),
            lambda_=self.lambda_,
            top_k=self.top_k,
            temperature=self.temperature,
            same_speaker_positives=self.same_speaker_positives,
        )

    @torch.no_grad()
    def update_key(self) -> None:
        """Move the key encoder's weights towards the query encoder's; to be called after each optimizer step."""
        torch._foreach_lerp_(list(self.key.parameters()), list(self.query.parameters()), 1 - self.momentum)


def mean_over_workers(values: torch.Tensor) -> torch.Tensor:
    """Mean of a tensor over all workers, elementwise; on every worker."""
    if dist.is_initialized():
        dist.all_reduce(values)
        values /= dist.get_world_size()
    return values


def _gather(local: torch.Tensor) -> torch.Tensor:
    """The rows of all workers, in the order of their ranks; without gradient."""
    if not dist.is_initialized():
        return local
    gathered = [torch.empty_like(local) for _ in range(dist.get_world_size())]
    dist.all_gather(gathered, local.contiguous())
    return torch.cat(gathered)
