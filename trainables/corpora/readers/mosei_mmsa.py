"""CMU-MOSEI as MMSA repacked it: one clip a segment, and one table with sentiment, text and split (``label.csv``).

The table's columns come in another order in every copy, so they are found by name. The clips are ``.mp4`` as delivered, which the
audio library does not decode: their sound has to be extracted once, and the fault says how. Pickles of features beside them are not
opened.
"""

from __future__ import annotations

import math
import shlex
from pathlib import Path

import pandas as pd

from trainables.corpora.manifest import in_order
from trainables.corpora.readers._files import read_rows, visible
from trainables.corpora.reading import Report, listing
from trainables.corpora.tables import SPLIT_WORDS
from trainables.errors import UserError

COLUMNS = ("video_id", "clip_id", "text", "label", "mode")
"""What is read of the table; ``annotation`` is the sign of ``label`` in words, ``label_T``, ``_A`` and ``_V`` are often empty."""


def read_mmsa(root: Path, labels: Path, report: Report) -> pd.DataFrame | None:
    """The segments that the table lists; None if it cannot be read.

    Args:
        root: The corpus' folder.
        labels: ``label.csv``.
        report: Receives faults, and what was left out.
    """
    try:
        rows = read_rows(labels)
    except UserError as error:
        report.add(str(error))
        return None
    absent = [name for name in COLUMNS if name not in rows.columns]
    if absent or rows.empty:
        what = f"has no column {', '.join(absent)} (it has {', '.join(rows.columns)})" if absent else "lists no segment"
        report.add(f"{labels}: {what}; expected MMSA's table with {', '.join(COLUMNS)}: copy it again")
        return None
    video, clip = rows["video_id"].str.strip(), rows["clip_id"].str.strip()
    sentiment = rows["label"].map(_number)
    split = rows["mode"].str.strip().str.lower().map(lambda word: SPLIT_WORDS.get(word, ""))
    _check_values(labels, rows, sentiment, split, report)
    recording = "Raw/" + video + "/" + clip + ".wav"
    _check_clips(root, recording, report)
    table = pd.DataFrame(
        {
            "segment": video + "$_$" + clip,
            "recording": recording,
            "start": 0.0,
            "end": math.nan,
            "speaker": video,
            "talker": "subject",
            "session": video,
            "split": split,
            "text": rows["text"].str.strip(),
            "sentiment": sentiment,
        }
    )
    return None if report.messages else in_order(table)


def _number(word: str) -> float:
    try:
        return float(word)
    except ValueError:
        return math.nan


def _check_values(labels: Path, rows: pd.DataFrame, sentiment: pd.Series, split: pd.Series, report: Report) -> None:
    odd = {
        ("label", "a number from -3 to 3"): ~sentiment.between(-3, 3),  # NaN is not between them either
        ("mode", "train, valid or test"): split == "",
    }
    for (column, expected), wrong in odd.items():
        if wrong.any():
            found, where = rows.loc[wrong, column], rows["video_id"][wrong] + "$_$" + rows["clip_id"][wrong]
            report.add(f"{labels}: {column} must be {expected}; found {listing(found)} at {listing(where)}: copy the table again")


def _check_clips(root: Path, recording: pd.Series, report: Report) -> None:
    """Say how to make the audio where there are only videos; what is missing altogether is told with all other missing audio."""
    wanted = set(recording)
    sound = {path.relative_to(root).as_posix() for path in visible(root, "Raw/*/*.wav")}
    report.skip("audio files without a label", sorted(sound - wanted))
    videos = {path.relative_to(root).with_suffix(".wav").as_posix() for path in visible(root, "Raw/*/*.mp4")}
    silent = sorted((wanted - sound) & videos)
    if silent:
        report.add(
            f"{root}: clips are there as .mp4 alone, which cannot be read; expected are {listing(silent)}. Extract their sound: "
            f"cd {shlex.quote(str(root))} && "
            'for f in Raw/*/*.mp4; do ffmpeg -nostdin -i "$f" -vn -ac 1 -ar 16000 "${f%.mp4}.wav"; done'
        )
