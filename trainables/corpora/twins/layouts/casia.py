"""CASIA's layout (the free part): speaker, emotion, and a recording per text, whose number is the same in all folders.

Texts have the twin's numbers, which are the corpus' own (from 201).

Lost: the transcripts, which this part does not have, and the silence around an utterance.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from trainables.corpora.twins.layouts.parts import recordings, renamed, write_sound

if TYPE_CHECKING:
    from trainables.corpora.corpus import CorpusSource
    from trainables.corpora.reading import Progress

_SPEAKERS = {"female": ("liuchanhg", "zhaoquanyin"), "male": ("wangzhe", "ZhaoZuoxiang")}
_FOLDERS = {"ang": "angry", "fea": "fear", "hap": "happy", "neu": "neutral", "sad": "sad", "sur": "surprise"}


def write(twin: CorpusSource, root: Path, progress: Progress | None) -> None:
    """Fill ``root``; see :func:`trainables.corpora.twins.layouts.write_layout`."""
    table = twin.manifest()
    speakers: dict[str, str] = {}
    for gender, names in _SPEAKERS.items():
        speakers |= renamed(table.loc[table["gender"] == gender, "speaker"], names, f"{gender} speakers")
    for _, audio, rows in recordings(twin, table, progress):
        (row,) = rows.itertuples()
        target = root / speakers[row.speaker] / _FOLDERS[row.emotion] / f"{row.prompt}.wav"
        write_sound(audio, target, row.start, row.end)
