"""Contract of trainables/features/frames.py."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from trainables.errors import UserError
from trainables.features import frames as module
from trainables.features.frames import FILE_NAME, FrameTable, FrameWriter

LENGTHS = [3, 1, 7, 2]


@pytest.fixture
def turns():
    return torch.randn(sum(LENGTHS), 4, generator=torch.Generator().manual_seed(0)).split(LENGTHS)


@pytest.fixture
def folder(tmp_path, turns):
    _write(tmp_path, turns)
    first = np.cumsum(LENGTHS) - LENGTHS
    pd.DataFrame({"unit": list("abcd"), "first_frame": first, "frames": LENGTHS}).to_parquet(tmp_path / "segments.parquet")
    return tmp_path


def _write(folder, turns, dtype="float32"):
    with FrameWriter(folder, 4, dtype) as writer:
        for turn in turns:
            writer.append(turn)


def read(table, number):
    """All frames of a turn."""
    return torch.cat(list(table.blocks(number)))


def test_every_turn_comes_back(folder, turns):
    table = FrameTable(folder)
    assert (len(table), table.dimensions, table.lengths.tolist()) == (4, 4, LENGTHS)
    assert all(torch.equal(read(table, number), turn) for number, turn in enumerate(turns))


@pytest.mark.parametrize("block", [1, 3, 100])
def test_blocks_of_a_turn_are_the_turn(folder, turns, monkeypatch, block):
    monkeypatch.setattr(module, "_BLOCK", block)
    blocks = list(FrameTable(folder).blocks(2))
    assert max(map(len, blocks)) <= block
    assert torch.equal(torch.cat(blocks), turns[2])


def test_gathered_turns_are_in_the_asked_order_as_often_as_asked_and_zero_beyond_their_ends(folder, turns):
    table, asked = FrameTable(folder), torch.tensor([3, 0, 2, 0])
    batch = table.gather(table.first[asked], table.lengths[asked])
    assert batch.shape == (4, 7, 4)
    for row, number in zip(batch, asked.tolist(), strict=True):
        assert torch.equal(row[: LENGTHS[number]], turns[number])
        assert not row[LENGTHS[number] :].any()


def test_stretches_within_turns_can_be_gathered(folder, turns):
    batch = FrameTable(folder).gather(torch.tensor([6, 1]), torch.tensor([2, 1]))
    assert torch.equal(batch[0], turns[2][2:4])
    assert torch.equal(batch[1, :1], turns[0][1:2])


def test_nothing_gathered_is_an_empty_batch(folder):
    nothing = torch.tensor([], dtype=torch.int64)
    assert FrameTable(folder).gather(nothing, nothing).shape == (0, 0, 4)


@pytest.mark.parametrize(("first", "length"), [(-1, 2), (12, 2), (13, 1)])
def test_a_stretch_outside_is_refused(folder, first, length):
    with pytest.raises(IndexError, match="from 0 to 12"):
        FrameTable(folder).gather(torch.tensor([0, first]), torch.tensor([1, length]))


def test_changing_what_was_read_does_not_change_the_file(folder, turns):
    for block in FrameTable(folder).blocks(2):
        block.zero_()
    assert torch.equal(read(FrameTable(folder), 2), turns[2])


def test_float16_is_read_as_float32(folder, turns):
    _write(folder, turns, "float16")
    found = read(FrameTable(folder), 2)
    assert found.dtype == torch.float32
    assert torch.equal(found, turns[2].half().float())


def test_parts_put_together_are_the_file_that_would_have_been_written_at_once(folder, turns, tmp_path):
    for name, part in (("a", turns[:1]), ("b", turns[1:])):
        (tmp_path / name).mkdir()
        _write(tmp_path / name, part)
    whole = (folder / FILE_NAME).read_bytes()
    with FrameWriter(folder, 4, "float32") as writer:
        writer.extend(tmp_path / "a")
        writer.extend(tmp_path / "b")
    assert (folder / FILE_NAME).read_bytes() == whole


@pytest.mark.parametrize("value", [float("nan"), 1e6])
def test_a_value_that_the_file_cannot_hold_is_told_and_leaves_no_file(tmp_path, value):
    with pytest.raises(UserError, match="not finite in float16 in row 0"), FrameWriter(tmp_path, 4) as writer:
        writer.append(torch.full((2, 4), value))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("column", [{"frames": [3, 1, 7, 3]}, {"first_frame": [0, 4, 3, 11]}])
def test_a_table_of_other_frames_is_told_with_what_to_do(folder, column):
    table = pd.read_parquet(folder / "segments.parquet").assign(**column)
    table.to_parquet(folder / "segments.parquet")
    with pytest.raises(UserError, match=r"13 frames in .*frames\.npy.*run its stage again"):
        FrameTable(folder)


def test_a_truncated_file_is_told_with_what_to_do(folder):
    file = folder / FILE_NAME
    file.write_bytes(file.read_bytes()[:200])
    with pytest.raises(UserError, match=r"(?s)frames\.npy.*run its stage again"):
        FrameTable(folder)
