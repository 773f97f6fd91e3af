"""CMU-MOSEI as its authors deliver it: labels in a computational sequence (HDF5), whole videos' audio, transcripts.

A computational sequence has one group (``All Labels``), in it ``data/{video}/features`` [segments, 7], ``data/{video}/intervals``
[segments, 2] in s, and ``metadata/{key}``: one JSON text each.

Decisions:

- ``emotion`` is the code of the strongest of the six intensities, of equally strong ones the first in the SDK's order (happy, sad,
  anger, surprise, disgust, fear), and 'neu' where all are 0, which a bare argmax would call happy.
- A start before 0 (239 segments, by up to half a second) is 0. A segment that begins where it ends is left out.
- A text belongs to the segment with its times, within a millisecond; the files' orders differ. A segment without one has ''.
- Videos in none of the three folds are left out.
"""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np
import pandas as pd

from trainables.corpora.manifest import in_order
from trainables.corpora.readers._files import read_text, visible
from trainables.corpora.readers.mosei_folds import FOLDS
from trainables.corpora.readers.mosei_sequence import read_sequence
from trainables.corpora.reading import Report, listing
from trainables.errors import UserError

EMOTIONS = {
    "happy": ("happiness", "hap"),
    "sad": ("sadness", "sad"),
    "anger": ("anger", "ang"),
    "surprise": ("surprise", "sur"),
    "disgust": ("disgust", "dis"),
    "fear": ("fear", "fea"),
}
"""A dimension to the manifest's column of its intensity, and to the code of the emotion."""

DIMENSIONS = ("sentiment", *EMOTIONS)
"""Columns of ``features``, in the SDK's order; a file whose metadata name another order is read by its names."""

AUDIO = "Raw/Audio/Full/WAV_16000"
TRANSCRIPTS = "Raw/Transcript/Segmented/Combined"

_SAME_TIME = 0.001  # s; transcripts are decimal text, intervals binary numbers of 32 or 64 bits
# What h5py raises on damaged files, and on those of another structure.
_DAMAGED = (OSError, LookupError, ValueError, TypeError, RuntimeError, AttributeError, MemoryError)


class _Segments(NamedTuple):
    """One video's labels, float64 [segments, 7] in the order of :data:`DIMENSIONS`, and times, [segments, 2] in s."""

    labels: np.ndarray
    times: np.ndarray


class _Clip(NamedTuple):
    """One line of a transcript; ``times`` are its start and end, s."""

    name: str
    times: tuple[float, float]
    text: str


def read_sdk(root: Path, labels: Path, report: Report) -> pd.DataFrame | None:
    """The segments of the videos that are in a fold; None if the labels cannot be read.

    Args:
        root: The corpus' folder.
        labels: ``CMU_MOSEI_Labels.csd``.
        report: Receives faults, and what was left out.
    """
    if (videos := _read_sequence(labels, report)) is None:
        return None
    unfolded = {video: segments for video, segments in videos.items() if video not in FOLDS}
    names = [name for video, segments in unfolded.items() for name in _names(video, len(segments.times))]
    report.skip("segments of videos that are in no official fold", names)
    folded = {video: segments for video, segments in videos.items() if video in FOLDS and len(segments.times)}
    if not folded:
        report.add(f"{labels}: none of its {len(videos)} videos has a segment and is in an official fold; copy the file again")
        return None
    table = _frame(folded)
    empty = table["end"] == table["start"]
    report.skip("segments that begin where they end", table.loc[empty, "segment"])
    table = table[~empty]
    texts = _texts(root / TRANSCRIPTS, folded, report)
    report.note(
        "segments without a transcript of their times (they stay, with an empty text)",
        (name for name in table["segment"] if name not in texts),
    )
    _look_for_audio(root, set(videos), report)
    return in_order(table.assign(text=[texts.get(name, "") for name in table["segment"]]))


def count_segments(labels: Path) -> dict[str, int]:
    """Video to its number of labelled segments, whether it is in a fold or not; of labels that :func:`read_sdk` has read."""
    with h5py.File(labels, "r") as file:
        (group,) = file
        return {video: len(entry["intervals"]) for video, entry in file[group]["data"].items()}


def _read_sequence(path: Path, report: Report) -> dict[str, _Segments] | None:
    """Every video's labels."""
    try:
        named, found = read_sequence(path)
    except _DAMAGED as error:
        report.add(f"{path}: cannot be read as a computational sequence (HDF5) of labels ({error}); copy it again")
        return None
    dimensions = list(DIMENSIONS) if named is None else named
    videos = {video: _Segments(*arrays) for video, arrays in found.items()}
    if sorted(dimensions) != sorted(DIMENSIONS):
        report.add(
            f"{path}: its dimensions are {', '.join(dimensions)}; expected {', '.join(DIMENSIONS)}: give the file of all labels"
        )
        return None
    odd = [video for video, segments in videos.items() if not _fits(segments)]
    if odd:
        width = len(DIMENSIONS)
        report.add(
            f"{path}: features [n, {width}] and intervals [n, 2] of finite numbers are expected of every video, and not "
            f"found of {listing(odd)}; copy it again"
        )
        return None
    order = [dimensions.index(name) for name in DIMENSIONS]
    return {video: _Segments(segments.labels[:, order], segments.times) for video, segments in videos.items()}


def _fits(segments: _Segments) -> bool:
    labels, times = segments
    shapes = labels.ndim == 2 and labels.shape == (len(labels), len(DIMENSIONS)) and times.shape == (len(labels), 2)
    return shapes and bool(np.isfinite(labels).all() and np.isfinite(times).all())


def _names(video: str, count: int) -> list[str]:
    return [f"{video}[{row}]" for row in range(count)]


def _frame(videos: dict[str, _Segments]) -> pd.DataFrame:
    counts = [len(segments.times) for segments in videos.values()]
    labels = np.concatenate([segments.labels for segments in videos.values()])
    times = np.concatenate([segments.times for segments in videos.values()])
    ids = [video for video, count in zip(videos, counts, strict=True) for _ in range(count)]
    sentiment, intensities = labels[:, 0], labels[:, 1:]
    codes = np.array([code for _, code in EMOTIONS.values()])
    return pd.DataFrame(
        {
            "segment": [name for video, count in zip(videos, counts, strict=True) for name in _names(video, count)],
            "recording": [f"{AUDIO}/{video}.wav" for video in ids],
            "start": np.maximum(times[:, 0], 0.0),
            "end": times[:, 1],
            "speaker": ids,
            "talker": "subject",
            "session": ids,
            "split": [FOLDS[video] for video in ids],
            "sentiment": sentiment,
            "emotion": np.where(intensities.max(axis=1) > 0, codes[intensities.argmax(axis=1)], "neu"),
            **{name: intensities[:, column] for column, (name, _) in enumerate(EMOTIONS.values())},
        }
    )


def _texts(folder: Path, videos: dict[str, _Segments], report: Report) -> dict[str, str]:
    """Segment to its words, where it has any."""
    texts: dict[str, str] = {}
    unlabelled: list[str] = []
    odd: list[str] = []
    for video, segments in videos.items():
        clips = _clips(folder / f"{video}.txt", video, odd, report)
        if not clips:
            continue
        distance = np.abs(segments.times[:, None] - np.array([clip.times for clip in clips])).max(axis=-1)
        same = distance <= _SAME_TIME  # [segments, clips]
        pairs = zip(_names(video, len(same)), same.argmax(axis=1), same.any(axis=1), strict=True)
        texts |= {name: clips[clip].text for name, clip, found in pairs if found}
        unlabelled += [f"{video}___{clip.name}" for clip, used in zip(clips, same.any(axis=0), strict=True) if not used]
    report.skip("transcribed clips without labels", unlabelled)
    report.skip("lines of transcripts that are no clip", odd)
    return texts


def _clips(path: Path, video: str, odd: list[str], report: Report) -> list[_Clip]:
    """The clips in a video's transcript, ``video___clip___start___end___text`` a line; other lines are noted in ``odd``."""
    if not path.is_file():
        return []
    try:
        lines = read_text(path).splitlines()
    except UserError as error:
        report.add(str(error))
        return []
    clips = []
    for number, line in enumerate(lines, 1):
        # ids may end with '_' and texts may hold '___', so neither is looked for
        parts = line.strip().removeprefix(f"{video}___").split("___", 3)
        try:
            clips.append(_Clip(parts[0], (float(parts[1]), float(parts[2])), parts[3].strip()))
        except (IndexError, ValueError):
            if line.strip():
                odd.append(f"{path.name} line {number}")
    return clips


def _look_for_audio(root: Path, labelled: set[str], report: Report) -> None:
    """Say how to make the audio if there is none; single files that are missing are told with all other missing audio."""
    found = visible(root / AUDIO, "*.wav")
    report.skip("audio files without a label", [path.relative_to(root).as_posix() for path in found if path.stem not in labelled])
    if not found:
        report.add(
            f"{root}: no .wav file in {AUDIO}; copy the audio of the full videos there, or extract it: "
            f"cd {shlex.quote(str(root))} && mkdir -p {AUDIO} && for f in Raw/Videos/Full/Combined/*.mp4; do "
            f'ffmpeg -nostdin -i "$f" -vn -ac 1 -ar 16000 {AUDIO}/"$(basename "$f" .mp4)".wav; done'
        )
