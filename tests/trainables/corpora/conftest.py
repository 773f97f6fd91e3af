"""A small corpus on disk, written by the test that asks for it."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile

from trainables.corpora.corpus import CorpusSource
from trainables.corpora.registry import open_corpora
from trainables.errors import UserError


def write_tone(path: Path, seconds: float = 1.0, rate: int = 16000, channels: int = 1, hertz: float = 200.0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    wave = 0.3 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)
    soundfile.write(path, np.stack([wave] * channels, axis=1), rate, subtype="PCM_16")


def write_rows(path: Path, rows: Sequence[Mapping[str, str]], delimiter: str = ",") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)


@pytest.fixture
def interviews() -> list[dict[str, str]]:
    """Four sessions of four subjects, two of each class; the first two are talks with an interviewer."""
    names = ("path", "start", "end", "speaker", "session", "talker", "depressed", "text")
    values = [
        ("a.wav", "0", "0.4", "eva", "1", "interviewer", "1", "how are you"),
        ("a.wav", "0.4", "1.0", "007", "1", "subject", "1", "tired"),
        ("b.wav", "0", "0.4", "eva", "2", "interviewer", "0", "how are you"),
        ("b.wav", "0.4", "", "-x", "2", "subject", "0", "fine"),
        ("c.wav", "", "", "008", "3", "subject", "1", "no"),
        ("d.wav", "", "", "y", "4", "subject", "0", "yes"),
    ]
    return [dict(zip(names, row, strict=True)) for row in values]


@pytest.fixture
def sentences() -> list[dict[str, str]]:
    """Two speakers with one signed sentence each."""
    return [
        {"file_name": "a.wav", "speaker": "s1", "sentiment": "1.5"},
        {"file_name": "b.wav", "speaker": "s2", "sentiment": "-2"},
    ]


@pytest.fixture
def open_corpus(tmp_path: Path) -> Callable[..., CorpusSource]:
    """Writes rows and one-second recordings under ``corpus/``, a corpora.toml beside it, and opens the role."""

    def run(
        role: str, rows: Sequence[Mapping[str, str]] | None, settings: str = "", manifest: str = "manifest.csv"
    ) -> CorpusSource:
        root = tmp_path / "corpus"
        if rows is not None:
            write_rows(root / manifest, rows, "\t" if manifest.endswith("tsv") else ",")
        for name in ("a.wav", "b.wav", "c.wav", "d.wav"):
            if not (root / name).exists():
                write_tone(root / name)
        spec = tmp_path / "corpora.toml"
        spec.write_text(f'[{role}]\nroot = "corpus"\n{settings}\n')
        return open_corpora(str(spec), tmp_path / "home", [role])[role]

    return run


@pytest.fixture
def faults_of(open_corpus: Callable[..., CorpusSource]) -> Callable[..., str]:
    """The message with which opening a corpus is refused."""

    def run(*arguments: object, **settings: object) -> str:
        with pytest.raises(UserError) as caught:
            open_corpus(*arguments, **settings)
        return str(caught.value)

    return run


@pytest.fixture
def tone() -> Callable[..., None]:
    return write_tone


@pytest.fixture
def table() -> Callable[..., None]:
    return write_rows
