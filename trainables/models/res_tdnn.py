"""Res-TDNN: a time-delay network with residual connections, which turns the frames of an utterance into frame-level vectors."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainables.models.attentive_pooling import steps_present


class ResTdnnLayer(nn.Module):
    """``ReLU(LayerNorm(W [x(t + o) for o in context] + b) + x(t))``.

    Args:
        input_size: Size of the frames.
        width: Size of the output. Where it is not ``input_size``, a linear map without bias stands before the sum.
        context: Offsets o of the frames that are spliced.
    """

    def __init__(self, input_size: int, width: int, context: Sequence[int]) -> None:
        super().__init__()
        self.context = tuple(context)
        self.affine = nn.Linear(len(self.context) * input_size, width)
        self.norm = nn.LayerNorm(width)
        self.shortcut = nn.Identity() if input_size == width else nn.Linear(input_size, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """``[B, T, input_size]`` to ``[B, T, width]``; frames before the first and after the last count as zeros."""
        spliced = torch.cat([_shifted(x, offset) for offset in self.context], dim=-1)
        return F.relu(self.norm(self.affine(spliced)) + self.shortcut(x))


class ResTdnn(nn.Module):
    """The encoder of the audio branch ('Climate and Weather', section 2.2): four layers of width 512.

    The contexts are the paper's, [-2,+2], {-1,+2}, {-3,+3}, {-7,+2}; its '[2,+2]' is read as a slip for the full window [-2,+2],
    while braces name single offsets. One output frame thus sees 13 frames before it and 9 after.

    The paper takes the layer from its reference [12] and says no more of it. Decisions:

    - The shortcut is the frame itself (offset 0, whether or not the context has it), added before the ReLU; where sizes differ (the
      first layer) a linear map brings it to the width (He et al. 2016, 'Deep residual learning', equations 1 and 2).
    - Layer norm of each frame: batch statistics would see the padding and make an utterance depend on its batch.
    - What lies over the ends of an utterance is zero in every layer, in and out of a batch: padding changes nothing.
    - No dropout between the layers.

    Frames stay in rows ``[B, T, size]``: each layer is one matrix product over the spliced frames. On a CPU that was no slower
    than dilated convolutions, which know evenly spaced offsets alone.

    Args:
        input_size: Size of the input frames.
        width: Size of all layers' outputs.
        contexts: Offsets of the frames that each layer splices.
    """

    def __init__(
        self,
        input_size: int,
        width: int = 512,
        contexts: Sequence[Sequence[int]] = ((-2, -1, 0, 1, 2), (-1, 2), (-3, 3), (-7, 2)),
    ) -> None:
        super().__init__()
        sizes = [input_size] + [width] * (len(contexts) - 1)
        self.layers = nn.ModuleList(ResTdnnLayer(size, width, context) for size, context in zip(sizes, contexts, strict=True))

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """Encode the frames of utterances.

        Args:
            x: Frames ``[B, T, input_size]``; what lies beyond an utterance's length has no influence, whatever it is.
            lengths: Frames of each utterance, ``[B]``.

        Returns:
            Vectors ``[B, T, width]``, not negative; 0 beyond ``lengths``.

        Raises:
            ValueError: A length is not from 1 to T.
        """
        beyond = ~steps_present(lengths, x.shape[1]).to(x.device).unsqueeze(-1)
        x = x.masked_fill(beyond, 0.0)
        for layer in self.layers:
            x = layer(x).masked_fill(beyond, 0.0)
        return x


def _shifted(x: Tensor, offset: int) -> Tensor:
    """``y(t) = x(t + offset)`` of ``x`` ``[B, T, D]``, 0 where there is no such frame."""
    offset = max(-x.shape[1], min(offset, x.shape[1]))
    return F.pad(x, (0, 0, -offset, offset))
