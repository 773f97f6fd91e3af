"""Small trees of CMU-MOSEI as the SDK's authors and as MMSA lay it out, with ids of both official folds and none."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np
import pandas as pd
import soundfile

from trainables.corpora.corpus import CorpusSource
from trainables.corpora.readers import mosei
from trainables.corpora.readers.mosei_csd import AUDIO, DIMENSIONS, TRANSCRIPTS
from trainables.corpora.reading import Report

APPLE_DOUBLE = b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X \xff\xfe\xb0"
TRAIN, TRAIN_DASH, DEV, TEST, NO_FOLD = "81406", "-iRBcNs9oI8", "188343", "7l3BNtSE0xc", "zzzzzzzzzzz"
"""Ids of one official fold each: all digits, a leading dash, all digits, letters; and one that is in none."""

SECONDS = 4.0


class Label(NamedTuple):
    """One segment: times in s, sentiment, and the six intensities in the usual order."""

    start: float
    end: float
    sentiment: float
    intensities: tuple[float, ...] = (0, 0, 0, 0, 0, 0)
    text: str = "well"


VIDEOS: Mapping[str, tuple[Label, ...]] = {
    TRAIN: (
        Label(2.0, 3.5, -1.5, (0, 1.5, 0, 0, 0, 0), "a sad one"),
        Label(-0.4875, 1.0, 2.0, (2, 0, 0, 0.5, 0, 0), "I (uhh) liked it"),
    ),
    TRAIN_DASH: (Label(0.5, 1.25, 0.0, text="it is a film"),),
    DEV: (Label(0.0, 1.0, 1.0, (0, 0, 0, 1, 0, 1), "wow"),),
    TEST: (Label(0.0, 1.0, -3.0, (0, 0, 3, 0, 3, 0), "awful___just ___ awful"), Label(1.0, 3.9, 0.333333, text="hm")),
}


def write_sdk(
    root: Path,
    videos: Mapping[str, Sequence[Label]] = VIDEOS,
    dimensions: Sequence[str] | None = DIMENSIONS,
    rate: int = 16000,
    channels: int = 1,
) -> Path:
    """Labels (float32, times float64), the full videos' audio, and transcripts whose clips are in another order than the labels."""
    root.mkdir(parents=True, exist_ok=True)
    with h5py.File(root / mosei.LABELS_CSD, "w") as file:
        sequence = file.create_group("All Labels")
        if dimensions is not None:
            text = json.dumps(list(dimensions))
            sequence.create_dataset("metadata/dimension names", data=[text], dtype=h5py.string_dtype())
        order = [DIMENSIONS.index(name) for name in dimensions or DIMENSIONS if name in DIMENSIONS]
        for video, labels in videos.items():
            features = np.array([(label.sentiment, *label.intensities) for label in labels])[:, order]
            sequence[f"data/{video}/features"] = features.astype("float32")
            sequence[f"data/{video}/intervals"] = np.array([(label.start, label.end) for label in labels])
    for video, labels in videos.items():
        clips = [f"{video}___{clip}___{label.start:.4f}___{label.end:.4f}___{label.text}" for clip, label in enumerate(labels)]
        write(root / TRANSCRIPTS / f"{video}.txt", "\n".join(reversed(clips)) + "\n")
        write_wav(root / AUDIO / f"{video}.wav", SECONDS, rate, channels)
    return root


CLIPS = (
    {"video_id": TRAIN_DASH, "clip_id": "0", "text": 'it is, well, "good"', "label": "1.3333334", "mode": "train"},
    {"video_id": TRAIN, "clip_id": "10", "text": "no", "label": "-2.0", "mode": "train"},
    {"video_id": DEV, "clip_id": "2", "text": "maybe", "label": "0.0", "mode": "valid"},
    {"video_id": TEST, "clip_id": "0", "text": "yes", "label": "3.0", "mode": "test"},
)


def write_mmsa(root: Path, clips: Sequence[Mapping[str, str]] = CLIPS, suffix: str = ".wav") -> Path:
    """``label.csv`` with its columns in an unusual order, and one file a clip."""
    root.mkdir(parents=True, exist_ok=True)
    names = ["mode", "video_id", "text", "clip_id", "label_A", "annotation", "label"]
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, names, restval="")
    writer.writeheader()
    writer.writerows(clips)
    write(root / mosei.LABELS_CSV, text.getvalue())
    for clip in clips:
        path = root / "Raw" / clip["video_id"] / (clip["clip_id"] + suffix)
        if suffix == ".wav":
            write_wav(path, 0.5)
        else:
            write(path, b"\x00\x00\x00\x18ftypmp42")
    return root


def write(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def write_wav(path: Path, seconds: float, rate: int = 16000, channels: int = 1) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    wave = 0.3 * np.sin(2 * np.pi * 200 * np.arange(round(seconds * rate)) / rate)
    soundfile.write(path, np.stack([wave] * channels, axis=1), rate, subtype="PCM_16")


def corpus(root: Path) -> CorpusSource:
    return CorpusSource(role="mosei", name="mosei", reader="mosei", root=str(root), digest="")


def read(root: Path) -> tuple[pd.DataFrame | None, Report]:
    report = Report("mosei")
    return mosei.read_manifest(corpus(root), report), report


def manifest(root: Path) -> pd.DataFrame:
    table, report = read(root)
    assert table is not None
    assert report.messages == []
    return table
