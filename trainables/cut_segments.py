"""Units of sound cut into segments of one length, and features of them in one array: what stages of segments share.

The units are handed out in parts; each part streams its features to disk, and then they are put together in the units' order.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from itertools import groupby
from operator import attrgetter, itemgetter
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from trainables.errors import Faults, UserError
from trainables.parts import Turn, in_parts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import numpy as np
    import torch

    from trainables.corpora.corpus import CorpusSource
    from trainables.stage import Context, PartContext

_BATCH = 32  # segments transformed at a time: bounds the memory of a long unit

_LENGTHS = "lengths.json"


class Unit(NamedTuple):
    """What is cut together: what later stages need to know of it, and its turns."""

    facts: dict[str, Any]
    turns: list[Turn]


class SegmentShape(NamedTuple):
    """How sound is cut, and what is kept of a segment.

    Attributes:
        sample_rate: To which the sound is resampled, Hz.
        samples: Of a segment.
        min_seconds: A unit's last piece that is shorter is dropped, unless it is alone; any other is padded with digital silence.
        frames: Of a segment's features.
        values: Of a frame.
        storage: Type of the values.
    """

    sample_rate: int
    samples: int
    min_seconds: float
    frames: int
    values: int
    storage: Literal["float16", "float32"]


class CutUnit(NamedTuple):
    """How many samples a unit's turns have together, what was cut of them, and each segment without what pads it."""

    sound: int
    heard: int
    segments: list[int]


def gather_segments(context: Context, corpus: CorpusSource, units: Sequence[Unit], shape: SegmentShape) -> list[CutUnit]:
    """Hand out the units, write ``features.npy`` of what the parts have made, and say how each was cut.

    Raises:
        UserError: The parts' faults, together.
    """
    from trainables.features.shards import FeatureWriter

    cut: list[CutUnit] = []
    with FeatureWriter(context.directory, shape.frames, shape.values, shape.storage) as writer:
        for part in context.parts([[unit.turns for unit in group] for group in in_parts(units, attrgetter("turns"), corpus)]):
            writer.extend(part)
            cut += (CutUnit(*lengths) for lengths in json.loads((part / _LENGTHS).read_text()))
    return cut


def write_segments(
    work: Sequence[list[Turn]],
    context: PartContext,
    corpus: CorpusSource,
    shape: SegmentShape,
    transform: Callable[[torch.Tensor], torch.Tensor],
    heard: Callable[[np.ndarray], np.ndarray] = lambda samples: samples,
) -> None:
    """Read, cut and transform the units of a part; ``lengths.json`` says how each was cut.

    Args:
        work: The turns of each unit.
        context: Where to write.
        corpus: Where their recordings are.
        shape: Of the segments.
        transform: From segments ``[B, samples]`` to their features ``[B, frames, values]``, of which further frames are dropped.
        heard: From a unit's sound ``[samples]`` to what is cut of it. May raise UserError, to which the recordings are added.

    Raises:
        UserError: Unreadable audio, or what cannot be stored: every such unit is named.
    """
    from trainables.features.shards import FeatureWriter

    faults = Faults(f"the audio of corpus {corpus.name!r}")
    cut: list[CutUnit] = []
    with FeatureWriter(context.directory, shape.frames, shape.values, shape.storage) as writer:
        for turns in work:
            try:
                sound = _concatenated(corpus, turns, shape.sample_rate)
                with _naming(turns):
                    left = heard(sound)
                    pieces = _pieces(left, shape)
                    for row in _features(pieces, shape, transform):
                        writer.append(row)
            except UserError as error:
                faults.add(str(error))
                continue
            cut.append(CutUnit(len(sound), len(left), [len(piece) for piece in pieces]))
            context.tick(len(cut) / len(work))
        faults.raise_if_any()
    (context.directory / _LENGTHS).write_text(json.dumps(cut))


@contextmanager
def _naming(turns: list[Turn]) -> Iterator[None]:
    """Adds the recordings to a fault that does not name them."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{', '.join(dict.fromkeys(name for name, *_ in turns))}: {error}") from error


def _concatenated(corpus: CorpusSource, turns: list[Turn], sample_rate: int) -> np.ndarray:
    """The turns of a unit one after the other, float32 ``[samples]``."""
    import numpy as np

    from trainables.corpora.audio import read_spans

    sounds: list[np.ndarray] = []
    for recording, group in groupby(turns, key=itemgetter(0)):
        sounds += read_spans(corpus.audio_path(recording), [(start, end) for _, start, end in group], sample_rate)
    return np.concatenate(sounds)


def _pieces(samples: np.ndarray, shape: SegmentShape) -> list[np.ndarray]:
    """Sequential pieces of a unit, the last one of which may be shorter than a segment."""
    pieces = [samples[start : start + shape.samples] for start in range(0, len(samples), shape.samples)]
    if len(pieces) > 1 and len(pieces[-1]) < shape.min_seconds * shape.sample_rate:
        pieces.pop()
    return pieces


def _features(
    pieces: list[np.ndarray], shape: SegmentShape, transform: Callable[[torch.Tensor], torch.Tensor]
) -> Iterator[torch.Tensor]:
    """Features ``[frames, values]`` of each piece, padded with digital silence to a whole segment."""
    import torch

    for start in range(0, len(pieces), _BATCH):
        batch = torch.zeros(min(_BATCH, len(pieces) - start), shape.samples)
        for row, piece in zip(batch, pieces[start : start + _BATCH], strict=True):
            row[: len(piece)] = torch.from_numpy(piece)
        yield from transform(batch)[:, : shape.frames]
