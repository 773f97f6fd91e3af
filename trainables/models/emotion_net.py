"""The emotion model of 'Climate and Weather': audio branch, text branch, fusion, classification and regression."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainables.models.attentive_pooling import AttentivePooling, attention_penalty, steps_present
from trainables.models.res_tdnn import ResTdnn

SENTENCES = 7
"""Utterances that the text branch reads: three before, the current one, three after (section 2.2)."""

_HEADS = 5
_ATTENTION_SIZE = 128


@dataclass(frozen=True)
class EmotionBatch:
    """Inputs of a batch of utterances; None for what belongs to a modality that the network does not have."""

    frames: Tensor | None = None
    """Filterbank frames with deltas, float32 ``[B, T, audio_size]``."""
    lengths: Tensor | None = None
    """Frames of each utterance, ``[B]``, from 1 to T."""
    sentences: Tensor | None = None
    """Embeddings of the utterances from three before to three after, float32 ``[B, 7, text_size]``."""
    present: Tensor | None = None
    """False where the dialogue has no such utterance, BoolTensor ``[B, 7]``."""

    def to(self, device: torch.device) -> EmotionBatch:
        """The same batch on ``device``."""
        return EmotionBatch(*(None if value is None else value.to(device) for value in vars(self).values()))


@dataclass(frozen=True)
class EmotionOutput:
    """What the network says of a batch."""

    logits: Tensor
    """``[B, classes]``."""
    attributes: Tensor | None
    """Regressed attributes ``[B, attributes]``, unbounded; None for a network without."""
    embedding: Tensor
    """The emotion feature, which is the input of the fusing layer: ``[B, embedding_size]``, the audio branch's 128 values before
    the text branch's 320."""
    penalty: Tensor
    """Modified attention penalty, a scalar: the sum of the branches', each a mean over the batch."""


class EmotionNet(nn.Module):
    """Audio branch, text branch or both; fusing layer; classification and regression (section 2.2, figure 1).

    The paper is silent on what follows. Decisions:

    - The layers that reduce to 128 and 64 values are affine without a non-linearity: the embedding keeps both signs and no unit of
      it can die, and the fusing layer's ReLU comes right after.
    - The fusing layer has 128 units, ReLU, and is there with one modality too, so that the three models differ in their input
      alone. Classes and attributes are each an affine map of its output: attributes are regressed in the unit of their targets.
    - Both attentions have 128 hidden units.
    - Dropout of 0.2 before and after the fusing layer. The embedding that is returned is the one before dropout.
    - PyTorch's initialisation.

    Args:
        audio_size: Size of a frame; None without audio branch.
        text_size: Size of a sentence embedding; None without text branch.
        classes: Number of logits.
        attributes: Number of regressed attributes, may be 0.
        width: Width of the Res-TDNN.
        audio_dim: Size of the audio branch's output.
        sentence_dim: Size of a reduced sentence. The paper's 320 values from five heads make it 64.
        fusion_size: Units of the fusing layer.
        dropout: Rate.

    Attributes:
        embedding_size: Size of the emotion feature: 128 (audio), 320 (text) or 448 (both).

    Raises:
        ValueError: There is neither audio nor text.
    """

    def __init__(
        self,
        audio_size: int | None,
        text_size: int | None,
        classes: int,
        attributes: int = 0,
        width: int = 512,
        audio_dim: int = 128,
        sentence_dim: int = 64,
        fusion_size: int = 128,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        if audio_size is None and text_size is None:
            raise ValueError("expected audio_size, text_size or both, found None twice")
        self._settings = dict(
            audio_size=audio_size, text_size=text_size, classes=classes, attributes=attributes, width=width,
            audio_dim=audio_dim, sentence_dim=sentence_dim, fusion_size=fusion_size, dropout=dropout,
        )  # fmt: skip
        self.audio = None if audio_size is None else AudioBranch(audio_size, width, audio_dim)
        self.text = None if text_size is None else TextBranch(text_size, sentence_dim)
        self.embedding_size = (audio_dim if self.audio else 0) + (_HEADS * sentence_dim if self.text else 0)
        self.fusion = nn.Linear(self.embedding_size, fusion_size)
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(fusion_size, classes)
        self.regressor = nn.Linear(fusion_size, attributes) if attributes else None

    def settings(self) -> dict[str, int | float | None]:
        """Return what makes such a network again, ``EmotionNet(**settings)``; it can be written as JSON."""
        return dict(self._settings)

    def forward(self, batch: EmotionBatch) -> EmotionOutput:
        """Return logits, attributes, emotion feature and penalty.

        Raises:
            ValueError: The batch has another modality than the network, or one less.
        """
        embedding, penalty = self._embed(batch)
        fused = self.dropout(F.relu(self.fusion(self.dropout(embedding))))
        attributes = self.regressor(fused) if self.regressor else None
        return EmotionOutput(self.classifier(fused), attributes, embedding, penalty)

    def _embed(self, batch: EmotionBatch) -> tuple[Tensor, Tensor]:
        found = (batch.frames is not None, batch.sentences is not None)
        expected = (self.audio is not None, self.text is not None)
        if found != expected:
            raise ValueError(f"expected frames and sentences in the batch: {expected}, found {found}")
        parts = []
        if self.audio:
            parts.append(self.audio(batch.frames, batch.lengths))
        if self.text:
            parts.append(self.text(batch.sentences, batch.present))
        embeddings, penalties = zip(*parts, strict=True)
        return torch.cat(embeddings, dim=1), sum(penalties)


class AudioBranch(nn.Module):
    """Res-TDNN, five-head self-attentive layer over the frames, affine map to ``output_size``."""

    def __init__(self, input_size: int, width: int, output_size: int) -> None:
        super().__init__()
        self.encoder = ResTdnn(input_size, width)
        self.pooling = AttentivePooling(width, _ATTENTION_SIZE, _HEADS)
        self.reduce = nn.Linear(_HEADS * width, output_size)

    def forward(self, frames: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Return the embeddings ``[B, output_size]`` of ``frames`` ``[B, T, input_size]``, and the penalty."""
        present = steps_present(lengths, frames.shape[1]).to(frames.device)
        pooled, attention = self.pooling(self.encoder(frames, lengths), present)
        return self.reduce(pooled), attention_penalty(attention, present, self.pooling.spiky)


class TextBranch(nn.Module):
    """One affine map for all seven sentences, then a five-head self-attentive layer over them.

    Decision: a learnt vector per offset, from -3 to +3, is added to each reduced sentence. The paper mentions none, but without it
    the branch would read a set, and could not tell the current utterance from its neighbours. It begins as PyTorch's embeddings
    do, normal with deviation 1: from zeros a few hundred utterances do not teach it which of the seven is meant (twin of
    CMU-MOSEI, text alone, demo scale: 56 % of the test utterances are then right after 20 epochs, and 99 % so).
    """

    def __init__(self, input_size: int, sentence_dim: int) -> None:
        super().__init__()
        self.reduce = nn.Linear(input_size, sentence_dim)
        self.offset = nn.Parameter(torch.randn(SENTENCES, sentence_dim))
        self.pooling = AttentivePooling(sentence_dim, _ATTENTION_SIZE, _HEADS)

    def forward(self, sentences: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
        """Return the embeddings ``[B, 5 * sentence_dim]`` of ``sentences`` ``[B, 7, input_size]``, and the penalty.

        Raises ValueError unless there are seven sentences.
        """
        if sentences.shape[1] != SENTENCES:
            raise ValueError(f"expected {SENTENCES} sentences around each utterance, found {sentences.shape[1]}")
        # Before the shared layer, not only in the pooling: NaN times a gradient of zero would reach the weights.
        known = sentences.masked_fill(~present.unsqueeze(-1), 0.0)
        pooled, attention = self.pooling(self.reduce(known) + self.offset, present)
        return pooled, attention_penalty(attention, present, self.pooling.spiky)
