"""A trained emotion model applied to turns: what it says of each, and the feature of each."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch

from trainables.emotion_inputs import EmotionInputs
from trainables.models.emotion_recogniser import EmotionRecogniser


class Described(NamedTuple):
    """What a model says of turns.

    Attributes:
        probabilities: Of the classes, float64 ``[turns, classes]``: softmax of the mean of the windows' log-probabilities.
        attributes: In the scale of the training corpus, float64 ``[turns, attributes]``: means of the windows'.
        embeddings: The emotion feature, float32 ``[turns, D]``: mean of the windows'.
    """

    probabilities: np.ndarray
    attributes: np.ndarray
    embeddings: np.ndarray


def describe(
    recogniser: EmotionRecogniser,
    inputs: EmotionInputs,
    rows: torch.Tensor,
    *,
    batch_size: int,
    heard: torch.Tensor | None = None,
    tick: Callable[[float], None] = lambda fraction: None,
) -> Described:
    """Apply a model to turns, with dropout off.

    Windows are taken in the order of their length, so that little is padding; what is said of a turn does not depend, but for
    rounding, on the turns beside it.

    Args:
        recogniser: The model, on the device where to compute; is left in evaluation mode.
        inputs: The corpus.
        rows: Row numbers of the turns, each once, in any order; the answers are in their order.
        batch_size: Windows at a time.
        heard: As :meth:`EmotionInputs.batch` has it.
        tick: Told which fraction is done.
    """
    recogniser.eval()
    device = next(recogniser.parameters()).device
    windows = inputs.windows_of(rows)
    windows = windows[inputs.frames[windows].argsort(descending=True, stable=True)]
    said, done = [], 0
    with torch.inference_mode():
        for chosen in windows.split(batch_size):
            output = recogniser(inputs.batch(chosen, heard).to(device))
            attributes = recogniser.in_own_scale(output.attributes) if recogniser.attributes else output.logits[:, :0]
            parts = (output.logits.log_softmax(dim=1), attributes, output.embedding)
            said.append(torch.cat(parts, dim=1).double().cpu())
            done += len(chosen)
            tick(done / len(windows))
    means = means_of_groups(torch.cat(said), inputs.turn[windows], len(inputs.turns))[rows]
    classes, attributes = len(recogniser.classes), len(recogniser.attributes)
    logs, attributes, embeddings = means.split([classes, attributes, means.shape[1] - classes - attributes], dim=1)
    return Described(logs.softmax(dim=1).numpy(), attributes.numpy(), embeddings.float().numpy())


def means_of_groups(values: torch.Tensor, groups: torch.Tensor, count: int) -> torch.Tensor:
    """Mean of the rows of each group, ``[count, D]``; NaN for a group without any."""
    sums = torch.zeros(count, values.shape[1], dtype=values.dtype).index_add_(0, groups, values)
    return sums / groups.bincount(minlength=count).unsqueeze(1)
