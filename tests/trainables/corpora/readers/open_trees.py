"""Opening a tree that a test has written, as a user would: through a corpora.toml."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from trainables.corpora.corpus import CorpusSource
from trainables.corpora.reading import Report
from trainables.corpora.registry import open_corpora
from trainables.errors import UserError

APPLE_DOUBLE = b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X \xff\xfe\xb0"


def write_tone(path: Path, seconds: float = 0.1, rate: int = 16000, channels: int = 1) -> Path:
    """A sound file of its own (another pitch for another path), in the format that its ending names."""
    path.parent.mkdir(parents=True, exist_ok=True)
    hertz = 100 + sum(path.as_posix().encode(errors="surrogateescape")) % 900
    wave = 0.3 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)
    with path.open("wb") as file:  # libsndfile is given no name, because names may not be Unicode here
        soundfile.write(file, np.stack([wave] * channels, axis=1), rate, format=path.suffix[1:].upper(), subtype="PCM_16")
    return path


def write_text(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="")
    return path


def opened(tmp_path: Path, role: str, root: Path, settings: str = "") -> tuple[CorpusSource, Report]:
    spec = write_text(tmp_path / "corpora.toml", f'[{role}]\nroot = "{root.as_posix()}"\n{settings}\n')
    reports: dict[str, Report] = {}
    return open_corpora(str(spec), tmp_path / "home", [role], reports)[role], reports[role]


def refused(tmp_path: Path, role: str, root: Path, settings: str = "") -> str:
    with pytest.raises(UserError) as caught:
        opened(tmp_path, role, root, settings)
    return str(caught.value)
