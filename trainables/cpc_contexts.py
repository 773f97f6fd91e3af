"""Stage: what a pretrained CPC network makes of every frame of a corpus, kept so that all models and seeds read the same."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import model_validator

from trainables.cpc_pretraining import CpcPretraining
from trainables.filterbank_features import FilterbankFeatures
from trainables.leakage.exposure import Exposure
from trainables.stage import Context, PartContext, Stage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    import torch

    from trainables.features.frames import FrameTable
    from trainables.models.cpc import CpcNetwork

    Group = tuple[int, int]
    """Turns that are computed together: the first one's number, and the number after the last one's."""

_BLOCK = 16384
"""Frames, padding included, that are computed at once: about 100 MB for 256 values."""

_PART_FRAMES = 300_000
"""Frames in a part: 50 minutes of speech, half a minute's arithmetic for one CPU core (measured at 256 values)."""

_OF_THE_CORPUS = ("corpus", "unit", "storage")
"""Settings of frames that may be others here than in pretraining; all others decide what a frame says."""


class CpcContexts(Stage):
    """The context of every frame of every turn by a CPC network whose parameters are fixed.

    'Contextual representation: c_i = g(z_<=i)', which the slides' recogniser and the t-SNE plot read as 'the output of CPC'. A
    frame's context hears its turn from the beginning up to this frame, and no other turn. Decision where the slides are silent: a
    turn is read whole, however long, though the network has learnt from chunks of 1.28 s; a recurrent network needs no cutting, and
    cutting would make contexts after each cut forget what was before.

    The network standardises frames by the statistics of what it was pretrained on, whatever corpus is read here.

    Result: ``frames.npy``, float16 ``[all frames, H]``, the turns one after the other, and the frames' own ``segments.parquet``, so
    that a context has the place of its frame. Read both through :class:`~trainables.features.frames.FrameTable`. A context is the
    state of a GRU and lies between -1 and 1, where float16 errs by at most 2**-12. ``metrics.json``: ``turns, frames, dimensions``.

    Memory does not grow with the longest turn: one above 16,384 frames (2.7 minutes) is read in blocks, the state being carried
    over; shorter ones are read together, padded to the longest, behind whose ends nothing is kept.

    On a CPU turns are handed out in parts, and a stage that was stopped goes on with those that are missing. On an accelerator they
    are computed in this process (it takes minutes); stopped there, it begins again.
    """

    label: ClassVar[str] = "CPC contexts"

    encoder: CpcPretraining
    frames: FilterbankFeatures
    """Of the corpus that is described, which need not be the one that was pretrained on."""

    @model_validator(mode="after")
    def _frames_are_those_of_the_encoder(self) -> CpcContexts:
        theirs = self.encoder.frames
        other = [name for name, value in self.frames if name not in _OF_THE_CORPUS and value != getattr(theirs, name)]
        if other:
            told = ", ".join(f"{name} {getattr(self.frames, name)} instead of {getattr(theirs, name)}" for name in other)
            raise ValueError(f"frames: the encoder was pretrained on other frames; found {told}; use the same settings")
        return self

    @property
    def corpus(self) -> str:
        """The role of the corpus that is described."""
        return self.frames.corpus

    @property
    def unit(self) -> Literal["session", "utterance"]:
        """What has a label."""
        return self.frames.unit

    @property
    def dimensions(self) -> int:
        """Values of a context, H."""
        return self.encoder.size

    def exposure(self) -> Exposure:
        """Nothing is learnt: the encoder is fixed, and each turn's contexts are its own."""
        return Exposure(features=self.frames)

    def run(self, context: Context) -> None:
        """Compute the contexts of all turns.

        Raises:
            UserError: The encoder's or the frames' result is damaged.
        """
        import shutil

        from trainables.features.frames import FrameTable, FrameWriter
        from trainables.models.cpc import CpcNetwork

        source = context.result(self.frames)
        table = FrameTable(source)
        groups = _groups(table.lengths.tolist())
        with FrameWriter(context.directory, self.dimensions) as writer:
            if context.device.type == "cpu":
                for part in context.parts(_in_parts(groups, table)):
                    writer.extend(part)
            else:
                network = CpcNetwork.load(context.result(self.encoder)).to(context.device)
                _write(network, table, groups, writer.append, context.tick)
        shutil.copyfile(source / "segments.parquet", context.directory / "segments.parquet")
        sizes = {"turns": len(table), "frames": int(table.lengths.sum()), "dimensions": self.dimensions}
        (context.directory / "metrics.json").write_text(json.dumps(sizes))

    def run_part(self, work: Any, context: PartContext) -> None:
        """Compute the contexts of the turns of a part on the CPU.

        Args:
            work: Its groups.
            context: Where to write.

        Raises:
            UserError: The encoder's or the frames' result is damaged.
        """
        from trainables.features.frames import FrameTable, FrameWriter
        from trainables.models.cpc import CpcNetwork

        table, network = FrameTable(context.result(self.frames)), CpcNetwork.load(context.result(self.encoder))
        with FrameWriter(context.directory, self.dimensions) as writer:
            _write(network, table, work, writer.append, context.tick)


def _groups(lengths: Sequence[int]) -> list[Group]:
    """All turns in their order, in groups that :data:`_BLOCK` holds when padded to their longest; longer turns alone.

    They depend on the turns alone, not on parts, so that in however many parts the same matrices are multiplied to the same bytes.
    """
    groups: list[Group] = []
    first, longest = 0, 0
    for turn, length in enumerate(lengths):
        longest = max(longest, length)
        if turn > first and longest * (turn + 1 - first) > _BLOCK:
            groups.append((first, turn))
            first, longest = turn, length
    return [*groups, (first, len(lengths))]


def _in_parts(groups: Iterable[Group], table: FrameTable) -> list[list[Group]]:
    """The groups one after the other in parts of some :data:`_PART_FRAMES`."""
    parts: dict[int, list[Group]] = {}
    for first, end in groups:
        parts.setdefault(int(table.first[first]) // _PART_FRAMES, []).append((first, end))
    return list(parts.values())


def _write(
    network: CpcNetwork,
    table: FrameTable,
    groups: Sequence[Group],
    write: Callable[[torch.Tensor], None],
    tick: Callable[[float], None],
) -> None:
    """Write the contexts of some groups in the order of their frames."""
    import torch

    with torch.inference_mode():
        for number, group in enumerate(groups):
            for contexts in _contexts(network, table, group):
                write(contexts)
            tick((number + 1) / len(groups))


def _contexts(network: CpcNetwork, table: FrameTable, group: Group) -> Iterator[torch.Tensor]:
    """The contexts of each turn of a group, float32 ``[n, H]`` on the CPU; of one that is longer than a block in several pieces.

    Such a turn is alone, so the pieces come in the order of their frames.
    """
    first, lengths = table.first[slice(*group)], table.lengths[slice(*group)]
    state = None
    for start in range(0, int(lengths.max()), _BLOCK):
        heard = (lengths - start).clamp(max=_BLOCK)
        frames = table.gather(first + start, heard).to(network.mean.device)
        contexts, state = network.contexts(network.encode(frames), state)
        for found, length in zip(contexts.cpu(), heard.tolist(), strict=True):
            yield found[:length]
