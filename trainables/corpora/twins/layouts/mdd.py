"""The MDD corpus' layout: the manifest that :mod:`trainables.corpora.readers.mdd` documents, beside the recordings.

Nothing is lost but the segments' names.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from trainables.corpora.twins.layouts.parts import GROUPS, recordings, write_cells, write_sound

if TYPE_CHECKING:
    from trainables.corpora.corpus import CorpusSource
    from trainables.corpora.reading import Progress

_COLUMNS = ("file_name", "start", "end", "speaker", "session", "talker", "diagnosis", "gender", "text")


def write(twin: CorpusSource, root: Path, progress: Progress | None) -> None:
    """Fill ``root``; see :func:`trainables.corpora.twins.layouts.write_layout`."""
    cells: list[tuple[object, ...]] = []
    for recording, audio, rows in recordings(twin, twin.manifest(), progress):
        name = f"wav/{Path(recording).stem}.wav"
        write_sound(audio, root / name)
        cells += [
            (name, row.start, row.end, row.speaker, row.session, row.talker, GROUPS[row.depressed], row.gender, row.text)
            for row in rows.itertuples()
        ]
    write_cells(root / "manifest.csv", _COLUMNS, cells)
