"""LibriSpeech's layout: subsets, readers, chapters, and a recording per utterance.

The splits are the subsets of the same name, train in train-clean-100. Names are the twin's, which are made like LibriSpeech's
(``1272-128104-0000``).

Lost: lower case and punctuation, which LibriSpeech's transcripts do not have, and the silence around an utterance.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from trainables.corpora.twins.layouts.parts import recordings, write_lines, write_sound

if TYPE_CHECKING:
    import pandas as pd

    from trainables.corpora.corpus import CorpusSource
    from trainables.corpora.reading import Progress

_SUBSETS = {"train": "train-clean-100", "dev": "dev-clean", "test": "test-clean"}


def write(twin: CorpusSource, root: Path, progress: Progress | None) -> None:
    """Fill ``root`` (LibriSpeech); see :func:`trainables.corpora.twins.layouts.write_layout`."""
    table = twin.manifest()
    transcripts: dict[Path, list[str]] = {}
    for recording, audio, rows in recordings(twin, table, progress):
        (row,) = rows.itertuples()
        name = Path(recording).stem
        reader, chapter, _ = name.split("-")
        folder = root / _SUBSETS[row.split] / reader / chapter
        write_sound(audio, folder / f"{name}.flac", row.start, row.end)
        transcripts.setdefault(folder / f"{reader}-{chapter}.trans.txt", []).append(f"{name} {_spoken(row.text)}")
    for path, lines in transcripts.items():
        write_lines(path, lines)
    _write_speakers(root / "SPEAKERS.TXT", table)


def _spoken(text: str) -> str:
    """Upper case, words and apostrophes only."""
    return " ".join(re.findall(r"[\w']+", text.upper()))


def _write_speakers(path: Path, table: pd.DataFrame) -> None:
    lines = [";ID  |SEX| SUBSET           |MINUTES| NAME"]
    for reader, rows in table.groupby("speaker"):
        minutes = (rows["end"] - rows["start"]).sum() / 60
        sex, subset = rows["gender"].iloc[0][0].upper(), _SUBSETS[rows["split"].iloc[0]]
        lines.append(f"{reader:<5}| {sex} | {subset:<17}| {minutes:<6.2f}| Reader {reader}")
    write_lines(path, lines)
