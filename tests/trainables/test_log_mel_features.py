"""Contract of trainables/log_mel_features.py: what it makes does not show in how many parts it was made."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from orchestrator.artifacts import ArtifactStore
from orchestrator.execution.job import StageFailed
from orchestrator.execution.local import LocalExecutor
from orchestrator.execution.setting import Setting
from orchestrator.provenance import code_version
from tests.tiny_corpora import write_tiny_corpora
from trainables.corpora.registry import open_corpora
from trainables.log_mel_features import LogMelFeatures

RESULT = ("features.npy", "segments.parquet", "metrics.json")


@pytest.fixture
def corpora(tmp_path):
    return open_corpora(str(write_tiny_corpora(tmp_path / "corpora")), tmp_path, ["mdd", "mosei"])


def result(corpora, stage, store) -> Path:
    executor = LocalExecutor(Setting(corpora=corpora, store=str(store), code=code_version()), lambda *call: None)
    executor.finish_chain(stage)
    return ArtifactStore(store).path(executor.setting.fingerprint(stage))


@pytest.mark.parametrize("limit", [("PART_UNITS", 1), ("PART_UNITS", 5), ("PART_SECONDS", 20.0)])
@pytest.mark.parametrize(("role", "unit"), [("mdd", "session"), ("mosei", "utterance")])
def test_the_bytes_are_the_same_in_however_many_parts(corpora, tmp_path, monkeypatch, role, unit, limit):
    stage = LogMelFeatures(corpus=role, unit=unit, segment_seconds=1.0)
    whole = result(corpora, stage, tmp_path / "whole")
    calls, run_part = [], LogMelFeatures.run_part
    monkeypatch.setattr(f"trainables.parts.{limit[0]}", limit[1])
    monkeypatch.setattr(LogMelFeatures, "run_part", lambda *arguments: (calls.append(1), run_part(*arguments)))
    divided = result(corpora, stage, tmp_path / "divided")
    assert len(calls) > 1
    for name in RESULT:
        assert (divided / name).read_bytes() == (whole / name).read_bytes(), name


def test_a_small_corpus_is_one_part(corpora, tmp_path, monkeypatch):
    calls, run_part = [], LogMelFeatures.run_part
    monkeypatch.setattr(LogMelFeatures, "run_part", lambda *arguments: (calls.append(1), run_part(*arguments)))
    result(corpora, LogMelFeatures(corpus="mdd", unit="session"), tmp_path / "store")
    assert len(calls) == 1


@pytest.mark.parametrize("units", [512, 2], ids=["one part", "six parts"])
def test_every_damaged_recording_of_every_part_is_named(corpora, tmp_path, monkeypatch, units):
    monkeypatch.setattr("trainables.parts.PART_UNITS", units)
    spoil(corpora, "s01.wav", np.nan)
    spoil(corpora, "s07.wav", np.nan)
    spoil(corpora, "s09.wav", 1e30)  # finite, but its power is not
    with pytest.raises(StageFailed, match=r"3 faults[\s\S]*s01\.wav[\s\S]*s07\.wav[\s\S]*s09\.wav"):
        result(corpora, LogMelFeatures(corpus="mdd", unit="session"), tmp_path / "store")


def spoil(corpora, recording, value):
    """Put a value into the middle that the corpus' digest, which was taken before, does not stand for."""
    file = Path(corpora["mdd"].root) / recording
    samples, rate = soundfile.read(file)
    samples[3 * rate] = value
    soundfile.write(file, samples, rate, subtype="FLOAT")


@pytest.fixture(autouse=True)
def _trusting(monkeypatch):
    """Damage that shows only in the samples: here the corpus is not compared with its digest first."""
    monkeypatch.setattr("trainables.corpora.corpus.CorpusSource.verify", lambda corpus: None)


def test_the_turns_of_a_session_are_one_unit_with_the_sessions_labels_in_the_manifests_order(corpora, tmp_path):
    directory = result(corpora, LogMelFeatures(corpus="mdd", unit="session"), tmp_path / "store")
    table = pd.read_parquet(directory / "segments.parquet")
    assert table["unit"].drop_duplicates().tolist() == [f"s{number:02d}" for number in range(12)]
    assert (table["unit"] == table["session"]).all()
    assert table.groupby("unit")["depressed"].first().tolist() == [number % 2 for number in range(12)]
    assert not {"recording", "start", "end", "segment", "talker", "text"} & set(table)
    assert json.loads((directory / "metrics.json").read_text())["units"] == 12
