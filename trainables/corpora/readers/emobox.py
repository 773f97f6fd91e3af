"""EmoBox metadata: JSON lines with ``key, dataset, wav, type, sample_rate, num_frame, task, length, emo, channel``.

::

    EmoBox/
      data/casia/casia.jsonl                    all utterances
      data/casia/fold_1/casia_{train,test}_fold_1.jsonl
      downloads/casia/wangzhe/neutral/239.wav   as the lines give it, relative to EmoBox/

The root is the folder that the paths are relative to. EmoBox comes with many data sets: ``manifest = "data/casia/casia.jsonl"``
says which, ``manifest = "data/casia/fold_1"`` takes a fold as the splits. The lines name no speaker, so ``speaker_pattern`` must
find it in the path: ``speaker_pattern = "downloads/casia/([^/]+)/"``. Other fields are columns as anywhere else.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from trainables.corpora.columns import FOLDER, FOLDER_SPLIT, manifest_from
from trainables.corpora.generic import ABOUT, KNOWN_MISSING, facts
from trainables.corpora.readers._files import visible
from trainables.corpora.readers._formats import SETTINGS, chosen, folder_of, holds, options_from
from trainables.corpora.tables import read_table, text_column
from trainables.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

    from trainables.corpora.corpus import CorpusSource
    from trainables.corpora.reading import Report

__all__ = ["ABOUT", "KNOWN_MISSING", "SETTINGS", "facts", "find_root", "options_from", "read_manifest"]

_FIELDS = ("key", "dataset", "wav", "emo")
_TECHNICAL = ("dataset", "type", "sample_rate", "num_frame", "task", "length", "channel")
"""Fields that say nothing of who speaks and what; 'task' is EmoBox' own and not the speaker's."""


def find_root(folder: Path) -> Path | None:
    """The folder itself, if it or a folder up to two levels below has a .jsonl file with EmoBox' fields."""
    return folder if holds(folder, _tables) else None


def _tables(folder: Path) -> list[Path]:
    return [path for path in visible(folder, "*.jsonl") if _is_emobox(path)]


def _is_emobox(path: Path) -> bool:
    try:
        with path.open(encoding="utf-8-sig") as file:
            record = json.loads(file.readline())
    except (OSError, ValueError):
        return False
    return isinstance(record, dict) and all(field in record for field in _FIELDS)


def read_manifest(source: CorpusSource, report: Report) -> pd.DataFrame | None:
    """One row per line."""
    import pandas as pd

    root = Path(source.root)
    tables = []
    for path, split in chosen(root, source.options.get("manifest"), _tables, "EmoBox .jsonl", report):
        try:
            table = read_table(path)
        except UserError as error:
            report.add(str(error))
            continue
        if missing := [field for field in _FIELDS if field not in table]:
            report.add(f"{path}: has no {', '.join(missing)}; expected EmoBox' fields {', '.join(_FIELDS)}")
            continue
        table = table.drop(columns=[name for name in _TECHNICAL if name in table])
        base = folder_of(root, path.parent, table["wav"])
        table = table.rename(columns={"key": "segment", "wav": "recording", "emo": "emotion"})
        tables.append(table.assign(**{FOLDER: text_column([base] * len(table)), FOLDER_SPLIT: text_column([split] * len(table))}))
    if report.messages or not tables:
        return None
    return manifest_from(pd.concat(tables, ignore_index=True).fillna(""), source, report)
