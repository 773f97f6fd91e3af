"""Contract of trainables/filterbank_features.py."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch

from orchestrator.artifacts import ArtifactStore
from orchestrator.execution.job import StageFailed
from orchestrator.execution.local import LocalExecutor
from orchestrator.execution.setting import Setting
from orchestrator.provenance import code_version
from tests.tiny_corpora import write_tiny_corpora
from trainables import filterbank_features
from trainables.corpora.audio import read_audio
from trainables.corpora.registry import open_corpora
from trainables.features.filterbank import Filterbank, deltas
from trainables.features.frames import FrameTable
from trainables.filterbank_features import FilterbankFeatures
from trainables.identity import fingerprint
from trainables.tasks import TASKS
from trainables.turns import turn_table
from trainables.units import read_units

RESULT = ("frames.npy", "segments.parquet", "metrics.json")


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("written")
    write_tiny_corpora(folder / "corpora")
    return folder


@pytest.fixture(scope="module")
def corpora(written):
    return open_corpora(str(written / "corpora" / "corpora.toml"), written, ["mdd", "mosei"])


@pytest.fixture
def mdd(written, tmp_path):
    """A copy, to be spoilt."""
    shutil.copytree(written / "corpora", tmp_path / "corpora")
    return open_corpora(str(tmp_path / "corpora" / "corpora.toml"), tmp_path, ["mdd"])


def result(corpora, stage, store) -> Path:
    executor = LocalExecutor(Setting(corpora=corpora, store=str(store), code=code_version()), lambda *call: None)
    executor.finish_chain(stage)
    return ArtifactStore(store).path(executor.setting.fingerprint(stage))


def frames_of(table, number):
    return torch.cat(list(table.blocks(number)))


def spoil(corpora, recording, value):
    """Put a value into the middle that the corpus' digest, which was taken before, does not stand for."""
    file = Path(corpora["mdd"].root) / recording
    samples, rate = soundfile.read(file)
    samples[3 * rate] = value
    soundfile.write(file, samples, rate, subtype="FLOAT")


def trust(monkeypatch):
    """Damage that shows only in the samples: here the corpus is not compared with its digest first."""
    monkeypatch.setattr("trainables.corpora.corpus.CorpusSource.verify", lambda corpus: None)


@pytest.mark.parametrize("role", ["mdd", "mosei"])
def test_each_turns_frames_are_the_filterbank_and_deltas_of_its_own_sound(corpora, tmp_path, role):
    unit = "session" if role == "mdd" else "utterance"
    directory = result(corpora, FilterbankFeatures(corpus=role, unit=unit, storage="float32"), tmp_path / "store")
    table, segments = FrameTable(directory), pd.read_parquet(directory / "segments.parquet")
    assert len(table) == len(segments) == (24 if role == "mdd" else 36)
    for number, row in segments.iterrows():
        bank = Filterbank()(torch.from_numpy(read_audio(corpora[role].audio_path(row["recording"]), row["start"], row["end"])))
        assert torch.equal(frames_of(table, number), torch.cat([bank, deltas(bank)], dim=1))


@pytest.mark.parametrize("limit", [("PART_UNITS", 1), ("PART_UNITS", 5), ("PART_SECONDS", 20.0)])
def test_the_bytes_are_the_same_in_however_many_parts(corpora, tmp_path, monkeypatch, limit):
    stage = FilterbankFeatures(corpus="mdd", unit="session")
    whole = result(corpora, stage, tmp_path / "whole")
    calls, run_part = [], FilterbankFeatures.run_part
    monkeypatch.setattr(f"trainables.parts.{limit[0]}", limit[1])
    monkeypatch.setattr(FilterbankFeatures, "run_part", lambda *arguments: (calls.append(1), run_part(*arguments)))
    divided = result(corpora, stage, tmp_path / "divided")
    assert len(calls) > 1
    for name in RESULT:
        assert (divided / name).read_bytes() == (whole / name).read_bytes(), name


def test_after_a_failure_only_the_missing_parts_are_computed(mdd, tmp_path, monkeypatch):
    trust(monkeypatch)
    monkeypatch.setattr("trainables.parts.PART_UNITS", 4)
    stage, calls, run_part = FilterbankFeatures(corpus="mdd", unit="session"), [], FilterbankFeatures.run_part
    monkeypatch.setattr(FilterbankFeatures, "run_part", lambda *arguments: (calls.append(1), run_part(*arguments)))
    sound = Path(mdd["mdd"].root) / "s07.wav"
    healthy = sound.read_bytes()
    spoil(mdd, "s07.wav", np.nan)
    with pytest.raises(StageFailed, match=r"s07\.wav"):
        result(mdd, stage, tmp_path / "store")
    sound.write_bytes(healthy)
    ArtifactStore(tmp_path / "store").clear_failure(fingerprint(stage, {"mdd": mdd["mdd"].digest}))
    result(mdd, stage, tmp_path / "store")
    assert len(calls) == 6 + 1


@pytest.mark.parametrize("turns", [512, 4], ids=["one part", "six parts"])
def test_every_damaged_recording_of_every_part_is_named(mdd, tmp_path, monkeypatch, turns):
    trust(monkeypatch)
    monkeypatch.setattr("trainables.parts.PART_UNITS", turns)
    spoil(mdd, "s01.wav", np.nan)
    spoil(mdd, "s07.wav", 1e30)
    (Path(mdd["mdd"].root) / "s09.wav").unlink()
    with pytest.raises(StageFailed, match=r"3 faults[\s\S]*s01\.wav[\s\S]*s07\.wav[\s\S]*s09\.wav"):
        result(mdd, FilterbankFeatures(corpus="mdd", unit="session"), tmp_path / "store")


def test_a_corpus_that_is_no_longer_the_planned_one_is_refused(mdd, tmp_path):
    spoil(mdd, "s01.wav", 0.5)
    with pytest.raises(StageFailed, match="has changed since it was opened"):
        result(mdd, FilterbankFeatures(corpus="mdd", unit="session"), tmp_path / "store")


def test_the_table_has_the_subjects_turns_with_where_their_frames_lie_and_units_can_be_read_of_it(corpora, tmp_path):
    directory = result(corpora, FilterbankFeatures(corpus="mdd", unit="session"), tmp_path / "store")
    segments = pd.read_parquet(directory / "segments.parquet")
    pd.testing.assert_frame_equal(segments.drop(columns=["first_frame", "frames"]), turn_table(corpora["mdd"], "session"))
    assert "text" not in segments
    assert (segments["speaker"] != "doctor").all()
    assert (segments["frames"] == (segments["seconds"] * 100).round()).all()
    units = read_units(directory, TASKS["depression"])
    assert [rows.tolist() for rows in units.segments] == [[2 * number, 2 * number + 1] for number in range(12)]
    assert json.loads((directory / "metrics.json").read_text())["frames"] == len(np.load(directory / "frames.npy", mmap_mode="r"))


def test_a_long_turn_is_read_piece_by_piece_and_only_its_seams_tell(corpora, tmp_path, monkeypatch):
    stage = FilterbankFeatures(corpus="mdd", unit="session", storage="float32")
    whole = FrameTable(result(corpora, stage, tmp_path / "whole"))
    read: list[float] = []

    def recording(path, start, end, rate):
        read.append(end - start)
        return read_audio(path, start, end, rate)

    monkeypatch.setattr(filterbank_features, "_PIECE_SECONDS", 2.0)
    monkeypatch.setattr("trainables.corpora.audio.read_audio", recording)
    table = FrameTable(result(corpora, stage, tmp_path / "store"))
    assert max(read) <= 2.01
    assert len(read) > 2 * len(table)
    assert torch.equal(table.lengths, whole.lengths)
    for number in range(len(table)):
        frames, length = frames_of(table, number), int(table.lengths[number])
        pieces = -(-length // 200)
        seams = torch.tensor([length * seam // pieces for seam in range(1, pieces)])
        far = ((torch.arange(length)[:, None] - seams).abs() > 4).all(dim=1)
        torch.testing.assert_close(frames[far], frames_of(whole, number)[far], rtol=0, atol=2e-4)
        assert far.float().mean() > 0.9


def test_float16_costs_at_most_a_256th_of_a_nat(corpora, tmp_path):
    exact = FilterbankFeatures(corpus="mdd", unit="session", storage="float32")
    half = FilterbankFeatures(corpus="mdd", unit="session")
    found, expected = (np.load(result(corpora, stage, tmp_path / "store") / "frames.npy") for stage in (half, exact))
    assert found.dtype == np.float16
    assert 0 < np.abs(found - expected).max() <= 1 / 256


def test_without_deltas_there_are_the_filterbanks_alone(corpora, tmp_path):
    stage = FilterbankFeatures(corpus="mdd", unit="session", deltas=False, mels=23, hop=320)
    table = FrameTable(result(corpora, stage, tmp_path / "store"))
    assert (table.dimensions, stage.dimensions, FilterbankFeatures(corpus="mdd", unit="session").dimensions) == (23, 23, 80)
