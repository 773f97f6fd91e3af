"""The contrastive losses of ReCLR: SimCLR, CoCLR and the reference-enhanced loss (Zhang, Wu, Yu; section 2.2)."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F

_NORM_EPS = 1e-8  # torch.nn.functional.cosine_similarity's


class ContrastiveLoss(NamedTuple):
    """The loss of a batch, and what it is made of; 0-d tensors.

    Attributes:
        loss: Equation (6), mean over queries.
        positive_cosine: Mean s_p over a query's positives, mean over queries; no gradient.
        negative_cosine: Mean s_n over a query's negatives, 0 if it has none, mean over queries; no gradient.
    """

    loss: torch.Tensor
    positive_cosine: torch.Tensor
    negative_cosine: torch.Tensor


def contrastive_loss(
    query: torch.Tensor,
    key: torch.Tensor,
    reference: torch.Tensor | None,
    speaker: torch.Tensor,
    *,
    own: torch.Tensor,
    lambda_: float,
    top_k: int,
    temperature: float,
    same_speaker_positives: bool,
) -> ContrastiveLoss:
    """ReCLR's loss ``lambda_ * L_R + (1 - lambda_) * L_C``: equations (1), (2) and (6).

    ``lambda_ = 0`` gives CoCLR's loss, ``lambda_ = 0`` and ``top_k = 0`` SimCLR's.

    The positives of a query are its own key, the ``top_k`` other samples of highest reference cosine, and, by option, every
    sample of its speaker (section 3.3); all other samples are negatives. The numerator is the *mean* over the positives, the
    denominator a sum over positives and negatives.

    Equation (1) prints ``e^{s_p}`` without the temperature in its denominator. Decision: a misprint. The text has equations
    (1) and (2) differ in the negatives' weight alone, (2) prints the temperature there, as SimCLR and MoCo have it, and
    without it L_C would not be InfoNCE for a single positive.

    Degenerate batches have a finite loss and gradient: a ``top_k`` of G - 1 or more makes every sample a positive, as does a
    batch of one speaker, and the loss is then that of no negatives; a zero vector has cosine 0 with everything.

    With N workers each has its own B = G / N queries and all G keys: the mean of the workers' losses is the loss of the whole
    batch.

    Args:
        query: Query embeddings z_q ``[B, D]``.
        key: Key embeddings z_k of the whole batch ``[G, D]``, G >= B, without gradient.
        reference: Reference features v ``[G, R]``; None is allowed if ``top_k`` and ``lambda_`` are 0.
        speaker: Speaker codes, int64 ``[G]``.
        own: Column of each query's own key, int64 ``[B]``.
        lambda_: Weight of L_R, 0 to 1. At 0 and at 1 the other loss is not computed at all.
        top_k: K.
        temperature: tau.
        same_speaker_positives: Whether samples of the query's speaker are positives.

    Returns:
        Loss and mean cosines, computed in float32 (or float64, where the embeddings are) whatever autocast says.
    """
    with torch.autocast(query.device.type, enabled=False):
        score = _cosine(query, key)
        similarity = None if reference is None else _cosine(reference[own], reference)
        positive = _positives(similarity, speaker, own, top_k, same_speaker_positives)
        loss = _loss(score, similarity, positive, lambda_, temperature)
        with torch.no_grad():
            return ContrastiveLoss(loss, _masked_mean(score, positive), _masked_mean(score, ~positive))


def _cosine(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """Cosines of all rows of ``left`` with all rows of ``right``, at least in float32."""
    dtype = torch.promote_types(left.dtype, torch.float32)
    return F.normalize(left.to(dtype), eps=_NORM_EPS) @ F.normalize(right.to(dtype), eps=_NORM_EPS).T


def _positives(
    similarity: torch.Tensor | None, speaker: torch.Tensor, own: torch.Tensor, top_k: int, same_speaker: bool
) -> torch.Tensor:
    """BoolTensor ``[B, G]``: which samples are positives of which query."""
    own = own[:, None]
    positive = torch.zeros(len(own), len(speaker), dtype=torch.bool, device=speaker.device).scatter_(1, own, True)
    if top_k:
        # Its own cosine is the highest of all; a sample must not use up one of its K places.
        others = similarity.scatter(1, own, -math.inf)
        nearest = others.topk(min(top_k, len(speaker) - 1), dim=1).indices
        positive.scatter_(1, nearest, True)
    if same_speaker:
        positive |= speaker[own] == speaker
    return positive


def _loss(
    score: torch.Tensor, similarity: torch.Tensor | None, positive: torch.Tensor, lambda_: float, temperature: float
) -> torch.Tensor:
    """Equation (6) from the scores s ``[B, G]``, the reference cosines r ``[B, G]`` and the positives; mean over queries."""
    logits = score / temperature
    numerator = logits.masked_fill(~positive, -math.inf).logsumexp(dim=1) - positive.sum(dim=1, dtype=logits.dtype).log()
    denominator = torch.zeros_like(numerator)
    if lambda_ < 1:
        denominator = denominator + (1 - lambda_) * logits.logsumexp(dim=1)
    if lambda_ > 0:
        denominator = denominator + lambda_ * torch.where(positive, logits, -similarity * logits).logsumexp(dim=1)
    return (denominator - numerator).mean()


def _masked_mean(values: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Mean over a row's values where ``mask``, 0 if there are none; mean over rows."""
    # No indexing by the mask: on a GPU that would wait for the mask to be known.
    return ((values * mask).sum(dim=1) / mask.sum(dim=1).clamp_min(1)).mean()
