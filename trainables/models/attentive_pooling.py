"""Self-attentive pooling with several heads, and the penalty that makes some of them spiky and the others smooth."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class AttentivePooling(nn.Module):
    """Weighted means of a sequence, one per head (Lin et al. 2017, 'A structured self-attentive sentence embedding', section 2).

    With H the ``[T, D]`` vectors of a row: ``A = softmax(W2 tanh(W1 H^T))`` over the steps, pooled ``A H``. Neither map has a
    bias, as there. Five heads, three of them spiky, are those of 'Climate and Weather', section 2.2.

    Args:
        input_size: Size D of the vectors.
        hidden_size: Rows of W1.
        heads: Rows of W2.
        spiky: How many heads, the first ones, :func:`attention_penalty` is to make spiky.
    """

    def __init__(self, input_size: int, hidden_size: int, heads: int = 5, spiky: int = 3) -> None:
        super().__init__()
        self.spiky = spiky
        self.inner = nn.Linear(input_size, hidden_size, bias=False)
        self.outer = nn.Linear(hidden_size, heads, bias=False)

    def forward(self, x: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
        """Pool the steps that are present.

        Args:
            x: The vectors, ``[B, T, D]``; what stands where a step is absent has no influence, whatever it is.
            present: BoolTensor ``[B, T]``.

        Returns:
            The pooled vectors ``[B, heads * D]``, one head after the other; the attention ``[B, heads, T]``, which sums to 1 over
            the steps of each head and is exactly 0 where a step is absent.

        Raises:
            ValueError: A row has no step at all.
        """
        if not present.any(dim=1).all():
            raise ValueError("expected at least one present step in each row, found a row without any")
        absent = ~present.unsqueeze(-1)
        x = x.masked_fill(absent, 0.0)
        scores = self.outer(torch.tanh(self.inner(x)))
        attention = scores.masked_fill(absent, -torch.inf).softmax(dim=1).transpose(1, 2)
        return (attention @ x).flatten(1), attention


def attention_penalty(attention: Tensor, present: Tensor, spiky: int = 3) -> Tensor:
    """Return the modified penalty, a scalar: the mean over the rows of ``||A A^T - Lambda||_F^2``.

    From Sun, Zhang and Woodland 2019, 'Speaker diarisation using 2D self-attentive combination of embeddings': Lin et al.'s penalty
    with a diagonal Lambda in the place of the identity. What lies off the diagonal keeps the heads apart. On it stands
    ``||a||^2`` of each head, from ``1 / T`` of uniform attention to 1 of attention to one step: Lambda's 1 makes a head spiky, a
    small value smooth.

    Decisions, 'Climate and Weather' being silent: the smooth heads' value is ``1 / T``, T the row's own present steps, so that
    uniform attention is what they are drawn to in short and long rows alike; it is a mean over the batch, so that its weight does
    not depend on the batch size.

    Args:
        attention: ``[B, heads, T]``, 0 where a step is absent.
        present: BoolTensor ``[B, T]``.
        spiky: How many heads, the first ones, are to be spiky.
    """
    smooth = present.sum(dim=1, keepdim=True).to(attention.dtype).reciprocal()
    first = torch.arange(attention.shape[1], device=attention.device) < spiky
    wanted = torch.where(first, torch.ones_like(smooth), smooth)
    products = attention @ attention.transpose(1, 2)
    return (products - wanted.diag_embed()).square().sum(dim=(1, 2)).mean()


def steps_present(lengths: Tensor, steps: int) -> Tensor:
    """Return which steps of a padded batch exist, BoolTensor ``[B, steps]`` on the device of ``lengths`` ``[B]``.

    Raises ValueError unless 1 <= length <= steps for every row.
    """
    if int(lengths.min()) < 1 or int(lengths.max()) > steps:
        raise ValueError(f"expected lengths from 1 to {steps}, found {lengths.tolist()}")
    return torch.arange(steps, device=lengths.device) < lengths.unsqueeze(1)
