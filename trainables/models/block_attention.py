"""CBAM, the convolutional block attention module of Woo et al. (ECCV 2018): which channels of an image count, then which places."""

from __future__ import annotations

import torch
from torch import Tensor, nn

_LEAST_HIDDEN = 4


class ChannelAttention(nn.Module):
    """``M_c(F) = sigmoid(MLP(AvgPool(F)) + MLP(MaxPool(F)))``: Woo et al., equation 2; our paper's Figure 4.

    Both are pooled over all places, and share the MLP: C values to ``C / reduction``, ReLU, C values.

    Decisions:

    - Its layers have offsets, which equation 2 does not write: the published sizes of ResNet-50 and 101 with CBAM, 28.09 and 49.33
      million, are reached with them alone, and the authors' code (Jongchan/attention-module) has them.
    - At least 4 hidden values, which is what the narrowest stage of ResNet-18 has at Woo et al.'s sizes (64 / 16). In narrower
      networks it would be one, and where its ReLU is shut for all images there is no channel attention that could learn.

    Args:
        channels: C.
        reduction: r, 16 in Woo et al.
    """

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        hidden = max(_LEAST_HIDDEN, channels // reduction)
        self.mlp = nn.Sequential(nn.Linear(channels, hidden), nn.ReLU(), nn.Linear(hidden, channels))

    def forward(self, x: Tensor) -> Tensor:
        """The weight of each channel, ``[B, C, 1, 1]`` within (0, 1), of an image ``[B, C, H, W]``."""
        summed = self.mlp(x.mean(dim=(2, 3))) + self.mlp(x.amax(dim=(2, 3)))
        return torch.sigmoid(summed)[:, :, None, None]


class SpatialAttention(nn.Module):
    """``M_s(F) = sigmoid(f([AvgPool(F); MaxPool(F)]))``, both pooled over channels: Woo et al., equation 3; our paper's Figure 5.

    Decision: f is a convolution and nothing else, as equation 3 has it, with a border of zeros so that the size stays. The authors'
    code puts a batch norm behind it, which would make the weights of a place depend on the other images of the batch.

    Args:
        kernel: Odd side of the convolution's kernel, 7 in Woo et al.
    """

    def __init__(self, kernel: int = 7) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(2, 1, kernel, padding=kernel // 2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """The weight of each place, ``[B, 1, H, W]`` within (0, 1), of an image ``[B, C, H, W]``."""
        return torch.sigmoid(self.convolution(torch.cat([x.mean(dim=1, keepdim=True), x.amax(dim=1, keepdim=True)], dim=1)))


class BlockAttention(nn.Module):
    """CBAM: ``F' = M_c(F) * F``, then ``F'' = M_s(F') * F'`` (Woo et al., equation 1).

    Our paper (cbam_resnet, section 3.3) swaps the words: its sentence on 'the channel attention map (Fig. 4)' pools 'in the channel
    dimension to generate the input features required by the spatial attention module', and that on 'the spatial attention maps
    (Fig. 5)' compresses space and uses 'a shared network', which is what channel attention does. It cites Woo et al. for the
    module, and section 3.4 orders it as they do ('the channel attention module and the spatial attention module in turn'): so Woo
    et al.'s module is taken.

    Args:
        channels: C.
        reduction: r of the channel attention.
    """

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        self.channel, self.spatial = ChannelAttention(channels, reduction), SpatialAttention()

    def forward(self, x: Tensor) -> Tensor:
        """The image ``[B, C, H, W]``, weighted by channel and then by place; its size stays."""
        x = self.channel(x) * x
        return self.spatial(x) * x
