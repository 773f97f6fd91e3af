"""The attention-based emotion recogniser: three attributes from the frames of an utterance (Li et al., ICASSP 2021, slides)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainables.models.attentive_pooling import steps_present

if TYPE_CHECKING:
    from trainables.models.cpc import CpcNetwork

ATTRIBUTE_COUNT = 3
_LEAST_VARIANCE = 1e-8  # below it a deviation is constant, so that its gradient is 0 where the root's would be infinite


class AttributeRecogniser(nn.Module):
    """Multi-head self-attention over frames, their mean and deviation, and three linear outputs.

    From the slides ('Attention-based Emotion Recognizer'), C being the frames of an utterance:
    ``H^j = softmax(W_Q^j C (W_K^j C)^T / sqrt(d_K))``, ``U = Concat(H^1 ... H^n) W_O``, ``u = [mean(U); std(U)]``.
    Decisions where they are silent or cannot be taken literally:

    - H^j as it is printed is the attention itself, ``[T, T]``. No fixed W_O could follow it, T being another for each utterance. It
      is taken for the usual one (Vaswani et al. 2017, section 3.2.2), ``H^j = softmax(...) W_V^j C``, ``[T, d_K]``, with
      ``d_K = size / heads``, U of ``size`` values a frame, and, as there and on the slide, no map with a bias.
    - No residual path, normalisation, feed-forward layer or dropout: the slide has none.
    - Positions are not encoded. Attention and pooling by themselves give the same for the frames in any order; the CPC contexts
      for which they are meant carry the order in themselves, filterbank frames do not.
    - The deviation is that of the population (divided by the number of frames); of a single frame it is 0, which is computed as
      1e-4, with gradient 0.
    - One linear layer makes the attributes, in deviations from the training utterances' mean, from where they are brought into
      the corpus' own scale. That lets every corpus begin alike, and does not change the CCC, which is the same in both.

    Frames are standardised by ``frames_mean`` and ``frames_scale``; like the attributes' these are buffers, 0 and 1 until they are
    set. Pooling and what follows are float32 under autocast too. No ``T * T`` matrix is ever held, but blocks of it.

    Args:
        dimensions: D, values of a frame.
        size: Values of all heads together.
        heads: How many; a divisor of ``size``.
    """

    def __init__(self, dimensions: int, size: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.projections = nn.Linear(dimensions, 3 * size, bias=False)
        self.output = nn.Linear(size, size, bias=False)
        self.attributes = nn.Linear(2 * size, ATTRIBUTE_COUNT)
        for name, count in (("frames", dimensions), ("attributes", ATTRIBUTE_COUNT)):
            self.register_buffer(f"{name}_mean", torch.zeros(count))
            self.register_buffer(f"{name}_scale", torch.ones(count))

    def set_statistics(self, name: str, mean: Tensor, scale: Tensor) -> None:
        """Set mean and deviation of 'frames' ``[D]`` or 'attributes' ``[3]``."""
        self.get_buffer(f"{name}_mean").copy_(mean)
        self.get_buffer(f"{name}_scale").copy_(scale)

    def forward(self, frames: Tensor, lengths: Tensor) -> Tensor:
        """The attributes of utterances in the corpus' own scale, float32 ``[B, 3]``.

        Args:
            frames: ``[B, T, D]``; what stands beyond a row's length has no influence, whatever it is.
            lengths: Frames of each row, int64 ``[B]``.

        Raises:
            ValueError: A length below 1 or above T.
        """
        present = steps_present(lengths, frames.shape[1])
        frames = ((frames - self.frames_mean) / self.frames_scale).masked_fill(~present.unsqueeze(-1), 0.0)
        embedding = mean_and_deviation(self._attended(frames, present), present)
        with torch.autocast(frames.device.type, enabled=False):  # its bfloat16 would leave the attributes two digits
            return self.attributes(embedding) * self.attributes_scale + self.attributes_mean

    def _attended(self, frames: Tensor, present: Tensor) -> Tensor:
        """U of the slides, ``[B, T, size]``."""
        heads = self.projections(frames).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(*heads, attn_mask=present[:, None, None, :])
        return self.output(attended.transpose(1, 2).flatten(2))


def mean_and_deviation(vectors: Tensor, present: Tensor) -> Tensor:
    """Mean over the frames that are present, then deviation, float32 ``[B, 2 * D]``; the gradient is finite for any input.

    Args:
        vectors: ``[B, T, D]``.
        present: BoolTensor ``[B, T]``, at least one in each row.
    """
    vectors, share = vectors.float(), (present / present.sum(dim=1, keepdim=True)).unsqueeze(-1)
    mean = (vectors * share).sum(dim=1)
    variance = ((vectors - mean.unsqueeze(1)).square() * share).sum(dim=1)
    return torch.cat([mean, variance.clamp(min=_LEAST_VARIANCE).sqrt()], dim=1)


class ContextRecogniser(nn.Module):
    """A CPC network and the recogniser over its contexts as one network, every weight of which can train.

    Args:
        cpc: Makes contexts of filterbank frames.
        recogniser: Over contexts.
    """

    def __init__(self, cpc: CpcNetwork, recogniser: AttributeRecogniser) -> None:
        super().__init__()
        self.cpc, self.recogniser = cpc, recogniser

    def contexts(self, frames: Tensor) -> Tensor:
        """The context of every frame, ``[B, T, H]``, of filterbank frames ``[B, T, M]``."""
        return self.cpc.contexts(self.cpc.encode(frames))[0]

    def forward(self, frames: Tensor, lengths: Tensor) -> Tensor:
        """As :meth:`AttributeRecogniser.forward`, of filterbank frames ``[B, T, M]``; padding follows, and changes no context."""
        return self.recogniser(self.contexts(frames), lengths)
