"""A speech encoder with self-attention pooling: utterances of any length become one vector each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from trainables.errors import UserError
from trainables.models.cpc_speech_encoder import AnySpeechEncoder, load_speech_encoder
from trainables.models.self_attention_pooling import SelfAttentionPooling

if TYPE_CHECKING:
    from trainables.speech_inputs import SpeechChunk

_POOLING = "pooling.safetensors"


class EmotionEncoder(nn.Module):
    """A speech encoder with self-attention pooling (Xiang, section 3.1, Figure 1): what stage one trains and stage two begins with.

    Attributes:
        encoder: HuBERT or WavLM, whose Transformer alone is trained, or a CPC network, whose GRU alone is.
        pooling: Equation (1) over its last hidden layer.
    """

    def __init__(self, encoder: AnySpeechEncoder) -> None:
        super().__init__()
        self.encoder = encoder
        self.pooling = SelfAttentionPooling(encoder.hidden_size)

    def forward(self, chunks: Sequence[SpeechChunk]) -> Tensor:
        """Encode and pool a batch.

        Args:
            chunks: Of :meth:`~trainables.speech_inputs.SpeechInputs.chunks`: together each place of the batch once.

        Returns:
            The feature x of each utterance, float32 ``[N, d]``, in the order of the batch. Apart from dropout it does not depend
            on how the batch was divided.
        """
        pooled = torch.cat([self.pooling(self.encoder(chunk.convolved, chunk.lengths), chunk.lengths) for chunk in chunks])
        return pooled[torch.cat([chunk.places for chunk in chunks]).argsort()]

    def save(self, directory: Path) -> None:
        """Write what :meth:`~trainables.models.speech_encoder.SpeechEncoder.save` writes, and ``pooling.safetensors``."""
        self.encoder.save(directory)
        save_file({name: value.detach().cpu() for name, value in self.pooling.state_dict().items()}, directory / _POOLING)

    @classmethod
    def load(cls, directory: Path) -> EmotionEncoder:
        """What :meth:`save` wrote, on the CPU.

        Raises:
            UserError: The encoder or the pooling is missing, damaged, or of another size.
        """
        model = cls(load_speech_encoder(directory))
        file = directory / _POOLING
        try:
            model.pooling.load_state_dict(load_file(file))
        except (OSError, SafetensorError, RuntimeError) as error:
            size = model.encoder.hidden_size
            raise UserError(
                f"{file}: expected the pooling's weight of {size} values beside its encoder, which cannot be read ({error}); "
                "remove this result and run its stage again"
            ) from error
        return model
