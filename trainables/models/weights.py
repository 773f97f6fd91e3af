"""Encoders on disk: weights in safetensors, architecture in JSON; nothing is unpickled."""

from __future__ import annotations

import json
from pathlib import Path

from safetensors.torch import load_file, save_file

from trainables.errors import UserError
from trainables.models.cnn10 import Cnn10

_WEIGHTS = "encoder.safetensors"
_DESCRIPTION = "encoder.json"


def save_encoder(directory: Path, encoder: Cnn10) -> None:
    """Write ``encoder.safetensors`` and ``encoder.json`` (architecture, and the arguments that shape the weights)."""
    # safetensors stores no memory layout: channels_last tensors must be laid out contiguously first.
    weights = {name: value.detach().cpu().contiguous() for name, value in encoder.state_dict().items()}
    save_file(weights, directory / _WEIGHTS)
    description = {"architecture": "Cnn10", "n_mels": encoder.n_mels, "width": encoder.width}
    (directory / _DESCRIPTION).write_text(json.dumps(description))


def load_encoder(directory: Path) -> Cnn10:
    """The encoder that :func:`save_encoder` wrote, on the CPU, in training mode.

    Its dropout rates are PANNs', whatever rates it was trained with: dropout belongs to a training and not to the weights, and
    fine-tuning a pretrained encoder should differ from training a random one by its weights alone.

    Raises:
        UserError: The result is not of an architecture that this version knows, or its weights do not fit it.
    """
    description = json.loads((directory / _DESCRIPTION).read_text())
    architecture = description.pop("architecture")
    if architecture != "Cnn10":
        raise UserError(f"{directory} holds an encoder of architecture {architecture!r}; known is 'Cnn10': train it again")
    encoder = Cnn10(**description)
    try:
        encoder.load_state_dict(load_file(directory / _WEIGHTS))
    except RuntimeError as error:
        raise UserError(f"{directory}: weights do not fit {_DESCRIPTION} ({error}); remove this result, train again") from error
    return encoder
