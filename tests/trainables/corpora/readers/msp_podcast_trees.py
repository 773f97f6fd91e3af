"""Small trees in the layouts of MSP-Podcast's releases, written by the tests that need them; no recordings."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd

from trainables.corpora.corpus import CorpusSource
from trainables.corpora.readers import msp_podcast
from trainables.corpora.reading import Report
from trainables.errors import Faults

HEADER = ("FileName", "EmoClass", "EmoAct", "EmoVal", "EmoDom", "SpkrID", "Gender", "Split_Set")
Row = tuple[str, ...]

ROWS: tuple[Row, ...] = (
    ("MSP-PODCAST_0001_0008.wav", "A", "5.4", "2.2", "5.0", "7", "Male", "Train"),
    ("MSP-PODCAST_0001_0019.wav", "H", "5", "6", "4.6", "7", "Male", "Train"),
    ("MSP-PODCAST_0002_0033.wav", "S", "2", "2.4", "3", "8", "Female", "Development"),
    ("MSP-PODCAST_0003_0001.wav", "N", "4", "4", "4", "9", "Female", "Test1"),
    ("MSP-PODCAST_0866_0074_0002.wav", "H", "4", "5", "4", "10", "Male", "Test2"),
)


def row(name: str, emotion: str = "N", speaker: str = "7", split: str = "Train", gender: str = "Male") -> Row:
    return (f"MSP-PODCAST_{name}.wav", emotion, "4", "4", "4", speaker, gender, split)


def write_podcast(
    root: Path, rows: Iterable[Row] = ROWS, table: str = "Labels/labels_consensus.csv", audio: str = "Audios"
) -> Path:
    """The consensus table in the format of its name, and an empty folder for the recordings."""
    (root / audio).mkdir(parents=True, exist_ok=True)
    path = root / table
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".json":
        entries = {name: {key: typed(key, cell) for key, cell in zip(HEADER[1:], cells, strict=True)} for name, *cells in rows}
        path.write_text(json.dumps(entries))
    else:
        with path.open("w", newline="") as file:
            csv.writer(file).writerows([HEADER, *rows])
    return root


def typed(column: str, cell: str) -> object:
    """As the released JSON has it: scores and speakers as numbers."""
    return float(cell) if column in ("EmoAct", "EmoVal", "EmoDom") else int(cell) if column == "SpkrID" and cell.isdigit() else cell


def source(root: Path, **settings: object) -> CorpusSource:
    faults = Faults("settings")
    options = msp_podcast.options_from(settings, faults)
    faults.raise_if_any()
    found = str(msp_podcast.find_root(root))
    return CorpusSource(role="msp_podcast", name="podcast", reader="msp_podcast", root=found, options=options, digest="")


def read(root: Path) -> tuple[pd.DataFrame, dict[str, list[str]]]:
    """The manifest and what was left out of it; fails where there is a fault."""
    report = Report("msp_podcast")
    table = msp_podcast.read_manifest(source(root), report)
    report.raise_if_any()
    assert table is not None
    return table, report.skipped


def faults(root: Path) -> list[str]:
    report = Report("msp_podcast")
    assert msp_podcast.read_manifest(source(root), report) is None
    return report.messages


def facts(root: Path, hours: float = 0.0, **settings: object) -> Mapping[str, bool]:
    """Each fact's name and whether it holds."""
    table, _ = read(root)
    return {fact.name: fact.holds for fact in msp_podcast.facts(table, source(root, **settings), hours)}
