"""Cnn10, the convolutional audio encoder of PANNs, and the head that classifies its embeddings."""

from __future__ import annotations

import itertools

import torch
import torch.nn.functional as F
from torch import nn


class ConvBlock(nn.Module):
    """Two 3x3 convolutions, each with batch norm and ReLU, then 2x2 average pooling (Kong et al. 2020, section III-A, Table
    I).

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of both convolutions.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, kernel_size=3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``[B, in_channels, T, M]`` to ``[B, out_channels, T // 2, M // 2]``."""
        x = F.relu_(self.bn1(self.conv1(x)))
        x = F.relu_(self.bn2(self.conv2(x)))
        return F.avg_pool2d(x, kernel_size=2)


class Cnn10(nn.Module):
    """Cnn10 of PANNs (Kong et al. 2020, 'PANNs: Large-scale pretrained audio neural networks', section III-A and Table I).

    Batch norm over mel bins; four conv blocks, each followed by dropout; mean over mel; max + mean over time; dropout;
    ``fc1``.

    The embedding is the output of ``fc1`` *before* the ReLU that PANNs applies to it. Decision: the cosines of ReCLR's
    equations (4) and (5) are taken to lie in [-1, 1], and those of rectified vectors would lie in [0, 1]. The ReLU, and the
    dropout that follows it in PANNs, are the first two layers of :class:`ClassificationHead`, so that encoder and head
    together are PANNs' network.

    The weights are kept in channels_last, which is the faster layout for convolutions on CPU and GPU alike.

    Args:
        n_mels: Mel bins of the input, at least 16: four poolings halve them.
        width: Channels of the first block; the others have 2, 4 and 8 times as many. PANNs: 64.
        dropout: Rate after each block. PANNs: 0.2.
        head_dropout: Rate before ``fc1``. PANNs: 0.5.
    """

    def __init__(self, n_mels: int = 64, width: int = 64, dropout: float = 0.2, head_dropout: float = 0.5) -> None:
        super().__init__()
        if n_mels < 16:
            raise ValueError(f"Cnn10 halves the mel axis four times: n_mels must be at least 16, is {n_mels}")
        self.n_mels, self.width = n_mels, width
        self.dropout, self.head_dropout = dropout, head_dropout
        self.embedding_dim = 8 * width
        self.bn0 = nn.BatchNorm1d(n_mels)
        channels = (1, width, 2 * width, 4 * width, 8 * width)
        self.blocks = nn.ModuleList(ConvBlock(before, after) for before, after in itertools.pairwise(channels))
        self.fc1 = nn.Linear(self.embedding_dim, self.embedding_dim)
        self.apply(_initialise)
        self.to(memory_format=torch.channels_last)

    def forward(self, log_mel: torch.Tensor, keep: torch.Tensor | None = None) -> torch.Tensor:
        """Embed segments.

        Args:
            log_mel: Log-mel spectrograms in dB, float32 ``[B, T, M]`` with ``T >= 16``.
            keep: False where a bin is masked, BoolTensor ``[B, T, M]``; None masks nothing. Masked bins are set to 0 after
                the batch norm over mel bins, where PANNs applies SpecAugment: there 0 is the bin's mean, whereas 0 dB would
                be a loud sound.

        Returns:
            Embeddings ``[B, 8 * width]``, unbounded in sign.
        """
        x = self.bn0(log_mel.flatten(0, 1)).view_as(log_mel)
        if keep is not None:
            x = x * keep
        x = x.unsqueeze(1)
        for block in self.blocks:
            x = F.dropout(block(x), self.dropout, self.training)
        x = x.mean(dim=3)
        x = x.amax(dim=2) + x.mean(dim=2)
        return self.fc1(F.dropout(x, self.head_dropout, self.training))


class ClassificationHead(nn.Sequential):
    """What PANNs puts after ``fc1``: ReLU, dropout, and a fully connected layer that gives one logit per class.

    Args:
        embedding_dim: Size of the embeddings.
        classes: Number of logits.
        dropout: Rate. PANNs: 0.5.
    """

    def __init__(self, embedding_dim: int, classes: int, dropout: float = 0.5) -> None:
        super().__init__(nn.ReLU(), nn.Dropout(dropout), nn.Linear(embedding_dim, classes))
        self.apply(_initialise)


def _initialise(module: nn.Module) -> None:
    """PANNs' initialisation: Xavier uniform weights, zero biases; batch norm stays the identity that PyTorch makes it."""
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
