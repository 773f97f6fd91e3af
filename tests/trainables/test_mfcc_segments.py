"""Contract of trainables/mfcc_segments.py."""

from __future__ import annotations

import json
from pathlib import Path

import librosa
import numpy as np
import pandas as pd
import pytest
import soundfile
from pydantic import ValidationError

from orchestrator.execution.job import StageFailed
from tests.tiny_corpora import write_tiny_corpora
from tests.trainables.spoken_corpora import finished
from trainables.corpora.corpus import CorpusSource
from trainables.corpora.registry import open_corpora
from trainables.mfcc_segments import MfccSegments, stretches
from trainables.tasks import TASKS
from trainables.units import read_units

RATE = 44100
RESULT = ("features.npy", "segments.parquet", "metrics.json")

# What each recording holds: seconds and amplitude of noise, one after the other.
SOUNDS = {
    "p0.wav": [(9.0, 0.1)],
    "p1.wav": [(5.0, 0.1)],
    "p2.wav": [(1.0, 0.1)],
    "p3.wav": [(2.0, 0.1), (3.0, 0.0), (4.0, 0.1)],
}
# The subject's turns; p0 has two about one of the interviewer's.
TURNS = [("p0.wav", 0.0, 3.0), ("p0.wav", 5.0, 9.0), ("p1.wav", 0.0, 5.0), ("p2.wav", 0.0, 1.0), ("p3.wav", 0.0, 9.0)]


def open_written(folder: Path, sounds: dict[str, list[tuple[float, float]]], rows: list[dict]) -> dict[str, CorpusSource]:
    """An ``mdd`` of these sounds and rows, 44.1 kHz."""
    rng = np.random.default_rng(0)
    (folder / "mdd").mkdir(parents=True)
    for name, parts in sounds.items():
        noise = np.concatenate([level * rng.standard_normal(round(RATE * seconds)) for seconds, level in parts])
        soundfile.write(folder / "mdd" / name, noise, RATE)
    pd.DataFrame(rows).to_csv(folder / "mdd" / "metadata.csv", index=False)
    (folder / "corpora.toml").write_text('[mdd]\nroot = "mdd"\nreader = "generic"\n')
    return open_corpora(str(folder / "corpora.toml"), folder, ["mdd"])


def row(name: str, start: float, end: float, talker: str = "subject") -> dict:
    number, speaker = int(name[1]), name[:2] if talker == "subject" else "doctor"
    whole = {"file_name": name, "session": name[:2], "depressed": number % 2, "text": "yes", "prompt": f"at {start:g} s"}
    return {**whole, "start": start, "end": end, "talker": talker, "speaker": speaker}


@pytest.fixture(scope="module")
def corpora(tmp_path_factory):
    rows = [*(row(*turn) for turn in TURNS), row("p0.wav", 3.0, 5.0, "interviewer")]
    return open_written(tmp_path_factory.mktemp("corpora"), SOUNDS, rows)


@pytest.fixture(scope="module")
def written(corpora, tmp_path_factory):
    return finished(corpora, MfccSegments(corpus="mdd"), tmp_path_factory.mktemp("store"))


def heard(corpora, name: str, *spans: tuple[float, float]) -> np.ndarray:
    """These spans (s) of a recording one after the other, resampled to 16 kHz by librosa."""
    whole, _ = soundfile.read(Path(corpora["mdd"].root) / name, dtype="float32")
    parts = [whole[round(RATE * start) : round(RATE * end)] for start, end in spans]
    return np.concatenate([librosa.resample(part, orig_sr=RATE, target_sr=16000, res_type="soxr_hq") for part in parts])


def by_librosa(samples: np.ndarray) -> np.ndarray:
    """``[frames, coefficients]`` of at most 4 s, padded with digital silence."""
    return librosa.feature.mfcc(y=np.pad(samples, (0, 64000 - len(samples))).astype(np.float64), sr=16000).T


def test_segments_are_librosas_mfcc_of_4_s_pieces_of_the_subjects_turns_at_16_khz(corpora, written):
    features, table = np.load(written / "features.npy"), pd.read_parquet(written / "segments.parquet")
    assert features.dtype == np.float32
    assert features.shape == (6, MfccSegments(corpus="mdd").frames, 20)
    p0, p2 = heard(corpora, "p0.wav", (0.0, 3.0), (5.0, 9.0)), heard(corpora, "p2.wav", (0.0, 1.0))
    for name, samples in {"p0#0": p0[:64000], "p0#1": p0[64000:], "p2#0": p2}.items():
        number = table.index[table["session"] == name[:2]][int(name[-1])]
        np.testing.assert_allclose(features[number], by_librosa(samples), rtol=0, atol=2e-3, err_msg=name)


def test_a_last_piece_of_min_seconds_or_alone_is_kept_and_a_shorter_one_dropped_and_counted(written):
    lengths = pd.read_parquet(written / "segments.parquet").groupby("session")["seconds"].apply(list)
    assert lengths[["p0", "p1", "p2"]].to_dict() == {"p0": [4.0, 3.0], "p1": [4.0], "p2": [1.0]}
    metrics = json.loads((written / "metrics.json").read_text())
    assert metrics["dropped_hours"] == pytest.approx(1 / 3600)
    assert (metrics["segments"], metrics["stretches"]) == (6, 4)


def test_long_silence_is_cut_out_before_anything_is_cut_into_segments_and_counted(written):
    table, metrics = pd.read_parquet(written / "segments.parquet"), json.loads((written / "metrics.json").read_text())
    left = table.loc[table["session"] == "p3", "seconds"]
    assert left.tolist() == pytest.approx([4.0, 2.0], abs=0.2)
    assert metrics["silent_hours"] * 3600 == pytest.approx(9 - left.sum())
    assert metrics["hours"] * 3600 == pytest.approx(table["seconds"].sum())


def test_a_row_has_its_stretch_and_the_labels_and_nothing_that_is_said(written):
    table = pd.read_parquet(written / "segments.parquet")
    facts = ["recording", "speaker", "session", "split", "depressed"]
    assert table.columns.tolist() == ["unit", "position", "seconds", "cut_from", *facts]
    first = table.iloc[0]
    assert first["cut_from"] == "p0.wav:0.0-3.0"
    assert table["unit"].tolist()[:3] == ["p0.wav:0.0-3.0#000", "p0.wav:0.0-3.0#001", "p1.wav#000"]
    assert table["unit"].is_unique
    assert (table["position"] == 0).all()
    assert (first["recording"], first["speaker"], first["depressed"]) == ("p0.wav", "p0", 0.0)


def test_a_segment_is_a_unit_for_the_stages_that_read_it(written):
    units = read_units(written, TASKS["depression"])
    features, table = np.load(written / "features.npy"), pd.read_parquet(written / "segments.parquet").set_index("unit")
    assert [len(rows) for rows in units.segments] == [1] * len(features)
    assert units.truth.tolist() == table.loc[units.table["unit"], "depressed"].tolist()
    assert units.table["cut_from"].tolist() == table.loc[units.table["unit"], "cut_from"].tolist()
    assert table.index[[rows[0] for rows in units.segments]].tolist() == units.table["unit"].tolist()


def test_a_stretch_is_the_turns_of_one_recording_with_the_same_speaker_session_and_labels_in_order_of_time():
    same = {"recording": "r.wav", "end": 99.0, "speaker": "a", "talker": "subject", "session": "r", "split": "", "text": ""}
    told = [
        ("late", {"start": 9.0}, "first"),
        ("first", {"start": 1.0, "prompt": "a question", "text": "words"}, "first"),
        ("sad", {"start": 2.0, "emotion": "sad"}, "sad"),
        ("unrated", {"start": 3.0, "valence": float("nan")}, "unrated"),
        ("rated no more", {"start": 4.0, "valence": float("nan")}, "unrated"),
        ("other speaker", {"start": 5.0, "speaker": "b"}, "other speaker"),
        ("other session", {"start": 0.0, "session": "s"}, "other session"),
        ("other recording", {"start": 0.0, "recording": "q.wav"}, "other recording"),
        ("asked", {"start": 1.5, "talker": "interviewer"}, None),
    ]
    labels = {"emotion": "ang", "valence": 3.0, "prompt": ""}
    manifest = pd.DataFrame([{"segment": name, **same, **labels, **changed} for name, changed, _ in told])
    found = stretches(manifest)
    assert dict(zip(found["segment"], found["cut_from"], strict=True)) == {name: of for name, _, of in told if of}
    assert found["segment"].tolist()[:3] == ["other recording", "first", "sad"]


@pytest.mark.parametrize("limit", [("PART_UNITS", 1), ("PART_SECONDS", 12.0)])
def test_the_bytes_are_the_same_in_however_many_parts(corpora, written, tmp_path, monkeypatch, limit):
    calls, run_part = [], MfccSegments.run_part
    monkeypatch.setattr(f"trainables.parts.{limit[0]}", limit[1])
    monkeypatch.setattr(MfccSegments, "run_part", lambda *arguments: (calls.append(1), run_part(*arguments)))
    divided = finished(corpora, MfccSegments(corpus="mdd"), tmp_path)
    assert len(calls) > 1
    for name in RESULT:
        assert (divided / name).read_bytes() == (written / name).read_bytes(), name


def test_every_stretch_of_digital_silence_and_every_damaged_recording_is_named(tmp_path, monkeypatch):
    silent = {"p0.wav": [(2.0, 0.0)], "p1.wav": [(1.0, 0.1)], "p2.wav": [(1.0, 0.1)], "p3.wav": [(3.0, 0.0)]}
    corpora = open_written(tmp_path, silent, [row(name, 0.0, 1.0) for name in silent])
    # Damage that shows only in the samples: the corpus is not compared with its digest first.
    monkeypatch.setattr("trainables.corpora.corpus.CorpusSource.verify", lambda corpus: None)
    monkeypatch.setattr("trainables.parts.PART_UNITS", 2)
    samples, _ = soundfile.read(tmp_path / "mdd" / "p2.wav")
    samples[100] = np.nan
    soundfile.write(tmp_path / "mdd" / "p2.wav", samples, RATE, subtype="FLOAT")
    with pytest.raises(
        StageFailed, match=r"3 faults[\s\S]*p0\.wav: 1\.00 s of digital silence[\s\S]*p2\.wav[\s\S]*p3\.wav: 1\.00 s"
    ):
        finished(corpora, MfccSegments(corpus="mdd"), tmp_path / "store")


@pytest.mark.parametrize("role", ["casia", "daic_woz"])
def test_other_corpora_and_short_segments_of_few_coefficients_are_cut_too(tmp_path, role):
    corpora = open_corpora(str(write_tiny_corpora(tmp_path / "corpora")), tmp_path, [role])
    stage = MfccSegments(corpus=role, segment_seconds=0.64, min_seconds=0.3, window=512, mels=26, coefficients=8)
    directory = finished(corpora, stage, tmp_path / "store")
    assert np.load(directory / "features.npy").shape[1:] == (21, 8)
    subjects = corpora[role].manifest().query("talker == 'subject'")
    assert set(pd.read_parquet(directory / "segments.parquet")["recording"]) == set(subjects["recording"])


def test_impossible_settings_are_refused_before_anything_runs():
    with pytest.raises(ValidationError, match="13 mels have 13 coefficients"):
        MfccSegments(corpus="mdd", mels=13)
