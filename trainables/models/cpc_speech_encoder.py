"""A network of contrastive predictive coding as a speech encoder of fine-tuning; and which encoder a directory holds."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from trainables.features.filterbank import Filterbank, deltas
from trainables.models.attentive_pooling import steps_present
from trainables.models.cpc import CpcNetwork
from trainables.models.speech_encoder import SpeechEncoder


class CpcSpeechEncoder(nn.Module):
    """A CPC network in the place of a HuBERT or WavLM (:class:`~trainables.models.speech_encoder.SpeechEncoder`).

    Nothing published fine-tunes a CPC network as the paper of supervised contrastive learning fine-tunes its encoders; decided,
    part by part:

    - Log-mel frames, their standardisation and the frame encoder f stand for the convolutional encoder and the feature projection:
      they are *frozen*, and what they make of an utterance, z, are its convolved features, 100 frames per second of D values (with
      the usual hop of 10 ms). f hears one frame at a time, so frozen it loses no more of time than the convolutions do.
    - The GRU g stands for the Transformer and alone trains. It has one layer; its contexts c are the last hidden layer.
    - The predictors h_k have no part in it; they are kept as they are, so that what is saved is a CPC network again.

    Contexts hear no future, so padding behind an utterance cannot reach it. There is no dropout.

    Args:
        network: Pretrained, or random.

    Attributes:
        sample_rate: Hz, of all sound that is convolved.
        convolution_size: D.
        hidden_size: H, which is D.
        layers: 1.
        network: As given.
    """

    def __init__(self, network: CpcNetwork) -> None:
        super().__init__()
        settings = network.frames
        self.sample_rate: int = settings.sample_rate
        self.convolution_size: int = network.size
        self.hidden_size: int = network.size
        self.layers = 1
        self.network = network.requires_grad_(False)
        self.network.recurrence.requires_grad_(True)
        self._bank = Filterbank(settings.sample_rate, settings.window, settings.hop, settings.mels)
        self.train(network.training)

    @classmethod
    def load(cls, directory: Path) -> CpcSpeechEncoder:
        """Read what :meth:`save` or a pretraining wrote; in float32 and evaluation mode, on the CPU.

        Raises:
            UserError: It is damaged.
        """
        return cls(CpcNetwork.load(directory))

    def save(self, directory: Path) -> None:
        """Write the whole network as :meth:`~trainables.models.cpc.CpcNetwork.save` does."""
        self.network.save(directory)

    def transformer_parameters(self) -> list[nn.Parameter]:
        """All parameters of the GRU: the only ones that take a gradient."""
        return list(self.network.recurrence.parameters())

    def frames(self, samples: int) -> int:
        """How many frames an utterance of so many samples has, at least 1."""
        return self._bank.frames(samples)

    @torch.no_grad()
    def convolve(self, samples: Tensor) -> Tensor:
        """z of one utterance, always in float32: its frames as :class:`~trainables.filterbank_features.FilterbankFeatures` makes
        those of a turn of at most 5 minutes, but not rounded to float16, and then f.

        Args:
            samples: float32 ``[n]``, at ``sample_rate``, n at least 1.

        Returns:
            float32 ``[T, D]`` on the encoder's device; T is ``frames(n)``.
        """
        frames = self._bank(samples.cpu())
        if self.network.frames.deltas:
            frames = torch.cat([frames, deltas(frames)], dim=1)
        frames = frames.to(self.network.mean.device)
        with torch.autocast(frames.device.type, enabled=False):
            return self.network.encode(frames[None])[0]

    def forward(self, convolved: Tensor, lengths: Tensor) -> Tensor:
        """The contexts of utterances, which for each of them are what they would be alone.

        Args:
            convolved: ``[B, T, D]``; what is beyond an utterance's length does not count.
            lengths: Number of frames of each, int64 ``[B]``, 1 to T.

        Returns:
            ``[B, T, H]``, zero beyond each length.
        """
        return self._embedded_and_contexts(convolved, lengths)[1]

    def hidden_layers(self, convolved: Tensor, lengths: Tensor) -> Tensor:
        """What enters the GRU and what leaves it, z and c.

        Args:
            convolved: As of :meth:`forward`.
            lengths: As of :meth:`forward`.

        Returns:
            ``[2, B, T, D]``, zero beyond each length.
        """
        return torch.stack(self._embedded_and_contexts(convolved, lengths))

    def _embedded_and_contexts(self, convolved: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        absent = ~steps_present(lengths, convolved.shape[1])[..., None]
        embedded = convolved.masked_fill(absent, 0.0)  # of what is no number there, 0 times it would be in the gradients
        contexts, _ = self.network.contexts(embedded)
        return embedded, contexts.masked_fill(absent, 0.0)


AnySpeechEncoder = SpeechEncoder | CpcSpeechEncoder
"""What is fine-tuned: a frozen part, whose output can be kept, and a part that trains; of one interface."""


def load_speech_encoder(directory: Path) -> AnySpeechEncoder:
    """The encoder that a stage's result holds, whatever its kind; in float32 and evaluation mode, on the CPU.

    Raises:
        UserError: It is damaged, or none of this program's (:meth:`SpeechEncoder.load`, :meth:`CpcSpeechEncoder.load`).
    """
    kind = CpcSpeechEncoder if any(directory.glob("cpc.*")) else SpeechEncoder
    return kind.load(directory)
