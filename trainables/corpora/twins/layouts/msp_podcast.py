"""MSP-Podcast's layout (the names of release 1.11 on): a recording per utterance, consensus labels, transcripts.

A podcast keeps the twin's number, a known speaker gets one.

Lost: the silence around an utterance; ratings below 1e-6.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from trainables.corpora.twins.layouts.parts import recordings, renamed, write_cells, write_lines, write_sound

if TYPE_CHECKING:
    from trainables.corpora.corpus import CorpusSource
    from trainables.corpora.reading import Progress

_COLUMNS = ("FileName", "EmoClass", "EmoAct", "EmoVal", "EmoDom", "SpkrID", "Gender", "Split_Set")
_LETTERS = {
    "ang": "A",
    "hap": "H",
    "sad": "S",
    "neu": "N",
    "sur": "U",
    "fea": "F",
    "dis": "D",
    "con": "C",
    "oth": "O",
    "xxx": "X",
}
_UNKNOWN = "unknown-"  # of the twin: a speaker of its own for every utterance whose speaker is not known
_SPLITS = {"train": "Train", "dev": "Development", "test": "Test1", "test2": "Test2"}


def write(twin: CorpusSource, root: Path, progress: Progress | None) -> None:
    """Fill ``root``; see :func:`trainables.corpora.twins.layouts.write_layout`."""
    table = twin.manifest()
    known = table.loc[~table["speaker"].str.startswith(_UNKNOWN), "speaker"]
    speakers = renamed(known, [str(number) for number in range(1, 10000)], "speakers")
    labels = []
    for recording, audio, rows in recordings(twin, table, progress):
        name = f"MSP-PODCAST_{Path(recording).stem}"
        (row,) = rows.itertuples()
        write_sound(audio, root / "Audios" / f"{name}.wav", row.start, row.end)
        write_lines(root / "Transcripts" / f"{name}.txt", [row.text])
        ratings = [f"{value:.6f}" for value in (row.activation, row.valence, row.dominance)]
        who = (speakers.get(row.speaker, "Unknown"), row.gender.capitalize(), _SPLITS[row.split])
        labels.append((f"{name}.wav", _LETTERS[row.emotion], *ratings, *who))
    write_cells(root / "Labels" / "labels_consensus.csv", _COLUMNS, labels)
