"""The emotion network with all that it needs on another corpus: statistics, names, scales; on disk and back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from trainables.errors import UserError
from trainables.models.emotion_net import EmotionBatch, EmotionNet, EmotionOutput

_WEIGHTS, _DESCRIPTION = "model.safetensors", "model.json"


class EmotionRecogniser(nn.Module):
    """:class:`EmotionNet` behind the standardisation of its inputs.

    Statistics are buffers, and so part of the weights: 0 and 1 until they are set.

    Args:
        network: The network.
        classes: Names of its classes, in order.
        attributes: Names of its attributes, in order.
    """

    def __init__(self, network: EmotionNet, classes: Sequence[str], attributes: Sequence[str]) -> None:
        super().__init__()
        self.network, self.classes, self.attributes = network, tuple(classes), tuple(attributes)
        sizes = {
            "frames": network.settings()["audio_size"],
            "sentences": network.settings()["text_size"],
            "attributes": len(self.attributes),
        }
        for name, size in sizes.items():
            if size:
                self.register_buffer(f"{name}_mean", torch.zeros(size))
                self.register_buffer(f"{name}_scale", torch.ones(size))

    def set_statistics(self, name: str, mean: Tensor, scale: Tensor) -> None:
        """Set mean and deviation ``[D]`` of 'frames', 'sentences' or 'attributes'."""
        self.get_buffer(f"{name}_mean").copy_(mean)
        self.get_buffer(f"{name}_scale").copy_(scale)

    def forward(self, batch: EmotionBatch) -> EmotionOutput:
        """What the network says of a batch as it lies on disk; attributes are in deviations from their mean."""
        frames, sentences = batch.frames, batch.sentences
        if frames is not None:
            frames = (frames - self.frames_mean) / self.frames_scale
        if sentences is not None:
            sentences = (sentences - self.sentences_mean) / self.sentences_scale
        return self.network(EmotionBatch(frames, batch.lengths, sentences, batch.present))

    def standardised(self, attributes: Tensor) -> Tensor:
        """Attributes ``[..., attributes]`` in deviations from their mean, from the corpus' own scale."""
        return (attributes - self.attributes_mean) / self.attributes_scale

    def in_own_scale(self, attributes: Tensor) -> Tensor:
        """The reverse of :meth:`standardised`."""
        return attributes * self.attributes_scale + self.attributes_mean

    def save(self, directory: Path) -> None:
        """Write ``model.safetensors`` (weights and statistics) and ``model.json`` (the network's settings, and the names)."""
        save_file({name: value.detach().cpu().contiguous() for name, value in self.state_dict().items()}, directory / _WEIGHTS)
        description = {"network": self.network.settings(), "classes": self.classes, "attributes": self.attributes}
        (directory / _DESCRIPTION).write_text(json.dumps(description))

    @staticmethod
    def load(directory: Path) -> EmotionRecogniser:
        """What :meth:`save` wrote, on the CPU, ready to be applied.

        Raises:
            UserError: The weights do not fit the description.
        """
        description = json.loads((directory / _DESCRIPTION).read_text())
        found = EmotionRecogniser(EmotionNet(**description["network"]), description["classes"], description["attributes"])
        try:
            found.load_state_dict(load_file(directory / _WEIGHTS))
        except RuntimeError as error:
            mend = "remove this result, train again"
            raise UserError(f"{directory}: weights do not fit {_DESCRIPTION} ({error}); {mend}") from error
        return found.eval()
