"""Contract of trainables/features/shards.py."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from trainables.errors import UserError
from trainables.features.shards import FILE_NAME, FeatureShard, FeatureWriter


def _write(folder, rows, dtype="float32"):
    with FeatureWriter(folder, *rows.shape[1:], dtype=dtype) as writer:
        for row in rows:
            writer.append(row)


@pytest.fixture
def rows():
    return torch.rand(9, 5, 4, generator=torch.Generator().manual_seed(0)) * 120 - 100


@pytest.mark.parametrize("kind", [torch.tensor, np.array])
def test_rows_come_back_in_the_asked_order_as_often_as_asked(tmp_path, rows, kind):
    _write(tmp_path, rows)
    shard, asked = FeatureShard(tmp_path), [7, 0, 3, 7, 8, 3]
    assert len(shard) == 9
    assert torch.equal(shard.gather(kind(asked)), rows[asked])


def test_no_index_gives_an_empty_batch(tmp_path, rows):
    _write(tmp_path, rows)
    assert FeatureShard(tmp_path).gather(torch.tensor([], dtype=torch.int64)).shape == (0, 5, 4)


def test_float16_rounds_log_mel_by_at_most_4_hundredths_of_a_db_and_is_read_as_float32(tmp_path):
    rows = torch.linspace(-100, 40, 20 * 50 * 64).reshape(20, 50, 64)
    _write(tmp_path, rows, "float16")
    found = FeatureShard(tmp_path).gather(torch.arange(20))
    assert found.dtype == torch.float32
    assert 0 < (found - rows).abs().max() <= 0.04


def test_changing_a_batch_does_not_change_the_file(tmp_path, rows):
    _write(tmp_path, rows)
    shard = FeatureShard(tmp_path)
    shard.gather(torch.tensor([2])).zero_()
    assert torch.equal(shard.gather(torch.tensor([2])), rows[[2]])


@pytest.mark.parametrize("index", [-1, 9])
def test_an_index_outside_is_refused(tmp_path, rows, index):
    _write(tmp_path, rows)
    with pytest.raises(IndexError, match="from 0 to 8"):
        FeatureShard(tmp_path).gather(torch.tensor([1, index]))


@pytest.mark.parametrize("kept", [0, 60, 200, -1])
def test_a_truncated_file_is_told_with_what_to_do(tmp_path, rows, kept):
    _write(tmp_path, rows)
    file = tmp_path / FILE_NAME
    file.write_bytes(file.read_bytes()[:kept])
    with pytest.raises(UserError, match=r"(?s)features\.npy.*run its stage again"):
        FeatureShard(tmp_path)


def test_a_missing_file_is_told_with_what_to_do(tmp_path):
    with pytest.raises(UserError, match=r"found no .*features\.npy.*run its stage again"):
        FeatureShard(tmp_path)


@pytest.mark.parametrize("array", [np.zeros((3, 4)), np.zeros((3, 4, 5), dtype="int16"), np.array([{}], dtype=object)])
def test_a_file_that_holds_no_features_is_told(tmp_path, array):
    np.save(tmp_path / FILE_NAME, array, allow_pickle=True)
    with pytest.raises(UserError, match=r"features\.npy"):
        FeatureShard(tmp_path)


def test_a_writer_that_is_left_early_leaves_no_file(tmp_path, rows):
    def interrupted():
        yield rows[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), FeatureWriter(tmp_path, 5, 4) as writer:
        list(map(writer.append, interrupted()))
    assert list(tmp_path.iterdir()) == []


def test_no_rows_are_an_error_and_leave_no_file(tmp_path):
    with pytest.raises(UserError, match="at least one segment"), FeatureWriter(tmp_path, 5, 4):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_row_of_another_shape_is_an_error(tmp_path, rows):
    with pytest.raises(ValueError, match="after 0 rows"), FeatureWriter(tmp_path, 5, 4) as writer:
        writer.append(rows[0, :4])


def test_the_file_is_what_numpy_writes_however_many_rows_there_are(tmp_path):
    rows = torch.rand(1234, 3, 2)
    _write(tmp_path, rows)
    assert np.array_equal(np.load(tmp_path / FILE_NAME), rows.numpy())


@pytest.mark.parametrize("value", [float("nan"), 1e6])
def test_a_value_that_the_file_cannot_hold_is_told(tmp_path, value):
    with pytest.raises(UserError, match="not finite in float16 in row 0"), FeatureWriter(tmp_path, 5, 4) as writer:
        writer.append(torch.full((5, 4), value))


def test_a_shard_made_of_other_shards_is_the_one_that_would_have_been_written_at_once(tmp_path, rows):
    for name, part in (("a", rows[:4]), ("b", rows[4:]), ("all", rows)):
        (tmp_path / name).mkdir()
        _write(tmp_path / name, part, "float16")
    with FeatureWriter(tmp_path, 5, 4) as writer:
        writer.extend(tmp_path / "a")
        writer.extend(tmp_path / "b")
    assert (tmp_path / FILE_NAME).read_bytes() == (tmp_path / "all" / FILE_NAME).read_bytes()


@pytest.mark.parametrize(("shape", "dtype"), [((5, 4), "float32"), ((5, 3), "float16")])
def test_a_shard_of_another_kind_cannot_be_appended(tmp_path, shape, dtype):
    (tmp_path / "part").mkdir()
    _write(tmp_path / "part", torch.zeros(2, *shape), dtype)
    with pytest.raises(ValueError, match=r"expected rows of float16 \[5, 4\]"), FeatureWriter(tmp_path, 5, 4) as writer:
        writer.extend(tmp_path / "part")


def test_a_damaged_shard_cannot_be_appended(tmp_path, rows):
    (tmp_path / "part").mkdir()
    _write(tmp_path / "part", rows, "float16")
    file = tmp_path / "part" / FILE_NAME
    file.write_bytes(file.read_bytes()[:200])
    with pytest.raises(UserError, match=r"(?s)features\.npy.*run its stage again"), FeatureWriter(tmp_path, 5, 4) as writer:
        writer.extend(tmp_path / "part")


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_values_are_rounded_as_numpy_rounds_them(tmp_path, dtype):
    rows = torch.randn(7, 50, 64, generator=torch.Generator().manual_seed(0)) * 40
    _write(tmp_path, rows, dtype)
    assert np.array_equal(np.load(tmp_path / FILE_NAME), rows.numpy().astype(dtype))
