"""Residual networks with attention for MFCC (cbam_resnet, sections 3.1 to 3.5): ResNet-18 to 101 of He et al. 2016 with CBAM."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, get_args

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

from trainables.errors import UserError
from trainables.models.block_attention import BlockAttention

Depth = Literal[18, 34, 50, 101]
Attention = Literal["none", "stages", "blocks"]
Shortcut = Literal["zeros", "projection"]

_WEIGHTS, _DESCRIPTION = "attention_resnet.safetensors", "attention_resnet.json"
_BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}  # of each stage: He et al. 2016, Table 1
_EXPANSION = 4  # a bottleneck's channels out for each of its 3x3 convolution


class ZeroPaddedShortcut(nn.Module):
    """Identity to an image of fewer places and more channels: each ``stride``-th row and column, then channels of zeros.

    Option A of He et al. 2016 (section 3.3: 'extra zero entries padded for increasing dimensions', 'performed with a stride of 2').
    It has no parameters.
    """

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        self.added, self.stride = channels_out - channels_in, stride

    def forward(self, x: Tensor) -> Tensor:
        """``[B, channels_in, H, W]`` to ``[B, channels_out, ceil(H / stride), ceil(W / stride)]``."""
        return F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.added))


class ResidualBlock(nn.Module):
    """``ReLU(residual(x) + shortcut(x))``: G(x) + x of section 3.2."""

    def __init__(self, residual: nn.Module, shortcut: nn.Module) -> None:
        super().__init__()
        self.residual, self.shortcut = residual, shortcut

    def forward(self, x: Tensor) -> Tensor:
        """``[B, C_in, H, W]`` to ``[B, C_out, H', W']``, not negative."""
        return F.relu(self.residual(x) + self.shortcut(x))


class AttentionResnet(nn.Module):
    """ResNet of one-channel images ``[coefficients, frames]`` with CBAM after each block stage, or in each residual block.

    A 7x7 convolution of step 2 with batch norm and ReLU, a 3x3 maximum of step 2, four stages of basic blocks (18, 34) or
    bottlenecks (50, 101) with 1, 2, 4 and 8 times ``width`` channels (bottlenecks: 4 times as many out), the mean over all places,
    a linear layer. 126 frames of 20 coefficients are 63 x 10 places after the first convolution, 32 x 5, 16 x 3, 8 x 2 and 4 x 1
    after the stages. Images may be as small as one place.

    Where the paper (cbam_resnet) contradicts itself or is silent, decisions:

    - *Where attention is.* Section 3.5: 'the residual neural network has five convolution modules' and 'an attention mechanism is
      added after each convolution module'; section 3.4 and Figure 6: in every residual block, before the sum, as in Woo et al.
      Both can be had: ``"stages"`` (default) and ``"blocks"``. The five modules must be conv1 and conv2_x to conv5_x of He et al.'s
      Table 1. Conv1 has no attention all the same: a module 'consists of multiple convolution layers', which conv1 does not;
      section 3.1 and Figure 2 let the first convolution's output go straight 'to the stacked residual attention module'; and the
      project asks for attention after each block stage. It comes after the stage's last ReLU, with no shortcut around it.
    - *'Each of the remaining convolutional layers uses a 3x3 kernel with a step size of 2'.* Word for word, 17 layers would halve
      126 frames 17 times and no block could have the identity shortcut of the sentences that follow. As in He et al., the first
      3x3 convolution of conv3_x, conv4_x and conv5_x has step 2, and conv2_x the maximum before it; bottlenecks keep their 1x1
      convolutions, and of their three it is the 3x3 one that has the step, as torchvision has it.
    - *'The residual path is bypassed through three convolutional layers'.* So in bottlenecks; in the basic blocks of ResNet-18 and
      34 two (He et al., Figure 5), else these would not be ResNet-18 and 34.
    - *'Zero entries will be filled to increase the dimension with identity mapping'* where sizes differ: ``shortcut="zeros"``
      (default). ``"projection"`` is option B of He et al., a 1x1 convolution with batch norm, for which sizes are published.
    - *Flattening or average pooling.* Section 3.1: 'the output from the both architectures are flattened and fused in a
      fully-connected layer' (it has one architecture); section 3.5: 'after the average pooling layer and the flattening layer'.
      The mean over all places, ``[B, C, 1, 1]``, is flattened to ``[B, C]``: any number of frames will do.
    - *Softmax* is the loss's and the predictions' matter: logits come out. The '24 depression severity levels' of section 3.1 are
      nowhere else; ``classes`` is the task's.
    - *'Batch normalized and then activated in turn'*: batch norm behind every convolution, ReLU after it, the block's last ReLU
      after the sum (He et al. 2016). There is no dropout (section 3.5).
    - *'Initialized as described in [17]'*, which refers to He et al. 2015 ('Delving deep into rectifiers', equation 10): weights
      from N(0, 2 / fan in), offsets 0, batch norm the identity. CBAM, which [17] does not have, keeps PyTorch's draws: with He et
      al.'s, 15 % of an untrained ResNet-18's channels were shut (weight below 0.02) and 15 % open (above 0.98), with these none.
    - The paper does not say that coefficients are standardised, of which the first is many times the last: here each is, by mean
      and deviation of what the network is trained on. They are part of the weights.

    Args:
        depth: 18, 34, 50 or 101.
        classes: Logits.
        coefficients: MFCC of a frame.
        width: Channels of the first convolution, 64 in He et al.
        attention: "none", "stages" or "blocks".
        shortcut: "zeros" or "projection", where a block changes the image's size.
        reduction: r of CBAM.

    Raises:
        ValueError: ``depth``, ``attention`` or ``shortcut`` is none of these.
    """

    mean: Tensor
    scale: Tensor

    def __init__(
        self,
        depth: Depth,
        classes: int,
        coefficients: int,
        width: int = 64,
        attention: Attention = "stages",
        shortcut: Shortcut = "zeros",
        reduction: int = 16,
    ) -> None:
        super().__init__()
        for value, known in ((depth, get_args(Depth)), (attention, get_args(Attention)), (shortcut, get_args(Shortcut))):
            if value not in known:
                raise ValueError(f"expected one of {known}, found {value!r}")
        self.depth, self.classes, self.coefficients, self.width = depth, classes, coefficients, width
        self.attention, self.shortcut, self.reduction = attention, shortcut, reduction
        self.register_buffer("mean", torch.zeros(coefficients))
        self.register_buffer("scale", torch.ones(coefficients))
        self.first = nn.Sequential(*_normed(1, width, 7, 2), nn.ReLU())
        channels, stages = width, []
        for number, blocks in enumerate(_BLOCKS[depth]):
            stages.append(nn.Sequential(*self._stage(channels, width * 2**number, blocks, stride=2 if number else 1)))
            channels = width * 2**number * self.expansion
        self.stages = nn.Sequential(*stages)
        self.head = nn.Linear(channels, classes)
        self._initialise()

    @property
    def expansion(self) -> int:
        """Channels that a block gives for each channel of its 3x3 convolutions."""
        return _EXPANSION if self.depth >= 50 else 1

    def set_statistics(self, mean: Tensor, scale: Tensor) -> None:
        """Set mean and deviation ``[coefficients]`` by which frames are standardised. A deviation of 0 counts as 1."""
        self.mean.copy_(mean)
        self.scale.copy_(scale.where(scale > 0, torch.ones_like(scale)))

    def forward(self, x: Tensor) -> Tensor:
        """Logits ``[B, classes]`` of frames ``[B, frames, coefficients]`` as they lie on disk.

        Batch norm normalises by the batch in training: small images (a last stage of one place) need two of them at least.
        """
        image = ((x - self.mean) / self.scale).transpose(1, 2).unsqueeze(1)
        places = self.stages(F.max_pool2d(self.first(image), kernel_size=3, stride=2, padding=1))
        return self.head(places.mean(dim=(2, 3)))

    def freeze_body(self) -> None:
        """Let the last layer alone be trained ('freeze the previous attention residual layer and leave the last layer').

        Decision: what is frozen are the weights, batch norm's among them. In training, batch norm goes on normalising by the batch
        and gathers its running statistics: the body is as it was drawn, not pretrained, and the statistics it begins with (0 and
        1) are of no data at all. By them the signal would grow with depth, and the last layer would be trained on other inputs
        than those that it gets after thawing.
        """
        self.requires_grad_(False)
        self.head.requires_grad_(True)

    def unfreeze(self) -> None:
        """Let everything be trained."""
        self.requires_grad_(True)

    def save(self, directory: Path) -> None:
        """Write ``attention_resnet.safetensors``, weights and statistics, and ``attention_resnet.json``, what the network is."""
        # safetensors stores no memory layout: channels_last tensors must be laid out contiguously first.
        save_file({name: value.detach().cpu().contiguous() for name, value in self.state_dict().items()}, directory / _WEIGHTS)
        names = ("depth", "classes", "coefficients", "width", "attention", "shortcut", "reduction")
        (directory / _DESCRIPTION).write_text(json.dumps({name: getattr(self, name) for name in names}))

    @staticmethod
    def load(directory: Path) -> AttentionResnet:
        """What :meth:`save` wrote, on the CPU, in evaluation mode, nothing frozen.

        Raises:
            UserError: A file is missing or damaged, or the weights do not fit the description.
        """
        file, mend = directory / _DESCRIPTION, "remove this result and run its stage again"
        try:
            network = AttentionResnet(**json.loads(file.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError, RuntimeError, ArithmeticError) as error:
            raise UserError(
                f"{file}: expected the sizes of an attention-residual network, found none ({error!r}); {mend}"
            ) from error
        file = directory / _WEIGHTS
        try:
            network.load_state_dict(load_file(file))
        except (OSError, SafetensorError, RuntimeError) as error:
            raise UserError(f"{file}: expected the weights that {_DESCRIPTION} tells of, found others ({error}); {mend}") from error
        return network.eval()

    def _stage(self, channels: int, inner: int, blocks: int, stride: int) -> Iterator[nn.Module]:
        """The blocks of a stage, of which the first changes the size, and attention after them where it is by stages."""
        outer = inner * self.expansion
        for number in range(blocks):
            yield self._block(outer if number else channels, inner, 1 if number else stride)
        if self.attention == "stages":
            yield BlockAttention(outer, self.reduction)

    def _block(self, channels: int, inner: int, stride: int) -> ResidualBlock:
        outer = inner * self.expansion
        if self.depth >= 50:
            kernels = (channels, inner, 1, 1), (inner, inner, 3, stride), (inner, outer, 1, 1)
        else:
            kernels = (channels, inner, 3, stride), (inner, outer, 3, 1)
        layers = [layer for kernel in kernels for layer in (*_normed(*kernel), nn.ReLU())][:-1]
        if self.attention == "blocks":
            layers.append(BlockAttention(outer, self.reduction))
        return ResidualBlock(nn.Sequential(*layers), self._shortcut(channels, outer, stride))

    def _shortcut(self, channels: int, outer: int, stride: int) -> nn.Module:
        if channels == outer and stride == 1:
            return nn.Identity()
        if self.shortcut == "zeros":
            return ZeroPaddedShortcut(channels, outer, stride)
        return nn.Sequential(*_normed(channels, outer, 1, stride))

    def _initialise(self) -> None:
        attention = {layer for module in self.modules() if isinstance(module, BlockAttention) for layer in module.modules()}
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear) and module not in attention:
                nn.init.kaiming_normal_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)


def _normed(channels_in: int, channels_out: int, kernel: int, stride: int) -> tuple[nn.Conv2d, nn.BatchNorm2d]:
    """A convolution with a border of zeros, and its batch norm, in whose offset the convolution's would be lost."""
    convolution = nn.Conv2d(channels_in, channels_out, kernel, stride, padding=kernel // 2, bias=False)
    return convolution, nn.BatchNorm2d(channels_out)
