"""Training utterances of two corpora and their frames, for tests of supervised contrastive fine-tuning."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from tests.tiny_speech_encoders import write_tiny_encoder
from tests.trainables.fake_context import FakeContext
from trainables.convolutional_features import ConvolutionalFeatures
from trainables.corpora.corpus import CorpusSource
from trainables.features.frames import FrameWriter
from trainables.initial_encoder import InitialEncoder
from trainables.models.emotion_encoder import EmotionEncoder
from trainables.protocols.catalogue import CASIA_4_SPEAKERS, IEMOCAP_5_SESSIONS
from trainables.stage import StopRequested
from trainables.supervised_contrastive import SupervisedContrastive
from trainables.training_set import TrainingSet
from trainables.utterances import Utterances

ENCODER = InitialEncoder(architecture="wavlm")
EMOTIONS = {
    "iemocap": ("angry", "happy", "sad", "neutral"),
    "casia": ("angry", "happy", "sad", "neutral", "fearful", "fearful", "angry", "sad", "surprised", "happy", "neutral"),
}
"""Of the utterances, again and again; every fourth utterance is not trained on."""
UTTERANCES = {"iemocap": 32, "casia": 33}
SIZE = 8
"""Values of a convolved frame."""
SOURCES = (
    TrainingSet(utterances=Utterances(corpus="iemocap"), task="emotion4", protocol=IEMOCAP_5_SESSIONS),
    TrainingSet(utterances=Utterances(corpus="casia"), task="casia6", protocol=CASIA_4_SPEAKERS),
)
CONVOLVED = tuple(ConvolutionalFeatures(encoder=ENCODER, utterances=source.utterances) for source in SOURCES)
SMALL = {"batch_size": 8, "epochs": 1, "learning_rate": 1e-3, "precision": "float32"}
NO_DROPOUT = {"hidden_dropout": 0.0, "attention_dropout": 0.0, "activation_dropout": 0.0}
STEPS = 6
"""Of an epoch: 24 and 25 training utterances in batches of 8."""
TRANSFORMER = "encoder.model.encoder."


class Context(FakeContext):
    """With corpora, whose recordings are where they were planned."""

    def __init__(self, directory, results, corpora, **changes):
        super().__init__(directory, results, **changes)
        self._corpora = corpora

    def corpus(self, role):
        return self._corpora[role]


class Corpus(CorpusSource):
    def verify(self):
        pass  # without a reader there is nothing that could have changed


def stage(**changes):
    return SupervisedContrastive(**{"encoder": ENCODER, "sources": SOURCES, "convolved": CONVOLVED} | SMALL | changes)


def words(corpus):
    return np.array([EMOTIONS[corpus][row % len(EMOTIONS[corpus])] for row in range(UTTERANCES[corpus])], dtype=object)


def trained(corpus):
    """Which utterances are training utterances."""
    return np.arange(UTTERANCES[corpus]) % 4 != 3


def write_frames(folder, utterances):
    folder.mkdir()
    with FrameWriter(folder, SIZE, "float32") as writer:
        for frames in utterances:
            writer.append(torch.from_numpy(frames))
    lengths = np.array([len(frames) for frames in utterances])
    pd.DataFrame({"first_frame": lengths.cumsum() - lengths, "frames": lengths}).to_parquet(folder / "segments.parquet")


def write_upstream(folder: Path) -> Path:
    """Results above the stage: a random WavLM without dropout, and of each corpus frames in which emotions can be heard."""
    generator = np.random.default_rng(0)
    write_tiny_encoder(folder / "encoder", "wavlm", **NO_DROPOUT)
    write_tiny_encoder(folder / "dropout", "wavlm")
    means = dict(zip(sorted(set(EMOTIONS["casia"])), generator.normal(0, 1, (6, SIZE)), strict=True))
    for corpus, count in UTTERANCES.items():
        emotion, rows = words(corpus), np.flatnonzero(trained(corpus))
        lengths = generator.integers(5, 15, count)
        frames = [
            (means[word] + generator.normal(0, 1, (length, SIZE))).astype(np.float32)
            for word, length in zip(emotion, lengths, strict=True)
        ]
        write_frames(folder / f"{corpus}-convolved", frames)
        table = pd.DataFrame({"recording": [f"{row}.wav" for row in range(count)], "start": 0.0, "end": np.nan})
        (folder / f"{corpus}-utterances").mkdir()
        table.to_parquet(folder / f"{corpus}-utterances/segments.parquet")
        (folder / f"{corpus}-training").mkdir()
        training = pd.DataFrame({"row": rows, "unit": rows.astype(str), "speaker": "s", "emotion": emotion[rows]})
        training.to_parquet(folder / f"{corpus}-training/training.parquet")
    return folder


def context_for(directory, upstream, corpora=None, convolved=None, encoder="encoder", **changes):
    results = {ENCODER: upstream / encoder}
    for source, features in zip(SOURCES, CONVOLVED, strict=True):
        corpus = source.utterances.corpus
        results |= {source: upstream / f"{corpus}-training", source.utterances: upstream / f"{corpus}-utterances"}
        results[features] = (convolved or upstream) / f"{corpus}-convolved"
    return Context(directory, results, corpora or dict.fromkeys(EMOTIONS), **changes)


def run(which, directory, upstream, **changes):
    context = context_for(directory, upstream, **changes)
    which.run(context)
    return context


def after_steps(which, directory, upstream, count, **changes):
    """The checkpoint after so many steps."""
    context = context_for(directory, upstream, stop_after=count, **changes)
    with pytest.raises(StopRequested):
        which.run(context)
    return context.load_checkpoint()["parts"]


def losses(context):
    return [metrics["loss"] for _, metrics in context.reports]


def files(directory):
    """Names and bytes of everything that was written."""
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def weights(directory):
    return EmotionEncoder.load(directory).state_dict()
