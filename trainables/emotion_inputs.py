"""What the emotion model reads of a corpus: windows of frames, and the sentences around each turn, as padded batches."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from trainables.features.array_file import open_array
from trainables.features.frames import FrameTable
from trainables.features.statistics import Statistics, statistics_of
from trainables.models.emotion_net import EmotionBatch
from trainables.units import Units

PAST, FUTURE = 3, 3
"""Utterances before and after the current one (Climate and Weather, section 2.2: 'context [-3,+3]')."""


class EmotionInputs:
    """The turns of a corpus as inputs of :class:`~trainables.models.emotion_net.EmotionNet`.

    A turn of more than ``window_frames`` frames is cut into as few windows as have at most so many; they are equal to a frame.
    Without frames every turn is one window. All windows of a turn have the same sentences.

    Args:
        filterbanks: Result with ``frames.npy``; None without audio.
        sentences: Result with ``embeddings.npy`` of the same turns; None without text.
        window_frames: Frames of the longest window.

    Attributes:
        turns: ``segments.parquet``, one row per turn.
        turn: Row of the turn of each window, int64 ``[windows]``; a turn's windows follow each other.
        frames: Frames of each window, int64 ``[windows]``; 0 without audio.
    """

    def __init__(self, filterbanks: Path | None, sentences: Path | None, window_frames: int) -> None:
        self.turns = pd.read_parquet((filterbanks or sentences) / "segments.parquet")
        self._frames = FrameTable(filterbanks) if filterbanks else None
        self._sentences = open_array(sentences / "embeddings.npy", 2) if sentences else None
        self._context = torch.from_numpy(context_rows(self.turns)) if sentences else None
        self.turn, self._first, self.frames = self._cut(window_frames)

    def _cut(self, longest: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Turn, first frame and number of frames of every window."""
        if self._frames is None:
            nothing = torch.zeros(len(self.turns), dtype=torch.int64)
            return torch.arange(len(self.turns)), nothing, nothing
        length = self._frames.lengths
        count = length.add(longest - 1).div(longest, rounding_mode="floor")
        turn = torch.repeat_interleave(torch.arange(len(length)), count)
        number = torch.arange(len(turn)) - (count.cumsum(0) - count)[turn]
        start = (number * length[turn]).div(count[turn], rounding_mode="floor")
        end = ((number + 1) * length[turn]).div(count[turn], rounding_mode="floor")
        return turn, self._frames.first[turn] + start, end - start

    def windows_of(self, rows: torch.Tensor) -> torch.Tensor:
        """The windows of some turns, LongTensor, in the order in which they lie on disk.

        Args:
            rows: Row numbers of turns, each once.
        """
        chosen = torch.zeros(len(self.turns), dtype=torch.bool)
        chosen[rows] = True
        return chosen[self.turn].nonzero().squeeze(1)

    def statistics(self, rows: np.ndarray) -> dict[str, Statistics]:
        """Mean and deviation over the frames, and over the sentences, of some turns: under 'frames' and 'sentences'."""
        found = {}
        if self._frames is not None:
            found["frames"] = statistics_of(block.numpy() for row in np.sort(rows) for block in self._frames.blocks(row))
        if self._sentences is not None:
            found["sentences"] = statistics_of([self._sentences[np.sort(rows)]])
        return found

    def batch(self, windows: torch.Tensor, heard: torch.Tensor | None = None) -> EmotionBatch:
        """Some windows, padded with zeros to the longest of them.

        Args:
            windows: Numbers of windows ``[B]``.
            heard: Which turns may be the context of others, bool ``[turns]``; None for all.
        """
        return EmotionBatch(*self._padded(windows), *self._around(self.turn[windows], heard))

    def _padded(self, windows: torch.Tensor) -> tuple[torch.Tensor | None, torch.Tensor | None]:
        if self._frames is None:
            return None, None
        lengths = self.frames[windows]
        return self._frames.gather(self._first[windows], lengths), lengths

    def _around(self, turns: torch.Tensor, heard: torch.Tensor | None) -> tuple[torch.Tensor | None, torch.Tensor | None]:
        if self._sentences is None:
            return None, None
        rows = self._context[turns]
        present = rows >= 0
        if heard is not None:
            present &= heard[rows] | (rows == turns[:, None])
        rows = torch.where(present, rows, turns[:, None])
        sentences = torch.from_numpy(self._sentences[rows.numpy()])
        return sentences.masked_fill(~present[..., None], 0.0), present


def context_rows(turns: pd.DataFrame) -> np.ndarray:
    """Rows of the turns in context of each turn, itself in the middle, int64 ``[turns, 7]``; -1 where the session has none.

    Neighbours are the turns of all subjects of the same session, whether or not they have a class. They follow each other as
    they were said: by ``conversation_start`` where the corpus has it, then by recording and start. Recordings are in the order of
    the numbers in their names, because corpora that give each turn its own file count them (CMU-MOSEI's clips 2 and 10).
    """
    began = turns["conversation_start"].fillna(0.0) if "conversation_start" in turns else np.zeros(len(turns))
    keys = zip(turns["session"], began, map(_counted, turns["recording"]), turns["start"], strict=True)
    order = np.array([row for row, _ in sorted(enumerate(keys), key=lambda item: item[1])], dtype=np.int64)
    session = turns["session"].to_numpy()[order]
    rows = np.full((len(turns), PAST + 1 + FUTURE), -1, dtype=np.int64)
    for column, offset in enumerate(range(-PAST, FUTURE + 1)):
        place = np.arange(max(0, -offset), len(turns) - max(0, offset))
        same = session[place] == session[place + offset]
        rows[order[place[same]], column] = order[place[same] + offset]
    return rows


def heard_turns(turns: pd.DataFrame, units: Units, sets: Mapping[str, Units], name: str) -> torch.Tensor:
    """Which turns a set's units may have as context, bool ``[turns]``, so that no set learns from one that comes after it.

    Of 'train' those of training speakers, of 'dev' those of development speakers besides; never a unit of a later set. What is
    tested hears all turns: their words belong to the conversation, and nothing is learnt there.

    Args:
        turns: The table of all turns.
        units: All units that have a class, divided or not.
        sets: The sets by name.
        name: Of the set whose units are looked at.
    """
    if name == "test":
        return torch.ones(len(turns), dtype=torch.bool)
    so_far = [sets[known] for known in ("train", "dev")[: 1 + (name == "dev")]]
    heard = turns["speaker"].isin({speaker for part in so_far for speaker in part.table["speaker"]}).to_numpy(copy=True)
    heard[np.concatenate(units.segments)] = False
    for part in so_far:
        heard[np.concatenate(part.segments)] = True
    return torch.from_numpy(heard)


def _counted(name: str) -> list[str | int]:
    """A key that sorts 'clip 2' before 'clip 10'."""
    return [int(part) if number % 2 else part for number, part in enumerate(re.split(r"([0-9]+)", name))]
