"""Segments with the class in their sound, as MfccSegments writes them, and the chains of stages that are trained on them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from tests.trainables.fake_context import FakeContext
from trainables.mfcc_segments import MfccSegments
from trainables.stage import Stage

FRAMES, COEFFICIENTS = 20, 8
FEATURES = MfccSegments(corpus="sre", coefficients=COEFFICIENTS)
SMALL = {"width": 4, "batch_size": 8, "range_steps": 20, "precision": "float32"}
"""Settings of a network that is trained in a second."""

_SPLITS = ("train", "train", "train", "train", "dev", "dev", "test", "test")


def write_segments(folder: Path, changed: tuple[str, ...] = ()) -> dict[Stage, Path]:
    """Eight segments of each of eight speakers, every other one depressed: the fourth coefficient then swings.

    Args:
        folder: Where to write.
        changed: Speakers who say something else instead.

    Returns:
        The result of :data:`FEATURES`.
    """
    folder.mkdir()
    rng, rows, features = np.random.default_rng(0), [], []
    swing = 4 * np.sin(np.arange(FRAMES) * np.pi / 4)
    offset = np.linspace(-300, 20, COEFFICIENTS)
    for number in range(64):
        speaker = number // 8
        sound = rng.standard_normal((FRAMES, COEFFICIENTS)) * np.linspace(60, 3, COEFFICIENTS) + offset
        sound[:, 3] += 60 * (speaker % 2) * swing
        name = f"s{speaker}"
        features.append(sound if name not in changed else 3 * sound[::-1] + 7)
        cut_from = f"{name}.{number % 8 // 4}"
        place = {"unit": f"{cut_from}#{number % 4:03d}", "position": 0, "seconds": 4.0, "cut_from": cut_from}
        facts = {"recording": f"{cut_from}.wav", "speaker": name, "session": name, "split": _SPLITS[speaker]}
        rows.append({**place, **facts, "depressed": speaker % 2})
    order = rng.permutation(len(rows))  # the features' order is not that of the names
    np.save(folder / "features.npy", np.stack(features)[order].astype(np.float32))
    pd.DataFrame(rows).iloc[order].to_parquet(folder / "segments.parquet", index=False)
    return {FEATURES: folder}


def finish(stage: Stage, results: dict[Stage, Path], folder: Path) -> Path:
    """The result of a stage after those of its chain were run that ``results`` lacks; they are added to it."""
    folder.mkdir(exist_ok=True)
    for each in stage.chain():
        if each not in results:
            directory = folder / f"{len(results):02d}"
            each.run(FakeContext(directory, results))
            results[each] = directory
    return results[stage]


def files(directory: Path) -> dict[str, bytes]:
    """All files of a result."""
    return {path.relative_to(directory).as_posix(): path.read_bytes() for path in sorted(directory.rglob("*")) if path.is_file()}
