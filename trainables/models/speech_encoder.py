"""HuBERT and WavLM as this project fine-tunes them: a frozen convolutional encoder, whose output can be kept, and a Transformer."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from trainables.errors import UserError
from trainables.pretrained import load_encoder

if TYPE_CHECKING:
    from transformers import HubertModel, Wav2Vec2FeatureExtractor, WavLMModel

ARCHITECTURES = ("hubert", "wavlm")
SAMPLE_RATE = 16000
"""Hz, of all sound that is convolved."""

FOLDER = "speech_encoder"
"""Within a stage's result, where a ``config.json`` describes the stage."""

_NOT_READ = {
    "conv_pos_batch_norm": "batch norm makes what is said of an utterance depend on the others of its batch and on their padding",
    "add_adapter": "an adapter would follow the Transformer, which is the paper's feature encoder, and shorten its output",
}
"""Settings of config.json that are refused where they are on, and why."""

# transformers' WavLM gives torch a mask of two kinds in every attention; torch adds them up rightly, and warns.
warnings.filterwarnings("ignore", message="Support for mismatched key_padding_mask", category=UserWarning)


class SpeechEncoder(nn.Module):
    """A HuBERT (Hsu et al. 2021) or WavLM (Chen et al. 2022) of transformers, base or large.

    It has the paper's three parts (section 3.1): the convolutional *speech encoder*, whose output for one utterance are its
    convolved features, 50 frames per second and C values each; the *feature projection*; the *feature encoder*, a positional
    convolution and L Transformer layers of d values. The first two are frozen: their parameters take no gradient and their dropout
    is off in training too, so that convolved features need computing only once.

    An utterance is convolved alone and never padded, because the base models have a group norm over all of its time. The
    Transformer takes padded batches and gives what it gives without padding: it masks padded frames in every attention, and zeroes
    them before the positional convolution.

    Off in training, whatever the configuration says: layer drop, which would leave parameters without a gradient on some workers,
    and the SpecAugment of transformers, which draws from numpy's global generator. Dropout stays as configured.

    Args:
        model: Its weights and configuration, without a task's head.
        extractor: What its input must be, as ``preprocessor_config.json`` says.

    Attributes:
        architecture: 'hubert' or 'wavlm'.
        sample_rate: :data:`SAMPLE_RATE`.
        convolution_size: C.
        hidden_size: d.
        layers: L.
        model: As given; its parts are ``feature_extractor``, ``feature_projection`` and ``encoder``.
    """

    def __init__(self, model: HubertModel | WavLMModel, extractor: Wav2Vec2FeatureExtractor) -> None:
        super().__init__()
        config = model.config
        config.layerdrop = 0.0
        self.architecture: str = config.model_type
        self.sample_rate = SAMPLE_RATE
        self.convolution_size: int = config.conv_dim[-1]
        self.hidden_size: int = config.hidden_size
        self.layers: int = config.num_hidden_layers
        self.model = model.requires_grad_(False)
        self.model.encoder.requires_grad_(True)
        self._extractor = extractor
        self.train(model.training)

    @classmethod
    def load(cls, directory: Path) -> SpeechEncoder:
        """Read what :meth:`save` wrote, or a directory as transformers writes it; in float32 and evaluation mode, on the CPU.

        Raises:
            UserError: It is neither HuBERT nor WavLM, lacks weights or ``preprocessor_config.json``, takes sound of another sample
                rate, or has a part that is not read.
        """
        directory = directory / FOLDER if (directory / FOLDER).is_dir() else directory
        model = load_encoder(directory)
        if (found := model.config.model_type) not in ARCHITECTURES:
            raise UserError(
                f"{directory}: found a {found}, expected {' or '.join(ARCHITECTURES)}; give weights such as "
                "microsoft/wavlm-base-plus"
            )
        for setting, reason in _NOT_READ.items():
            if getattr(model.config, setting, False):
                raise UserError(f"{directory}: config.json has {setting}, which is not read here: {reason}; give other weights")
        return cls(model, _load_extractor(directory))

    def save(self, directory: Path) -> None:
        """Write ``config.json``, ``model.safetensors``, ``preprocessor_config.json`` as transformers does, into :data:`FOLDER`."""
        from transformers import logging

        logging.disable_progress_bar()  # it would draw across the sweep's own
        # save_original_format: else weights that were read under the names of older releases would be written under them
        self.model.save_pretrained(directory / FOLDER, save_original_format=False)
        self._extractor.save_pretrained(directory / FOLDER)

    def train(self, mode: bool = True) -> SpeechEncoder:
        """As of any module, but the frozen parts stay in evaluation mode."""
        super().train(mode)
        self.model.feature_extractor.eval()
        self.model.feature_projection.eval()
        return self

    def transformer_parameters(self) -> list[nn.Parameter]:
        """All parameters of the Transformer: the only ones that take a gradient."""
        return list(self.model.encoder.parameters())

    def frames(self, samples: int) -> int:
        """How many frames an utterance of so many samples has, at least 1."""
        for kernel, stride in self._convolutions():
            samples = (samples - kernel) // stride + 1
        return max(1, samples)

    @torch.no_grad()
    def convolve(self, samples: Tensor) -> Tensor:
        """The convolved features of one utterance, always in float32.

        Where ``preprocessor_config.json`` asks for it, the utterance is brought to mean 0 and variance 1 first, as transformers'
        feature extractor does. An utterance that is shorter than what one frame hears (25 ms) is then followed by zeros up to that
        length (decision: the papers have none so short, and a recording of a click should not stop a corpus).

        Args:
            samples: float32 ``[n]``, at :data:`SAMPLE_RATE`, n at least 1.

        Returns:
            float32 ``[T, C]`` on the encoder's device; T is ``frames(n)``.
        """
        samples = samples.to(next(self.parameters()).device)
        if self._extractor.do_normalize:
            samples = (samples - samples.mean()) / (samples.var(correction=0) + 1e-7).sqrt()
        samples = nn.functional.pad(samples, (0, max(0, self._heard_by_a_frame() - len(samples))))
        with torch.autocast(samples.device.type, enabled=False):
            return self.model.feature_extractor(samples[None])[0].T.contiguous()

    def forward(self, convolved: Tensor, lengths: Tensor) -> Tensor:
        """The last hidden layer of utterances, which for each of them is what it would be alone.

        Args:
            convolved: ``[B, T, C]``; what is beyond an utterance's length does not count.
            lengths: Number of frames of each, int64 ``[B]``, 1 to T.

        Returns:
            ``[B, T, d]``, zero beyond each length.
        """
        mask = _within(lengths, convolved.shape[1])
        return self._encoded(convolved, mask) * mask[..., None]

    def hidden_layers(self, convolved: Tensor, lengths: Tensor) -> Tensor:
        """What enters the first Transformer layer and what leaves each, as ``output_hidden_states`` of transformers has it.

        The last one is what :meth:`forward` gives, except where the configuration has ``do_stable_layer_norm`` (the large models):
        there a layer norm follows it.

        Args:
            convolved: As of :meth:`forward`.
            lengths: As of :meth:`forward`.

        Returns:
            ``[L + 1, B, T, d]``, zero beyond each length.
        """
        mask = _within(lengths, convolved.shape[1])
        found: list[Tensor] = []

        def keep(_: nn.Module, given: tuple[Tensor, ...], made: Tensor | tuple[Tensor, ...]) -> None:
            found.extend(() if found else given[:1])
            found.append(_first(made))

        hooks = [layer.register_forward_hook(keep) for layer in self.model.encoder.layers]
        try:
            self._encoded(convolved, mask)
        finally:
            for hook in hooks:
                hook.remove()
        return torch.stack(found) * mask[..., None]

    def _encoded(self, convolved: Tensor, mask: Tensor) -> Tensor:
        projected = _first(self.model.feature_projection(convolved))
        return self.model.encoder(projected, attention_mask=mask).last_hidden_state

    def _convolutions(self) -> list[tuple[int, int]]:
        """Kernel and stride of each, in samples of its own input."""
        return list(zip(self.model.config.conv_kernel, self.model.config.conv_stride, strict=True))

    def _heard_by_a_frame(self) -> int:
        """Samples that one frame is made of: 400 of the public models."""
        samples = 1
        for kernel, stride in reversed(self._convolutions()):
            samples = (samples - 1) * stride + kernel
        return samples


def _within(lengths: Tensor, longest: int) -> Tensor:
    """Which frames are an utterance's own, bool ``[B, longest]``."""
    return torch.arange(longest, device=lengths.device) < lengths[:, None]


def _first(made: Tensor | tuple[Tensor, ...]) -> Tensor:
    """What a part of WavLM makes besides (normed input, position bias) is left; the parts of HuBERT make one tensor."""
    return made[0] if isinstance(made, tuple) else made


def _load_extractor(directory: Path) -> Wav2Vec2FeatureExtractor:
    from transformers import Wav2Vec2FeatureExtractor

    try:
        extractor = Wav2Vec2FeatureExtractor.from_pretrained(directory, local_files_only=True)
    except (OSError, ValueError, TypeError) as error:
        raise UserError(
            f"{directory}: its preprocessor_config.json, which says whether sound is normalised, cannot be read ({error}); "
            "fetch all files of the model again"
        ) from error
    if extractor.sampling_rate != SAMPLE_RATE:
        raise UserError(
            f"{directory}: preprocessor_config.json asks for sound at {extractor.sampling_rate} Hz, expected {SAMPLE_RATE}; "
            "give weights for that rate"
        )
    return extractor
