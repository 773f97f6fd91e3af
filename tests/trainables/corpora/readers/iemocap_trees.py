"""A small IEMOCAP_full_release: three sessions, with the names that mislead and what lies between the labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import soundfile

from trainables.corpora.corpus import CorpusSource
from trainables.corpora.readers import iemocap
from trainables.corpora.reading import Report

APPLE_DOUBLE = b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X \xff\xfe\xb0"
TURN_SECONDS = 0.1


class Turn(NamedTuple):
    """The last part of a turn's name, its label and its text."""

    token: str
    emotion: str
    text: str = "Excuse me."


DIALOGUES: Mapping[str, tuple[Turn, ...]] = {
    "Ses01F_impro01": (Turn("F000", "neu", "Do you have your forms?"), Turn("M000", "fru", "Yeah."), Turn("F001", "xxx")),
    "Ses01M_script01_1b": (Turn("M000", "ang"), Turn("F000", "sad")),
    "Ses02M_impro05a": (Turn("F000", "ang"), Turn("M000", "exc")),
    "Ses03F_script01_1": (Turn("F000", "sad"), Turn("M000", "neu")),
}


def write_iemocap(
    root: Path, dialogues: Mapping[str, tuple[Turn, ...]] = DIALOGUES, sentences: bool = True, rate: int = 16000, channels: int = 1
) -> Path:
    """Labels, transcripts and audio: a file for each turn, or one for each dialogue."""
    for dialogue, turns in dialogues.items():
        session = root / f"Session{dialogue[4]}"
        write(session / "dialog/EmoEvaluation" / f"{dialogue}.txt", evaluation(dialogue, turns))
        write(session / "dialog/transcriptions" / f"{dialogue}.txt", transcript(dialogue, turns))
        if not sentences:
            write_wav(session / "dialog/wav" / f"{dialogue}.wav", len(turns) * TURN_SECONDS, rate, channels)
        for turn in turns if sentences else ():
            write_wav(session / "sentences/wav" / dialogue / f"{dialogue}_{turn.token}.wav", TURN_SECONDS, rate, channels)
    return root


def evaluation(dialogue: str, turns: tuple[Turn, ...]) -> str:
    lines = ["% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]", ""]
    for number, turn in enumerate(turns):
        start, end = number * TURN_SECONDS, (number + 1) * TURN_SECONDS
        lines += [
            f"[{start:.4f} - {end:.4f}]\t{dialogue}_{turn.token}\t{turn.emotion}\t[1.5000, 2.5000, 3.5000]",
            "C-E2:\tNeutral; Frustration;\t()",
            f"C-E4:\tOther;\t(sounds like {dialogue}_M099, only louder)",
            f"C-{turn.token[0]}1:\tAnger;\t()",
            "A-E3:\tval 3; act 2; dom  2;\t()",
            "A-E4:\tval 2; act 3; dom  ;\t()",
            "",
        ]
    return "\n".join(lines) + "\n"


def transcript(dialogue: str, turns: tuple[Turn, ...]) -> str:
    times = [(number * TURN_SECONDS, (number + 1) * TURN_SECONDS) for number in range(len(turns))]
    lines = [
        f"{dialogue}_{turn.token} [{start:08.4f}-{end:08.4f}]: {turn.text}" for turn, (start, end) in zip(turns, times, strict=True)
    ]
    return "\n".join([*lines, f"{dialogue}_MXX0 [009.0000-009.5000]: Mm.", "M: [LAUGHTER]"]) + "\n"


def write(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def write_wav(path: Path, seconds: float, rate: int = 16000, channels: int = 1) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    wave = 0.3 * np.sin(2 * np.pi * 200 * np.arange(round(seconds * rate)) / rate)
    soundfile.write(path, np.stack([wave] * channels, axis=1), rate, subtype="PCM_16")


def edit(path: Path, change: Callable[[str], str]) -> Path:
    text = path.read_text()
    changed = change(text)
    assert changed != text
    return write(path, changed)


def read(root: Path) -> tuple[pd.DataFrame | None, Report]:
    report = Report("iemocap")
    source = CorpusSource(role="iemocap", name="iemocap", reader="iemocap", root=str(root), digest="")
    return iemocap.read_manifest(source, report), report


def manifest(root: Path) -> pd.DataFrame:
    table, report = read(root)
    assert table is not None
    assert report.messages == []
    return table
