"""Utterances with emotions and a tiny speech encoder on disk, as their stages write them, for tests of what is trained on them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import torch

from tests.tiny_speech_encoders import write_tiny_encoder
from tests.trainables.fake_context import FakeContext
from trainables.convolutional_features import ConvolutionalFeatures
from trainables.corpora.corpus import CorpusSource
from trainables.initial_encoder import InitialEncoder
from trainables.models.emotion_encoder import EmotionEncoder
from trainables.models.speech_encoder import SpeechEncoder
from trainables.protocols import Protocol
from trainables.protocols.catalogue import CASIA_4_SPEAKERS
from trainables.stage import Stage
from trainables.supervised_contrastive import SupervisedContrastive
from trainables.training_set import TrainingSet
from trainables.utterances import Utterances

ONE_SESSION_OUT = Protocol(
    name="one-session-out", sentence="", source="test", scheme="leave_one_out", group="conversation", folds=4, inner_folds=3
)
SIZE = 8
"""Values of a convolved frame."""

ENCODER = InitialEncoder(
    architecture="wavlm", weights="random", hidden_size=16, layers=1, heads=2, intermediate_size=32, convolution_size=SIZE
)
UTTERANCES = Utterances(corpus="iemocap")
CONVOLVED = ConvolutionalFeatures(encoder=ENCODER, utterances=UTTERANCES)
OWN = TrainingSet(utterances=UTTERANCES, task="emotion4", protocol=ONE_SESSION_OUT)
OTHER = TrainingSet(utterances=Utterances(corpus="casia"), task="casia6", protocol=CASIA_4_SPEAKERS)
TUNED = SupervisedContrastive(encoder=ENCODER, sources=(OWN, OTHER))

_CODES = ("ang", "exc", "sad", "neu", "fru")
_STILL = dict.fromkeys(("hidden_dropout", "attention_dropout", "activation_dropout", "feat_proj_dropout"), 0.0)


class Context(FakeContext):
    """With corpora, none of which is read."""

    def corpus(self, role: str) -> CorpusSource:
        return CorpusSource(role=role, name=role, reader="generic", root="nowhere", digest="0")


def write_upstream(folder: Path, dropout: bool = False) -> dict[Stage, Path]:
    """Sixty utterances of eight speakers in four sessions, of 3 to 24 frames; the class is in the frames, and one has none.

    Args:
        folder: Where to write.
        dropout: Whether the Transformer has its usual dropout.

    Returns:
        Results of :data:`UTTERANCES`, :data:`CONVOLVED`, :data:`ENCODER`, and of :data:`TUNED` on whatever division.
    """
    homes = {stage: folder / type(stage).__name__ for stage in (UTTERANCES, CONVOLVED, ENCODER, TUNED)}
    folder.mkdir(exist_ok=True)
    for home in homes.values():
        home.mkdir()
    rng, rows, frames = np.random.default_rng(0), [], []
    for number in range(60):
        session, emotion, length = number // 15, int(rng.integers(5)), int(rng.integers(3, 25))
        speaker = f"v{session}{'FM'[number % 2]}"
        sound = rng.standard_normal((length, SIZE))
        sound[:, emotion] += 2
        frames.append(sound.astype(np.float32))
        place = {"recording": f"{session}.wav", "start": 1.0 * number, "end": number + length / 50}
        name = f"u{rng.integers(10**6):06d}"  # in another order than the rows
        told = {"unit": name, "position": 0, "seconds": length / 50, "turn": name, **place, "speaker": speaker}
        split = ("train", "train", "dev", "test")[session]
        rows.append({**told, "session": f"s{session}", "split": split, "emotion": _CODES[emotion]})
    table, lengths = pd.DataFrame(rows), np.array([len(sound) for sound in frames])
    table.to_parquet(homes[UTTERANCES] / "segments.parquet", index=False)
    placed = table.assign(first_frame=lengths.cumsum() - lengths, frames=lengths)
    placed.to_parquet(homes[CONVOLVED] / "segments.parquet", index=False)
    np.save(homes[CONVOLVED] / "frames.npy", np.concatenate(frames))
    settings = {} if dropout else _STILL
    write_tiny_encoder(homes[ENCODER], "wavlm", convolution_size=SIZE, layers=1, **settings)
    _write_tuned(homes[ENCODER], homes[TUNED])
    return homes


def _write_tuned(initial: Path, directory: Path) -> None:
    """Another Transformer and a pooling that is no mean, on the same convolution and projection."""
    model, generator = EmotionEncoder(SpeechEncoder.load(initial)), torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in [*model.encoder.transformer_parameters(), model.pooling.weight]:
            parameter += 0.1 * torch.randn(parameter.shape, generator=generator)
    model.save(directory)


def frames_of(results: dict[Stage, Path], row: int) -> torch.Tensor:
    """The convolved features of one utterance alone, ``[1, T, SIZE]``."""
    first, length = pd.read_parquet(results[CONVOLVED] / "segments.parquet").loc[row, ["first_frame", "frames"]]
    return torch.from_numpy(np.load(results[CONVOLVED] / "frames.npy")[first : first + length])[None]
