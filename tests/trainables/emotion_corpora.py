"""Small filterbanks and sentence embeddings on disk, as their stages write them, for tests of emotion models."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from trainables.emotion_model import EmotionModel
from trainables.filterbank_features import FilterbankFeatures
from trainables.protocols import Protocol
from trainables.sentence_embeddings import SentenceEmbeddings
from trainables.stage import Stage

FRONT_END = {"hop": 1600, "mels": 4}  # 10 frames of 8 numbers a second
FRAMES = FilterbankFeatures(corpus="iemocap", unit="utterance", **FRONT_END)
SENTENCES = SentenceEmbeddings(corpus="iemocap", unit="utterance")
INTERVIEW_FRAMES = FilterbankFeatures(corpus="mdd", unit="session", **FRONT_END)
INTERVIEW_SENTENCES = SentenceEmbeddings(corpus="mdd", unit="session")

ONE_DIALOGUE_OUT = Protocol(
    name="one-dialogue-out", sentence="", source="test", scheme="leave_one_out", group="conversation", folds=4, inner_folds=3
)
ONE_SPEAKER_OUT = Protocol(name="one-speaker-out", sentence="", source="test", scheme="leave_one_out", folds=8, inner_folds=7)

CODES = ("ang", "exc", "sad", "neu", "fru")
SMALL = {"width": 4, "window_seconds": 2.0, "epochs": 2, "batch_size": 16}


def model(modality: str = "both", **settings: object) -> EmotionModel:
    """A tiny emotion model on the dialogues; frames are cut into windows of at most 20."""
    inputs = {"filterbanks": FRAMES, "sentences": SENTENCES}
    if modality != "both":
        del inputs["sentences" if modality == "audio" else "filterbanks"]
    return EmotionModel(**{**inputs, "task": "emotion4", "protocol": ONE_DIALOGUE_OUT, **SMALL, **settings})


def dialogues(folder: Path, changed: str = "", lacking: tuple[str, ...] = (), each: int = 15) -> dict[Stage, Path]:
    """Four dialogues of two speakers each who talk by turns, as IEMOCAP's dialogue recordings are.

    Every fifth turn is frustrated, and no class of emotion4. The class is in the frames and in the sentence; so are the attributes.

    Args:
        folder: Where to write.
        changed: A speaker whose frames, sentences and labels are quite other ones.
        lacking: Turns that lack the attribute valence.
        each: Turns per speaker.
    """
    rng, rows, frames, sentences = np.random.default_rng(0), [], [], []
    for dialogue in range(4):
        for number in range(2 * each):
            speaker, emotion = f"v{dialogue}{'FM'[number % 2]}", int(rng.integers(5))
            turn, length = f"d{dialogue}_{number:02d}", int(rng.integers(3, 65))
            sound, words = rng.standard_normal((length, 8)), rng.standard_normal(5)
            sound[:, emotion] += 1.5
            words[emotion] += 3
            if speaker == changed:
                sound, words, emotion = 5 - 3 * sound, 100 * words, (emotion + 1) % 4
            rows.append(
                {
                    **{"unit": turn, "position": 0, "seconds": length / 10, "turn": turn, "recording": f"d{dialogue}.wav"},
                    **{"start": 10.0 * number, "end": 10.0 * number + length / 10, "speaker": speaker, "session": f"d{dialogue}"},
                    **{"split": ("train", "train", "dev", "test")[dialogue], "emotion": CODES[emotion]},
                    "sentiment": (-1.0, 1.0, -1.0, 1.0, 0.0)[emotion],
                    **{"valence": 1.0 + emotion, "activation": 2.5 - 0.1 * emotion, "dominance": 3.0 + rng.normal(0, 0.3)},
                }
            )
            frames.append(sound - 40)
            sentences.append(words)
    table = pd.DataFrame(rows)
    table.loc[table["turn"].isin(lacking), "valence"] = np.nan
    return _written(folder, table, frames, sentences, (FRAMES, SENTENCES))


def interviews(folder: Path, sessions: int = 8, shift: float = 0.0) -> dict[Stage, Path]:
    """Sessions of one participant each, by turns healthy and depressed; the first participant talks most.

    Args:
        folder: Where to write.
        sessions: How many.
        shift: How far the last session's frames and sentences are from where they would be.
    """
    rng, rows, frames, sentences = np.random.default_rng(1), [], [], []
    for session in range(sessions):
        for number in range(12 if session == 0 else 2 + session % 3):
            length = int(rng.integers(3, 65))
            moved = shift if session == sessions - 1 else 0.0
            rows.append(
                {
                    **{"unit": f"s{session}", "position": number, "seconds": length / 10, "turn": f"s{session}_{number}"},
                    **{"recording": f"s{session}.wav", "start": 10.0 * number, "end": 10.0 * number + length / 10},
                    **{"speaker": f"p{session}", "session": f"s{session}", "depressed": float(session % 2)},
                    "split": ("train", "train", "train", "train", "dev", "dev", "test", "test")[session],
                }
            )
            frames.append(rng.standard_normal((length, 8)) - 40 + moved + session % 2)
            sentences.append(rng.standard_normal(5) + moved)
    return _written(folder, pd.DataFrame(rows), frames, sentences, (INTERVIEW_FRAMES, INTERVIEW_SENTENCES))


def _written(
    folder: Path, table: pd.DataFrame, frames: list[np.ndarray], sentences: list[np.ndarray], stages: tuple[Stage, Stage]
) -> dict[Stage, Path]:
    """Results of both stages, by stage."""
    homes = {stage: folder / type(stage).__name__ for stage in stages}
    for home in homes.values():
        home.mkdir(parents=True)
    lengths = np.array([len(part) for part in frames])
    placed = table.assign(first_frame=lengths.cumsum() - lengths, frames=lengths)
    placed.to_parquet(homes[stages[0]] / "segments.parquet", index=False)
    np.save(homes[stages[0]] / "frames.npy", np.concatenate(frames).astype(np.float16))
    table.to_parquet(homes[stages[1]] / "segments.parquet", index=False)
    np.save(homes[stages[1]] / "embeddings.npy", np.array(sentences, np.float32))
    return homes
