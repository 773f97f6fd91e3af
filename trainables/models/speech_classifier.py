"""The classifier over pooled speech features: two fully connected layers, and what they stand on in each way to train them.

Supervised contrastive learning across corpora, section 3.1: 'two fully connected layers, with the ReLU activation function in the
middle'; section 4.2: 'the output dimension of the two fully connected layers in the classifier is 256 and the number of affective
categories'.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import Tensor, nn

from trainables.models.emotion_encoder import EmotionEncoder
from trainables.models.self_attention_pooling import SelfAttentionPooling

if TYPE_CHECKING:
    from trainables.speech_inputs import SpeechChunk

_HIDDEN = 256


def classification_layers(size: int, classes: int) -> nn.Sequential:
    """The two layers: pooled features ``[N, size]`` to the logits ``[N, classes]``."""
    return nn.Sequential(nn.Linear(size, _HIDDEN), nn.ReLU(), nn.Linear(_HIDDEN, classes))


class PooledHead(nn.Module):
    """Pooling and classifier over the last hidden layer of an encoder that is fixed (second stage).

    Args:
        pooling: Trained before.
        size: d, values of a frame.
        classes: How many.
    """

    def __init__(self, pooling: SelfAttentionPooling, size: int, classes: int) -> None:
        super().__init__()
        self.pooling, self.layers = pooling, classification_layers(size, classes)

    def forward(self, hidden: Tensor, lengths: Tensor) -> Tensor:
        """Logits ``[N, classes]`` of hidden layers ``[N, T, d]``; what lies beyond the lengths ``[N]`` has no influence."""
        return self.layers(self.pooling(hidden, lengths))


class SpeechClassifier(nn.Module):
    """Encoder, pooling and classifier as one network (direct fine-tuning).

    Args:
        encoder: With its pooling.
        classes: How many.
    """

    def __init__(self, encoder: EmotionEncoder, classes: int) -> None:
        super().__init__()
        self.encoder, self.layers = encoder, classification_layers(encoder.encoder.hidden_size, classes)

    def forward(self, chunks: Sequence[SpeechChunk]) -> Tensor:
        """Logits ``[N, classes]`` of the utterances of a batch, in its order."""
        return self.layers(self.encoder(chunks))
