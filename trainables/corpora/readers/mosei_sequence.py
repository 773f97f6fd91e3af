"""A computational sequence (HDF5) as arrays, read first in a process of its own.

On some damaged files the HDF5 library loops for ever, or crashes, deep in C, where neither an exception nor a signal handler of
Python's ends it. ``python -m trainables.corpora.readers.mosei_sequence FILE`` is such a process; it imports little, to be quick.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

import trainables

_SECONDS, _BYTES_PER_SECOND = 10.0, 1e6
"""A file may take so long, and a second more for so many bytes; the labels of CMU-MOSEI take about three seconds."""

Videos = dict[str, tuple[np.ndarray, np.ndarray]]
"""Of every video the features, float64 as they come, and the intervals."""


def read_sequence(path: Path) -> tuple[list[str] | None, Videos]:
    """The names of its dimensions, None where it does not say, and its videos.

    Raises:
        OSError: The HDF5 library cannot read the file. Whatever else h5py raises on files of another structure comes as it is.
    """
    limit = _SECONDS + path.stat().st_size / _BYTES_PER_SECOND
    ours = str(Path(trainables.__file__).parent.parent)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, (ours, os.environ.get("PYTHONPATH"))))}
    try:
        done = subprocess.run([sys.executable, "-m", __name__, str(path)], capture_output=True, timeout=limit, env=environment)
    except subprocess.TimeoutExpired:
        raise OSError(f"the HDF5 library comes to no end of it in {limit:.0f} s") from None
    if done.returncode < 0:
        raise OSError(f"it crashes the HDF5 library, by signal {-done.returncode}")
    return _read(path)


def _read(path: Path) -> tuple[list[str] | None, Videos]:
    with h5py.File(path, "r") as file:
        groups = list(file)
        if len(groups) != 1:
            raise ValueError(f"one group expected in it, found {groups}")
        sequence = file[groups[0]]
        dimensions = _dimensions(sequence.get("metadata", {}))
        return dimensions, {
            video: (np.asarray(entry["features"], dtype=float), np.asarray(entry["intervals"], dtype=float))
            for video, entry in sequence["data"].items()
        }


def _dimensions(metadata: Mapping[str, Any]) -> list[str] | None:
    if "dimension names" not in metadata:
        return None
    return [str(name).strip().lower() for name in json.loads(metadata["dimension names"][0])]


if __name__ == "__main__":
    _read(Path(sys.argv[1]))
