"""Contract of trainables/turn_statistics.py."""

import numpy as np
import pandas as pd
import pytest
import torch

from tests.trainables.fake_context import FakeContext
from trainables.features import frames as frames_module
from trainables.features.frames import FrameWriter
from trainables.filterbank_features import FilterbankFeatures
from trainables.tasks import TASKS
from trainables.turn_statistics import TurnStatistics
from trainables.units import read_units

FILTERBANKS = FilterbankFeatures(corpus="mdd", unit="session")
STAGE = TurnStatistics(filterbanks=FILTERBANKS)
LENGTHS = (1, 250, 7, 3)


@pytest.fixture
def folder(tmp_path):
    """Filterbanks of two sessions of two turns."""
    folder = tmp_path / "filterbanks"
    folder.mkdir()
    generator = torch.Generator().manual_seed(0)
    with FrameWriter(folder, 80) as writer:
        for length in LENGTHS:
            writer.append(torch.randn(length, 80, generator=generator) * 3 - 9)
    segments = pd.DataFrame({"unit": ["a", "a", "b", "b"], "position": [0, 1, 0, 1], "seconds": np.array(LENGTHS) / 100})
    segments = segments.assign(turn=list("wxyz"), speaker=segments["unit"], session=segments["unit"], split="train")
    segments = segments.assign(depressed=[0.0, 0.0, 1.0, 1.0], first_frame=np.cumsum(LENGTHS) - LENGTHS, frames=LENGTHS)
    segments.to_parquet(folder / "segments.parquet", index=False)
    return folder


def statistics(folder, out):
    STAGE.run(FakeContext(out, {FILTERBANKS: folder}))
    return np.load(out / "embeddings.npy")


@pytest.mark.parametrize("block", [32768, 64])
def test_a_turns_vector_is_the_mean_and_then_the_deviation_over_its_frames(folder, tmp_path, monkeypatch, block):
    monkeypatch.setattr(frames_module, "_BLOCK", block)
    found = statistics(folder, tmp_path / "out")
    turns = np.split(np.load(folder / "frames.npy").astype(np.float64), np.cumsum(LENGTHS)[:-1])
    expected = [np.concatenate([turn.mean(axis=0), turn.std(axis=0)]) for turn in turns]
    assert (found.dtype, found.shape) == (np.float32, (4, 160))
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)


def test_the_deviation_of_a_single_frame_is_0(folder, tmp_path):
    assert not statistics(folder, tmp_path / "out")[0, 80:].any()


def test_the_table_is_that_of_the_filterbanks_without_their_frames_and_units_can_be_read_of_it(folder, tmp_path):
    statistics(folder, tmp_path / "out")
    found, given = (pd.read_parquet(path / "segments.parquet") for path in (tmp_path / "out", folder))
    pd.testing.assert_frame_equal(found, given.drop(columns=["first_frame", "frames"]))
    units = read_units(tmp_path / "out", TASKS["depression"])
    assert [rows.tolist() for rows in units.segments] == [[0, 1], [2, 3]]
    assert units.truth.tolist() == [0, 1]


def test_it_describes_the_corpus_and_unit_of_its_filterbanks():
    stage = TurnStatistics(filterbanks=FilterbankFeatures(corpus="mosei", unit="utterance"))
    assert (stage.corpus, stage.unit) == ("mosei", "utterance")
