"""Stage: the speech encoder that fine-tuning or pretraining starts from, public or drawn at random."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, model_validator

from trainables.errors import UserError
from trainables.leakage.exposure import Exposure
from trainables.stage import Context, Stage

if TYPE_CHECKING:
    from pathlib import Path

    from transformers import HubertModel, WavLMModel

    from trainables.models.speech_encoder import SpeechEncoder

PUBLIC = {"hubert": "facebook/hubert-base-ls960", "wavlm": "microsoft/wavlm-base-plus"}
"""The paper's weights, by their architecture (section 4.2, footnotes 1 and 2)."""

_GROUPS = 16  # of the positional convolution, as of the public models
_SHAPE = ("hidden_size", "heads", "intermediate_size", "convolution_size", "convolution_norm", "seed")


class InitialEncoder(Stage):
    """A HuBERT or WavLM before any training of this project, in one form on disk whatever it came from.

    'The speech representation model Hubert and WavLM used in this experiment are both base versions downloaded from huggingface'
    (section 4.2). Any other weights of these architectures do as well, also large ones.

    Random weights have the public base models' configuration but for the sizes that are set: seven convolutions that make 50 frames
    per second, 16 groups in the positional convolution, input normalised of HuBERT and not of WavLM. They are drawn as transformers
    initialises them; ``seed`` controls that draw and nothing else. A training starts from them where no public weights are to be
    had; the convolutions too are random then, unless a :class:`~trainables.masked_pretraining.MaskedPretraining` comes between.
    Frozen as they are, random convolutions with the base models' group norm over time hardly tell how an utterance is spoken: what
    is trained on them stays at chance with a ``convolution_norm`` of 'group', and learns with 'layer'.

    Result: what :class:`~trainables.models.speech_encoder.SpeechEncoder` saves, in float32, without a task's head;
    ``metrics.json`` (``parameters``, ``transformer_parameters``, ``layers``, ``hidden_size``, ``convolution_size``).
    """

    label: ClassVar[str] = "initial encoder"
    later: ClassVar[Mapping[str, Any]] = {"convolution_norm": "group"}
    accelerated: ClassVar[bool] = False

    architecture: Literal["hubert", "wavlm"]
    weights: str = Field(default="public", min_length=1)
    """'public': the paper's, of the architecture; 'random'; or the name or folder of others (:mod:`trainables.pretrained`)."""
    layers: int = Field(default=12, gt=0)
    """Of the Transformer. Weights that are not random must have as many."""
    hidden_size: int = Field(default=96, gt=0, multiple_of=_GROUPS)
    """Of the Transformer. Like all that follow, of random weights alone: sizes of an encoder that a CPU can train (the base models
    have 768 values, 12 heads, 3072 and 512)."""
    heads: int = Field(default=4, gt=0)
    intermediate_size: int = Field(default=384, gt=0)
    """Of the Transformer's fully connected layers."""
    convolution_size: int = Field(default=64, gt=0)
    """Values of a convolved frame."""
    convolution_norm: Literal["group", "layer"] = "group"
    """'group': of the first convolution over all of an utterance's time, as the base models have it; it removes how loud each band
    is. 'layer': after every convolution over the values of a frame, with biases, as the large models have it, but on sound that is
    not normalised, of HuBERT either: beside the biases it stays heard how loud a moment is."""
    seed: int = 0

    @model_validator(mode="after")
    def _random_weights_alone_are_shaped(self) -> InitialEncoder:
        if self.weights == "random":
            if self.hidden_size % self.heads:
                raise ValueError(f"hidden_size {self.hidden_size} is shared among {self.heads} heads; give a multiple")
            return self
        if given := [name for name in _SHAPE if getattr(self, name) != type(self).model_fields[name].default]:
            raise ValueError(f"{', '.join(given)}: the weights {self.weights!r} have their own; leave them out")
        return self

    def pretrained(self) -> dict[str, str]:
        """The weights by their name, unless they are random."""
        return {} if self.weights == "random" else {"weights": self._name}

    @property
    def _name(self) -> str:
        return PUBLIC[self.architecture] if self.weights == "public" else self.weights

    def exposure(self) -> Exposure:
        """Nothing of any corpus of this program is learnt."""
        return Exposure()

    def run(self, context: Context) -> None:
        """Read or draw the weights and write them.

        Raises:
            UserError: The weights are not on this machine, are no longer the planned ones, or are not what this stage describes.
        """
        encoder = self._drawn() if self.weights == "random" else self._read(context.pretrained(self._name))
        encoder.save(context.directory)
        metrics = {
            "parameters": sum(parameter.numel() for parameter in encoder.parameters()),
            "transformer_parameters": sum(parameter.numel() for parameter in encoder.transformer_parameters()),
            "layers": encoder.layers,
            "hidden_size": encoder.hidden_size,
            "convolution_size": encoder.convolution_size,
        }
        (context.directory / "metrics.json").write_text(json.dumps(metrics))

    def _read(self, directory: Path) -> SpeechEncoder:
        from trainables.models.speech_encoder import SpeechEncoder

        encoder = SpeechEncoder.load(directory)
        if (encoder.architecture, encoder.layers) != (self.architecture, self.layers):
            raise UserError(
                f"{directory}: found a {encoder.architecture} of {encoder.layers} layers, expected a {self.architecture} of "
                f"{self.layers}; give other weights for {self._name!r}, or set architecture and layers to what was found"
            )
        return encoder

    def _drawn(self) -> SpeechEncoder:
        import torch
        from transformers import HubertConfig, HubertModel, Wav2Vec2FeatureExtractor, WavLMConfig, WavLMModel

        from trainables.models.speech_encoder import SpeechEncoder
        from trainables.numerics import seeded

        by_frame = self.convolution_norm == "layer"
        kind = {"hubert": (HubertConfig, HubertModel), "wavlm": (WavLMConfig, WavLMModel)}
        make_config, make_model = kind[self.architecture]
        config = make_config(
            hidden_size=self.hidden_size,
            num_hidden_layers=self.layers,
            num_attention_heads=self.heads,
            intermediate_size=self.intermediate_size,
            conv_dim=(self.convolution_size,) * 7,
            feat_extract_norm=self.convolution_norm,
            conv_bias=by_frame,
            num_conv_pos_embedding_groups=_GROUPS,
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seeded(self.seed, "initial encoder"))
            model = make_model(config).eval()
            if by_frame:
                _draw_biases(model)
        return SpeechEncoder(model, Wav2Vec2FeatureExtractor(do_normalize=self.architecture == "hubert" and not by_frame))


def _draw_biases(model: HubertModel | WavLMModel) -> None:
    """Draw the convolutions' biases as torch does and transformers' WavLM; HuBERT's would be zero, and the layer norm beside them
    deaf to how loud sound is."""
    from torch import nn

    for layer in model.feature_extractor.conv_layers:
        bound = layer.conv.weight[0].numel() ** -0.5
        nn.init.uniform_(layer.conv.bias, -bound, bound)
