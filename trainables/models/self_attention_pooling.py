"""Self-attention pooling: one weighted mean over time with trained weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from trainables.models.attentive_pooling import steps_present


class SelfAttentionPooling(nn.Module):
    """``C = softmax(W_c H^T) H`` (Xiang, 'A Cross-Corpus Speech Emotion Recognition Method Based on Supervised Contrastive
    Learning', equation 1, after Safari et al. 2020, 'Self-attention encoding and pooling for speaker recognition').

    H are the ``[T, d]`` vectors of an utterance, W_c in R^d the only parameter, ``weight``: there is no bias, which the softmax
    would cancel.

    Decision, the paper being silent: W_c begins at zero, so that pooling begins as the mean over time, prefers no direction and
    depends on no seed. Its gradient there is not zero (the covariance of the vectors over time, times the gradient of C).

    All of it is computed in float32, under autocast too: what follows are cosines divided by a small temperature.

    Args:
        size: Size d of the vectors.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(size))

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """Pool each row's steps.

        Args:
            x: The vectors, ``[B, T, d]``; what stands beyond a row's length has no influence, whatever it is.
            lengths: Steps of each row, int64 ``[B]``.

        Returns:
            The pooled vectors, ``[B, d]``.

        Raises:
            ValueError: A length below 1 or above T.
        """
        absent = ~steps_present(lengths, x.shape[1]).unsqueeze(-1)
        x = x.to(self.weight.dtype).masked_fill(absent, 0.0)
        # Products and sums, not matmul: autocast would round those to bfloat16.
        scores = (x * self.weight).sum(dim=-1, keepdim=True)
        attention = scores.masked_fill(absent, -torch.inf).softmax(dim=1)
        return (attention * x).sum(dim=1)
