"""CMU-MOSEI's layout as its SDK and its raw archive give it: labels in a computational sequence, recordings, transcripts.

Videos get the SDK's published ids of their split, because the corpus' own files do not say which split a video is in.

Lost: labels beyond single precision, in which the SDK keeps them; the speakers' genders, which the corpus does not have.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from trainables.corpora.readers.mosei_folds import FOLDS
from trainables.corpora.twins.layouts.parts import recordings, renamed, write_lines, write_sound

if TYPE_CHECKING:
    import pandas as pd

    from trainables.corpora.corpus import CorpusSource
    from trainables.corpora.reading import Progress

_EMOTIONS = {
    "happiness": "happy",
    "sadness": "sad",
    "anger": "anger",
    "surprise": "surprise",
    "disgust": "disgust",
    "fear": "fear",
}
_METADATA = {
    "root name": "All Labels",
    "computational sequence description": "Sentiment and emotion intensities of a synthesised demo corpus",
    "computational sequence version": "1.0",
    "alignment compatible": True,
    "dataset name": "CMU-MOSEI",
    "dataset version": "1.0",
    "dimension names": ["sentiment", *_EMOTIONS.values()],
    "creator": "trainables.corpora.twins",
    "contact": "none",
    "featureset bib citation": "none: synthesised",
    "dataset bib citation": "Zadeh et al., ACL 2018 (the layout)",
}
"""What the SDK's ``featuresetMetadataTemplate`` asks of a computational sequence."""


def write(twin: CorpusSource, root: Path, progress: Progress | None) -> None:
    """Fill ``root``; see :func:`trainables.corpora.twins.layouts.write_layout`."""
    import h5py

    table = twin.manifest()
    videos = _videos(table)
    with h5py.File(root / "CMU_MOSEI_Labels.csd", "w") as file:
        labels = file.create_group(_METADATA["root name"])
        for key, value in _METADATA.items():  # as mmsdk's write_CSD does: one JSON text each
            labels.create_dataset(f"metadata/{key}", data=[json.dumps(value)], dtype=h5py.string_dtype())
        for recording, audio, rows in recordings(twin, table, progress):
            video = videos[recording]
            write_sound(audio, root / "Raw" / "Audio" / "Full" / "WAV_16000" / f"{video}.wav")
            lines = [f"{video}___{clip}___{row.start!r}___{row.end!r}___{row.text}" for clip, row in enumerate(rows.itertuples())]
            write_lines(root / "Raw" / "Transcript" / "Segmented" / "Combined" / f"{video}.txt", lines)
            features, intervals = _labels(rows)
            labels.create_dataset(f"data/{video}/features", data=features)
            labels.create_dataset(f"data/{video}/intervals", data=intervals)


def _videos(table: pd.DataFrame) -> dict[str, str]:
    """The SDK's id of every recording."""
    videos: dict[str, str] = {}
    for split, rows in table.groupby("split"):
        videos |= renamed(
            rows["recording"], [video for video, fold in FOLDS.items() if fold == split], f"videos of the split {split!r}"
        )
    return videos


def _labels(rows: pd.DataFrame) -> tuple[object, object]:
    """Features float32 [segments, 7] and intervals float64 [segments, 2] in s, the last segment first: the order is not time's.

    In 1318 videos of the real corpus it is not, so that labels have to be found by their times.
    """
    import numpy as np

    backwards = rows.iloc[::-1]
    features = np.zeros((len(rows), 1 + len(_EMOTIONS)), dtype="float32")
    for column, name in enumerate(("sentiment", *_EMOTIONS)):
        if name in rows.columns:
            features[:, column] = backwards[name]
    return features, backwards[["start", "end"]].to_numpy()
