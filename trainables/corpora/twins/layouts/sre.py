"""The SRE corpus' layout: the manifest that :mod:`trainables.corpora.readers.sre` documents, beside the recordings.

Nothing is lost but the segments' names; what a task implies of the style of speaking, the twin does not say and the reader adds.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from trainables.corpora.twins.layouts.parts import GROUPS, recordings, write_cells, write_sound

if TYPE_CHECKING:
    from trainables.corpora.corpus import CorpusSource
    from trainables.corpora.reading import Progress

_COLUMNS = (
    "file_name", "start", "end", "speaker", "session", "subject_type", "task", "emotional_valence", "gender", "bdi_ii", "material",
    "text",
)  # fmt: skip


def write(twin: CorpusSource, root: Path, progress: Progress | None) -> None:
    """Fill ``root``; see :func:`trainables.corpora.twins.layouts.write_layout`."""
    cells: list[tuple[object, ...]] = []
    for recording, audio, rows in recordings(twin, twin.manifest(), progress):
        name = f"wav/{Path(recording).stem}.wav"
        write_sound(audio, root / name)
        for row in rows.itertuples():
            material = (row.task, row.stimulus, row.gender, int(row.bdi_ii), row.prompt, row.text)
            cells.append((name, row.start, row.end, row.speaker, row.session, GROUPS[row.depressed], *material))
    write_cells(root / "manifest.csv", _COLUMNS, cells)
