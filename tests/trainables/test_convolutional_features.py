"""Contract of trainables/convolutional_features.py: each utterance's convolved features, made of it alone."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch
from transformers import AutoModel, Wav2Vec2FeatureExtractor

from orchestrator.artifacts import ArtifactStore
from orchestrator.execution.job import StageFailed
from tests.trainables.fake_context import FakeContext
from tests.trainables.spoken_corpora import CORPUS, SHORTEST, finished, open_spoken, write_spoken_corpora
from trainables import convolutional_features
from trainables.convolutional_features import ConvolutionalFeatures
from trainables.corpora.audio import read_audio
from trainables.features.frames import FrameTable
from trainables.identity import fingerprint
from trainables.initial_encoder import InitialEncoder
from trainables.leakage.exposure import Exposure
from trainables.masked_pretraining import MaskedPretraining
from trainables.models.speech_encoder import FOLDER, SpeechEncoder
from trainables.stage import from_config, to_config
from trainables.utterances import Utterances

SMALL = {"hidden_size": 16, "layers": 1, "heads": 2, "intermediate_size": 16, "convolution_size": 8}
HUBERT, WAVLM = (InitialEncoder(architecture=name, weights="random", **SMALL) for name in ("hubert", "wavlm"))
UTTERANCES = Utterances(corpus=CORPUS)
STAGE = ConvolutionalFeatures(encoder=HUBERT, utterances=UTTERANCES)
INTERVIEWS = ConvolutionalFeatures(encoder=WAVLM, utterances=Utterances(corpus="daic_woz"))
RESULT = ("frames.npy", "segments.parquet", "metrics.json")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_spoken_corpora(tmp_path_factory.mktemp("corpora"))


@pytest.fixture(scope="module")
def corpora(folder):
    return open_spoken(folder)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Of the results that several tests read."""
    return tmp_path_factory.mktemp("store")


@pytest.fixture
def own(folder, tmp_path):
    """A copy, to be spoilt."""
    shutil.copytree(folder, tmp_path / "copy")
    return open_spoken(tmp_path / "copy")


def spoil(corpora, recording, value):
    """Put a value into the middle that the corpus' digest, which was taken before, does not stand for."""
    file = Path(corpora[CORPUS].root) / recording
    samples, rate = soundfile.read(file)
    samples[len(samples) // 2] = value
    soundfile.write(file, samples, rate, subtype="FLOAT")


def trust(monkeypatch):
    """Damage that shows only in the samples: here the corpus is not compared with its digest first."""
    monkeypatch.setattr("trainables.corpora.corpus.CorpusSource.verify", lambda corpus: None)


@pytest.mark.parametrize("stage", [STAGE, INTERVIEWS], ids=["hubert", "wavlm"])
def test_each_utterances_frames_are_what_transformers_convolution_makes_of_it_alone(corpora, store, stage):
    directory = finished(corpora, stage, store)
    weights, corpus = finished(corpora, stage.encoder, store) / FOLDER, corpora[stage.utterances.corpus]
    model, extractor = AutoModel.from_pretrained(weights).eval(), Wav2Vec2FeatureExtractor.from_pretrained(weights)
    frames, segments = FrameTable(directory), pd.read_parquet(directory / "segments.parquet")
    assert len(frames) == len(segments) == 8
    for number, row in segments.iterrows():
        samples = read_audio(corpus.audio_path(row["recording"]), row["start"], row["end"], 16000)
        given = torch.from_numpy(extractor(samples, sampling_rate=16000)["input_values"][0])
        if row["recording"] == SHORTEST:
            given = torch.nn.functional.pad(given, (0, 400 - len(given)))
        with torch.no_grad():
            expected = model.feature_extractor(given[None])[0].T
        torch.testing.assert_close(torch.cat(list(frames.blocks(number))), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("seconds", [0.05, 1.0])
def test_the_bytes_are_the_same_in_however_many_parts(corpora, store, tmp_path, monkeypatch, seconds):
    whole = finished(corpora, STAGE, store)
    calls, run_part = [], ConvolutionalFeatures.run_part
    monkeypatch.setattr(convolutional_features, "_PART_SECONDS", seconds)
    monkeypatch.setattr(ConvolutionalFeatures, "run_part", lambda *arguments: (calls.append(1), run_part(*arguments)))
    divided = finished(corpora, STAGE, tmp_path / "divided")
    assert len(calls) > 1
    for name in RESULT:
        assert (divided / name).read_bytes() == (whole / name).read_bytes(), name


def test_on_an_accelerator_all_is_convolved_in_this_process_to_the_same_result(corpora, store, tmp_path, monkeypatch):
    """The accelerator is this machine's CPU, under another name: the encoder stays where it is."""
    results = {above: finished(corpora, above, store) for above in (HUBERT, UTTERANCES)}
    context = FakeContext(tmp_path / "out", results)  # which hands out no parts
    context.corpus, context.device = corpora.__getitem__, torch.device("cuda")
    monkeypatch.setattr(SpeechEncoder, "to", lambda encoder, device: encoder)
    STAGE.run(context)
    expected = finished(corpora, STAGE, store)
    for name in RESULT:
        assert (tmp_path / "out" / name).read_bytes() == (expected / name).read_bytes(), name


def test_the_table_is_that_of_the_utterances_and_says_where_their_frames_lie(corpora, store):
    directory = finished(corpora, STAGE, store)
    segments = pd.read_parquet(directory / "segments.parquet")
    utterances = pd.read_parquet(finished(corpora, UTTERANCES, store) / "segments.parquet")
    pd.testing.assert_frame_equal(segments.drop(columns=["first_frame", "frames"]), utterances)
    lasting = (utterances["seconds"] * 16000).round().astype(int)
    assert segments["frames"].tolist() == [max(1, 1 + (samples - 400) // 320) for samples in lasting]
    frames = np.load(directory / "frames.npy", mmap_mode="r")
    assert (frames.dtype, frames.shape) == (np.float32, (segments["frames"].sum(), 8))
    metrics = json.loads((directory / "metrics.json").read_text())
    hours = pytest.approx(utterances["seconds"].sum() / 3600)
    assert metrics == {"utterances": 8, "frames": len(frames), "hours": hours, "dimensions": 8}


def test_after_a_failure_only_the_missing_parts_are_computed(own, tmp_path, monkeypatch):
    trust(monkeypatch)
    monkeypatch.setattr(convolutional_features, "_PART_SECONDS", 1.0)  # in seconds: 0 to 4, 5 and 6, 7
    calls, run_part = [], ConvolutionalFeatures.run_part
    monkeypatch.setattr(ConvolutionalFeatures, "run_part", lambda *arguments: (calls.append(1), run_part(*arguments)))
    sound = Path(own[CORPUS].root) / "c3.wav"
    healthy = sound.read_bytes()
    finished(own, UTTERANCES, tmp_path / "store")
    spoil(own, "c3.wav", np.nan)
    with pytest.raises(StageFailed, match=r"c3\.wav"):
        finished(own, STAGE, tmp_path / "store")
    sound.write_bytes(healthy)
    ArtifactStore(tmp_path / "store").clear_failure(fingerprint(STAGE, {CORPUS: own[CORPUS].digest}))
    finished(own, STAGE, tmp_path / "store")
    assert len(calls) == 3 + 1


@pytest.mark.parametrize("seconds", [300.0, 0.5], ids=["one part", "several parts"])
def test_every_damaged_recording_of_every_part_is_named(own, tmp_path, monkeypatch, seconds):
    trust(monkeypatch)
    monkeypatch.setattr(convolutional_features, "_PART_SECONDS", seconds)
    finished(own, UTTERANCES, tmp_path / "store")
    spoil(own, "c1.wav", np.nan)
    spoil(own, "c5.wav", 1e30)
    (Path(own[CORPUS].root) / "c7.wav").unlink()
    with pytest.raises(StageFailed, match=r"3 faults[\s\S]*c1\.wav[\s\S]*c5\.wav[\s\S]*c7\.wav"):
        finished(own, STAGE, tmp_path / "store")


def test_a_corpus_that_has_changed_since_its_utterances_were_listed_is_refused(own, tmp_path):
    finished(own, UTTERANCES, tmp_path / "store")
    spoil(own, "c4.wav", 0.5)
    with pytest.raises(StageFailed, match="has changed since it was opened"):
        finished(own, STAGE, tmp_path / "store")


def test_any_speech_encoder_can_be_upstream_and_nothing_is_learnt_here():
    pretrained = MaskedPretraining(initial=WAVLM, utterances=Utterances(corpus="librispeech"))
    stage = ConvolutionalFeatures(encoder=pretrained, utterances=UTTERANCES)
    assert from_config(json.loads(json.dumps(to_config(stage)))) == stage
    assert stage.exposure() == Exposure(features=UTTERANCES)
