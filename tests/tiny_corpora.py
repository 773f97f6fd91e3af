"""Corpora of a few seconds of noise with a planted tone, for tests that run the real chain."""

from __future__ import annotations

import atexit
import functools
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import soundfile

RATE = 16000
_WORDS = ("everything is so hard and I am tired", "we had a lovely day and laughed a lot")


def write_tiny_corpora(folder: Path) -> Path:
    """Write an ``mdd`` of 12 sessions, a ``daic_woz`` of 18, an ``sre`` of 24, a ``mosei`` of 36 utterances, an ``iemocap`` of 80,
    a ``casia`` and an ``msp_podcast`` of 48 each, and a ``librispeech`` of 12.

    Returns their corpora.toml.
    """
    shutil.copytree(_written_once(), folder, dirs_exist_ok=True)
    return folder / "corpora.toml"


@functools.cache
def _written_once() -> Path:
    """The same files for all tests of a process, most of which need them for themselves: a copy takes a tenth of the time."""
    home = tempfile.TemporaryDirectory()
    atexit.register(home.cleanup)
    folder, rng = Path(home.name), np.random.default_rng(0)
    roles = ("mdd", "mosei", "iemocap", "daic_woz", "casia", "msp_podcast", "librispeech", "sre")
    for role in roles:
        (folder / role).mkdir()
    sessions = [_session(folder / "mdd", number, rng) for number in range(12)]
    pd.DataFrame([row for rows in sessions for row in rows]).to_csv(folder / "mdd" / "metadata.csv", index=False)
    utterances = [_utterance(folder / "mosei", number, rng) for number in range(36)]
    pd.DataFrame(utterances).to_csv(folder / "mosei" / "metadata.csv", index=False)
    emotional = [_emotional(folder / "iemocap", number, rng) for number in range(80)]
    pd.DataFrame(emotional).to_csv(folder / "iemocap" / "metadata.csv", index=False)
    interviews = [row for number in range(18) for row in _interview(folder / "daic_woz", number, rng)]
    pd.DataFrame(interviews).to_csv(folder / "daic_woz" / "metadata.csv", index=False)
    for role, make in (("casia", _acted), ("msp_podcast", _podcast), ("librispeech", _read)):
        spoken = [make(folder / role, number, rng) for number in range(12 if role == "librispeech" else 48)]
        pd.DataFrame(spoken).to_csv(folder / role / "metadata.csv", index=False)
    visits = [row for number in range(24) for row in _visit(folder / "sre", number, rng)]
    pd.DataFrame(visits).to_csv(folder / "sre" / "metadata.csv", index=False)
    (folder / "corpora.toml").write_text("".join(f'[{role}]\nroot = "{role}"\n\n' for role in roles))
    return folder


def _sound(rng: np.random.Generator, seconds: float, tone: float) -> np.ndarray:
    time = np.arange(int(seconds * RATE)) / RATE
    return (0.1 * rng.standard_normal(len(time)) + 0.2 * np.sin(2 * np.pi * tone * time)).astype(np.float32)


def _session(folder: Path, number: int, rng: np.random.Generator) -> list[dict]:
    """Two turns of a subject of 5 to 9 s each with one of the interviewer between them."""
    depressed = number % 2
    name, lengths = f"s{number:02d}.wav", rng.uniform(5, 9, size=3)
    soundfile.write(folder / name, _sound(rng, lengths.sum(), 300 if depressed else 900), RATE)
    ends = np.cumsum(lengths)
    return [
        {
            "file_name": name,
            "start": round(float(end - length), 3),
            "end": round(float(end), 3),
            "speaker": "doctor" if talker == "interviewer" else f"p{number:02d}",
            "talker": talker,
            "session": f"s{number:02d}",
            "depressed": depressed,
        }
        for end, length, talker in zip(ends, lengths, ("subject", "interviewer", "subject"), strict=True)
    ]


def _utterance(folder: Path, number: int, rng: np.random.Generator) -> dict:
    speaker = number // 3
    positive, split = number % 2, ("train" if speaker < 6 else "dev" if speaker < 9 else "test")
    name = f"u{number:02d}.wav"
    soundfile.write(folder / name, _sound(rng, rng.uniform(1, 6), 900 if positive else 300), RATE)
    labels = {"sentiment": 1.5 if positive else -1.5, "split": split, "text": f"{_WORDS[positive]} {name}"}
    return {"file_name": name, "speaker": f"v{speaker:02d}", **labels}


def _emotional(folder: Path, number: int, rng: np.random.Generator) -> dict:
    """One of eight utterances of one of ten speakers in five dialogues, in one of six emotions; the last has no class."""
    tones = {"ang": 1500, "exc": 1200, "sad": 200, "fru": 600, "neu": 400, "xxx": 800}
    emotion, name = list(tones)[number % 6], f"e{number:02d}.wav"
    soundfile.write(folder / name, _sound(rng, rng.uniform(1, 3), tones[emotion]), RATE)
    dialogue = {"speaker": f"Ses{number // 8:02d}", "session": f"d{number // 16}"}
    return {"file_name": name, **dialogue, "emotion": emotion, "text": f"{_WORDS[emotion == 'exc']} {name}", **_rated(emotion)}


def _rated(emotion: str) -> dict[str, float]:
    return {
        "valence": 4.0 if emotion in ("exc", "hap") else 2.0,
        "activation": 2.0 if emotion == "sad" else 4.0,
        "dominance": 4.0 if emotion == "ang" else 3.0,
    }


def _acted(folder: Path, number: int, rng: np.random.Generator) -> dict:
    """One of two texts in one of six emotions by one of four speakers."""
    tones = {"ang": 1500, "fea": 1000, "hap": 1200, "neu": 400, "sad": 200, "sur": 700}
    emotion, name = list(tones)[number % 6], f"c{number:02d}.wav"
    soundfile.write(folder / name, _sound(rng, rng.uniform(0.5, 1), tones[emotion]), RATE)
    return {"file_name": name, "speaker": f"c{number // 12}", "emotion": emotion}


def _podcast(folder: Path, number: int, rng: np.random.Generator) -> dict:
    """One of four emotions by one of twelve speakers, eight of whom train."""
    tones = {"ang": 1500, "hap": 1200, "neu": 400, "sad": 200}
    emotion, name, speaker = list(tones)[number % 4], f"m{number:02d}.wav", number // 4
    soundfile.write(folder / name, _sound(rng, rng.uniform(0.5, 1), tones[emotion]), RATE)
    split = "train" if speaker < 8 else "dev" if speaker < 10 else "test"
    return {"file_name": name, "speaker": f"m{speaker:02d}", "emotion": emotion, "split": split, **_rated(emotion)}


def _read(folder: Path, number: int, rng: np.random.Generator) -> dict:
    """One of two utterances of a reader, unlabelled."""
    name = f"l{number:02d}.wav"
    soundfile.write(folder / name, _sound(rng, rng.uniform(1, 2), 200.0 + 40 * number), RATE)
    return {"file_name": name, "speaker": f"l{number // 2:02d}"}


def _interview(folder: Path, number: int, rng: np.random.Generator) -> list[dict]:
    """Three turns of a participant; of the 18 participants every third is depressed."""
    depressed = int(number % 3 == 0)
    name, lengths = f"p{number:02d}.wav", rng.uniform(1, 3, size=3)
    soundfile.write(folder / name, _sound(rng, lengths.sum(), 300 if depressed else 900), RATE)
    whole = {"file_name": name, "speaker": f"p{number:02d}", "talker": "subject", "session": f"p{number:02d}"}
    whole |= {"depressed": depressed, "split": ("train", "dev", "test")[number // 6], "text": f"{_WORDS[not depressed]} {name}"}
    ends = np.cumsum(lengths).round(3)
    return [{**whole, "start": float(end - length), "end": float(end)} for end, length in zip(ends, lengths.round(3), strict=True)]


def _visit(folder: Path, number: int, rng: np.random.Generator) -> list[dict]:
    """A subject's four tasks on material of three valences; of each gender three subjects have each level of severity, and of the
    depressed ones, who are three in four, the tone is the lower the more severe it is."""
    level, name = number % 4, f"s{number:02d}"
    who = {"speaker": name, "session": name, "depressed": int(level > 0), "bdi_ii": (5, 16, 24, 33)[level]}
    who["gender"] = ("female", "male")[number // 4 % 2]
    rows = []
    for task in ("vocabulary reading", "essay reading", "interview", "picture description"):
        for stimulus in ("positive", "neutral", "negative"):
            file = f"{name}-{task.split()[0]}-{stimulus}.wav"
            soundfile.write(folder / file, _sound(rng, rng.uniform(0.6, 1.0), (900, 500, 300, 200)[level]), RATE)
            rows.append({"file_name": file, **who, "task": task, "stimulus": stimulus})
    return rows
