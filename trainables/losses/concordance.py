"""The concordance correlation coefficient, and the loss of three attributes that is made of it (Li et al., ICASSP 2021)."""

from __future__ import annotations

import torch

from trainables.attributes import ATTRIBUTES, require_weights


def ccc(truth: torch.Tensor, predicted: torch.Tensor) -> torch.Tensor:
    """Concordance correlation coefficient of every column, as the slide 'Attention-based Emotion Recognizer' defines it.

    ``CCC(X, Y) = rho 2 sigma_X sigma_Y / (sigma_X^2 + sigma_Y^2 + (mu_X - mu_Y)^2)`` (Lin 1989, Biometrics 45), with
    ``rho sigma_X sigma_Y`` written as the covariance, so that a column without variance divides by nothing. Decisions:

    - Moments are the population's (divided by N). The slide does not say; Lin does so, and N - 1 would differ little.
    - Where the definition is 0 / 0 the coefficient is 0: nothing agrees where nothing varies. So it is for one item, and where
      either side is constant, even if both are the same constant. Value and gradient are finite there.

    Args:
        truth: ``[N, A]``.
        predicted: ``[N, A]``, in the same unit.

    Returns:
        ``[A]``, from -1 to 1; symmetric in the two, 1 for equal columns that vary. In float32 (or float64, where a column is)
        whatever autocast says.

    Raises:
        ValueError: The shapes differ or there is no item.
    """
    if truth.shape != predicted.shape or truth.ndim != 2 or not len(truth):
        raise ValueError(f"truth {tuple(truth.shape)} and predictions {tuple(predicted.shape)}; give two [N, A] with N > 0")
    with torch.autocast(truth.device.type, enabled=False):
        dtype = torch.promote_types(torch.promote_types(truth.dtype, predicted.dtype), torch.float32)
        x, mean_x = _centred(truth.to(dtype))
        y, mean_y = _centred(predicted.to(dtype))
        spread = x.square().mean(dim=0) + y.square().mean(dim=0) + (mean_x - mean_y).square()
        known = spread > torch.finfo(dtype).tiny
        return torch.where(known, 2 * (x * y).mean(dim=0), 0) / torch.where(known, spread, 1)


def concordance_loss(truth: torch.Tensor, predicted: torch.Tensor, alpha: float, beta: float) -> torch.Tensor:
    """``1 - alpha CCC_activation - beta CCC_valence - (1 - alpha - beta) CCC_dominance``: 0 in full agreement, at most 2.

    The slide prints ``1 - alpha CCC_act - beta CCC_val - (1 - alpha - beta CCC_val)``: a parenthesis and the third attribute are
    lost. As printed it comes to ``alpha (1 - CCC_act)``, in which valence cancels out and dominance, which the tables report, is
    not learnt at all. Mended in the one way that has all three and weights that add up to 1.

    Args:
        truth: ``[N, 3]``, columns as :data:`trainables.attributes.ATTRIBUTES`.
        predicted: ``[N, 3]``, in the same unit.
        alpha: Weight of activation.
        beta: Weight of valence.

    Returns:
        0-d, differentiable; dtype as in :func:`ccc`.

    Raises:
        ValueError: A weight is negative or they exceed 1 together; the shapes differ or are others.
    """
    require_weights(alpha, beta)
    if predicted.shape[1:] != (len(ATTRIBUTES),):
        raise ValueError(f"predictions {tuple(predicted.shape)}; give [N, {len(ATTRIBUTES)}], columns {', '.join(ATTRIBUTES)}")
    agreement = ccc(truth, predicted)
    return 1 - (agreement * agreement.new_tensor([alpha, beta, 1 - alpha - beta])).sum()


def _centred(values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Deviations from the mean ``[N, A]``, and the mean ``[A]``; those of a constant column are exactly 0."""
    first = values[0].detach()
    shifted = values - first
    mean = shifted.mean(dim=0)
    return shifted - mean, first + mean
