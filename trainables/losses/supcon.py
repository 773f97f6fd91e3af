"""The losses of supervised contrastive learning across corpora (Xiang, sections 2.2 and 2.3, equations 2 to 5)."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F

_NORM_EPS = 1e-8  # torch.nn.functional.cosine_similarity's


class SupConLoss(NamedTuple):
    """The loss of a batch and its two terms; 0-d tensors.

    Attributes:
        loss: Equation (5), L = L_c + L_m.
        contrast: Equation (3), L_c.
        margin: Equation (4), L_m.
    """

    loss: torch.Tensor
    contrast: torch.Tensor
    margin: torch.Tensor


def supcon_loss(positives: torch.Tensor, negatives: torch.Tensor, *, temperature: float, alpha: float, margin: float) -> SupConLoss:
    """Contrast loss and cosine margin loss of the N/2 utterances of one emotion and N/2 of others.

    Decisions, where the paper is wrong or silent:

    - Equation (2) prints the ratio l_ij itself. That falls when a positive pair comes apart, so minimising it would do the opposite
      of what the text says; the text calls it InfoNCE. Its negative logarithm is taken: ``l_ij = -log(...)``.
    - Equation (3) is then the mean over the ordered pairs of different positives: with P = N/2 of them there are P (P - 1), and
      ``4 / (N (N - 2)) = 1 / (P (P - 1))``.
    - Equation (4) does not say over which pairs. 'The positive sample equal quantity is split into two parts': the i-th of the
      first half of the positives is paired with the i-th of the second half, and the i-th positive with the i-th negative; each
      of the two terms is the mean over its pairs. So the order of the samples decides L_m; L_c does not depend on it.

    The logarithm is that of a sigmoid of a difference of logits, so that no exponential over- or underflows, whatever tau. A zero
    vector has cosine 0 with everything, and loss and gradient are finite.

    Args:
        positives: Pooled features x_p ``[P, d]`` of the whole batch, P even.
        negatives: Pooled features x_n ``[P, d]``.
        temperature: tau; 0.07 in the paper.
        alpha: Weight of the positive pairs in L_m; 0.5 in the paper.
        margin: m, the cosine above which a negative pair costs; 0.4 in the paper.

    Returns:
        The loss and its terms, computed in float32 (or float64, where the features are) whatever autocast says.

    Raises:
        ValueError: P is odd or 0, or there are not as many negatives as positives.
    """
    count = len(positives)
    if count == 0 or count % 2 or len(negatives) != count:
        raise ValueError(f"{count} positives and {len(negatives)} negatives; give equally many, and an even number of each")
    with torch.autocast(positives.device.type, enabled=False):
        positives, negatives = _unit(positives), _unit(negatives)
        contrast = _contrast(positives, negatives, temperature)
        first, second = positives.chunk(2)
        apart = (1 - _cosines(first, second)).mean()
        near = (_cosines(positives, negatives) - margin).clamp_min(0).mean()
        cosine_margin = alpha * apart + near
        return SupConLoss(contrast + cosine_margin, contrast, cosine_margin)


def _unit(features: torch.Tensor) -> torch.Tensor:
    """Rows of length 1 (0 where a row is zero), at least in float32."""
    return F.normalize(features.to(torch.promote_types(features.dtype, torch.float32)), eps=_NORM_EPS)


def _cosines(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """Cosines ``[n]`` of the rows of one ``[n, d]`` with those of the other, of unit length."""
    return (left * right).sum(dim=1)


def _contrast(positives: torch.Tensor, negatives: torch.Tensor, temperature: float) -> torch.Tensor:
    """Equation (3) of rows of unit length."""
    pairs = positives @ positives.T / temperature
    rest = (positives @ negatives.T / temperature).logsumexp(dim=1, keepdim=True)
    losses = -F.logsigmoid(pairs - rest)  # -log(e^s / (e^s + e^r)), r the logarithm of the sum over the negatives
    count = len(positives)
    return (losses.sum() - losses.diagonal().sum()) / (count * (count - 1))
