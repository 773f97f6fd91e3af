"""Contract of trainables/frame_chunks.py."""

from collections import Counter

import numpy as np
import pandas as pd
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from trainables.errors import UserError
from trainables.features.frames import FrameTable
from trainables.frame_chunks import FrameChunks

LENGTHS = (40, 10, 7, 3, 16)
FIRST = np.cumsum(LENGTHS) - LENGTHS
FRAMES, LEAST = 10, 4
ALL = tuple(range(len(LENGTHS)))
EPOCH = {0: 4, 1: 1, 2: 1, 4: 2}
"""Chunks of each utterance in an epoch; number 3 is too short."""


def table_of(folder, lengths):
    """Frames of two values: number of the utterance, and number of the frame in it, from 1."""
    values = [np.stack([np.full(length, turn), np.arange(1, length + 1)], axis=1) for turn, length in enumerate(lengths)]
    np.save(folder / "frames.npy", np.concatenate(values).astype(np.float32))
    ends = np.cumsum(lengths)
    pd.DataFrame({"first_frame": ends - lengths, "frames": lengths}).to_parquet(folder / "segments.parquet")
    return FrameTable(folder)


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return table_of(tmp_path_factory.mktemp("frames"), LENGTHS)


def chunks_of(table, rows=ALL, batch_size=2, seed=0):
    return FrameChunks(table, torch.tensor(list(rows)), FRAMES, LEAST, batch_size, seed)


def batch_of(chunks, step, size=2):
    """Utterance, first frame and length of each chunk of a step, after a look at what it holds."""
    lengths, batch = chunks.lengths(step), chunks.gather(step, slice(0, size))
    assert (batch.dtype, batch.shape) == (torch.float32, (size, int(lengths.max()), 2))
    found = []
    for chunk, length in zip(batch, lengths.tolist(), strict=True):
        turn, first = int(chunk[0, 0]), int(chunk[0, 1])
        assert chunk[:length, 0].eq(turn).all()
        torch.testing.assert_close(chunk[:length, 1], torch.arange(first, first + length).float(), rtol=0, atol=0)
        assert chunk[length:].eq(0).all()
        found.append((turn, first - 1, length))
    return found


def epoch_of(chunks, number=0, size=2):
    steps = range(number * chunks.steps_per_epoch, (number + 1) * chunks.steps_per_epoch)
    return [chunk for step in steps for chunk in batch_of(chunks, step, size)]


def test_an_utterance_has_a_chunk_for_every_chunks_length_that_it_lasts(table):
    chunks = chunks_of(table)
    assert chunks.steps_per_epoch == 4
    for epoch in range(3):
        assert Counter(turn for turn, _, _ in epoch_of(chunks, epoch)) == EPOCH


def test_a_chunk_is_a_whole_shorter_utterance_or_a_stretch_inside_a_longer_one(table):
    chunks = chunks_of(table)
    for turn, first, length in (chunk for epoch in range(20) for chunk in epoch_of(chunks, epoch)):
        assert length == min(LENGTHS[turn], FRAMES)
        assert 0 <= first <= LENGTHS[turn] - length


def test_chunks_begin_anywhere_equally_often(table):
    chunks = chunks_of(table, rows=[4])
    starts = Counter(first for epoch in range(700) for _, first, _ in epoch_of(chunks, epoch))
    assert set(starts) == set(range(LENGTHS[4] - FRAMES + 1))
    assert all(150 < count < 250 for count in starts.values())  # 200 expected, 13 the deviation


def test_utterances_below_the_least_length_are_left_out_and_counted(table):
    chunks = chunks_of(table)
    assert (chunks.utterances, chunks.too_short) == (4, 1)
    assert chunks.rows.tolist() == [0, 1, 2, 4]
    shortest = FrameChunks(table, torch.tensor([3]), FRAMES, LENGTHS[3], 1, 0)
    assert (shortest.utterances, shortest.too_short) == (1, 0)


def test_only_the_given_utterances_are_heard(table):
    chunks = chunks_of(table, rows=[1, 4, 3])
    assert {turn for epoch in range(5) for turn, _, _ in epoch_of(chunks, epoch)} <= {1, 4}
    assert (chunks.utterances, chunks.too_short) == (2, 1)


def test_batches_depend_on_seed_and_step_alone(table):
    one, other = chunks_of(table), chunks_of(table)
    backwards = [batch_of(other, step) for step in reversed(range(12))]
    assert [batch_of(one, step) for step in range(12)] == backwards[::-1]
    assert [batch_of(chunks_of(table, seed=1), step) for step in range(12)] != backwards[::-1]


def test_places_of_a_batch_are_those_of_the_whole_batch_padded_to_its_longest(table):
    chunks = chunks_of(table, batch_size=4)
    for step in range(10):
        whole = chunks.gather(step, slice(0, 4))
        parts = [chunks.gather(step, slice(place, place + 2)) for place in (0, 2)]
        torch.testing.assert_close(torch.cat(parts), whole, rtol=0, atol=0)


def test_too_few_chunks_for_a_batch_are_refused_with_what_to_do(table):
    with pytest.raises(UserError, match=r"batch_size 9 is more than the 8 chunks of 10 frames in 5 utterances \(1 of them .*lower"):
        chunks_of(table, batch_size=9)
    with pytest.raises(UserError, match="batch_size 1 is more than the 0 chunks"):
        chunks_of(table, rows=[3], batch_size=1)


class _Largest(TorchDispatchMode):
    """Remembers the most values that a tensor had which was made here."""

    values = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        made = function(*args, **(kwargs or {}))
        for tensor in tree_leaves(made):
            if isinstance(tensor, torch.Tensor):
                self.values = max(self.values, tensor.numel())
        return made


def test_a_batch_costs_its_own_memory_however_long_a_file_is(tmp_path):
    chunks = chunks_of(table_of(tmp_path, (200_000, 30)), rows=[0, 1])
    with _Largest() as largest:
        for step in range(50):
            chunks.lengths(step)
            chunks.gather(step, slice(0, 2))
    # Besides frames only the order of the epoch's 20,003 chunks is held.
    assert largest.values <= max(2 * FRAMES * 2, 20_003)
