"""Small trees in the layouts of DAIC-WOZ and E-DAIC, written by the tests that need them; no recordings."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import pandas as pd

from trainables.corpora.corpus import CorpusSource
from trainables.corpora.readers import daic_woz
from trainables.corpora.reading import Report
from trainables.errors import Faults

Row = tuple[object, object, str, str]
"""start, stop, speaker, value"""

ITEMS = "PHQ8_NoInterest,PHQ8_Depressed,PHQ8_Sleep,PHQ8_Tired,PHQ8_Appetite,PHQ8_Failure,PHQ8_Concentrating,PHQ8_Moving"
TALK: tuple[Row, ...] = ((0.5, 1, "Ellie", "how are you"), (1.25, 2, "Participant", "i'm fine"))
SCORES: dict[str, dict[str, tuple[int, int]]] = {
    "train": {"303": (0, 0), "304": (12, 1)},
    "dev": {"302": (4, 1), "305": (10, 0)},
    "test": {"300": (2, 1), "301": (23, 0)},
}
"""Split to session to score and gender."""


def write_daic(root: Path, scores: Mapping[str, Mapping[str, tuple[int, int]]] = SCORES, full_test: bool = True) -> Path:
    """The official tables and, for every session, a transcript of two turns in its own folder."""
    root.mkdir(parents=True, exist_ok=True)
    for split, people in scores.items():
        if split == "test":
            rows = [f"{session},{gender}" for session, (_, gender) in people.items()]
            lines(root / "test_split_Depression_AVEC2017.csv", ["participant_ID,Gender", *rows])
            rows = [f"{session},{int(score >= 10)},{score},{gender}" for session, (score, gender) in people.items()]
            if full_test:
                lines(root / "full_test_split.csv", ["Participant_ID,PHQ_Binary,PHQ_Score,Gender", *rows])
            continue
        rows = [f"{session},{int(score >= 10)},{score},{gender},0,0,0,0,0,0,0,0" for session, (score, gender) in people.items()]
        header = f"Participant_ID,PHQ8_Binary,PHQ8_Score,Gender,{ITEMS}"
        lines(root / f"{split}_split_Depression_AVEC2017.csv", [header, *rows])
    for people in scores.values():
        for session in people:
            write_transcript(root, session)
    return root


def write_transcript(root: Path, session: str, rows: Iterable[Row] = TALK, folder: str | None = None) -> Path:
    path = root / (f"{session}_P" if folder is None else folder) / f"{session}_TRANSCRIPT.csv"
    return lines(path, ["start_time\tstop_time\tspeaker\tvalue", *("\t".join(map(str, row)) for row in rows)])


def write_edaic(root: Path) -> Path:
    header = "Participant_ID,Gender,PHQ_Binary,PHQ_Score,PCL-C (PTSD),PTSD Severity"
    for split, people in SCORES.items():
        rows = [
            f"{session},{('male', 'female')[gender]},{int(score >= 10)},{score},0,22" for session, (score, gender) in people.items()
        ]
        lines(root / "labels" / f"{split}_split.csv", [header, *rows])
        for session in people:
            path = root / "data" / f"{session}_P" / f"{session}_Transcript.csv"
            lines(path, ["Start_Time,End_Time,Text,Confidence", '14.3,15.1," so, I said ""no""",0.93', "16,17.5,fine,0.8"])
    return root


def lines(path: Path, rows: Iterable[str], end: str = "\n", encoding: str = "utf-8") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes("".join(row + end for row in rows).encode(encoding))
    return path


def edit(path: Path, change: Callable[[str], str]) -> None:
    path.write_text(change(path.read_text()))


def source(root: Path, **settings: object) -> CorpusSource:
    """The corpus as the registry makes it, from the folder that the user gave."""
    faults = Faults("settings")
    options = daic_woz.options_from(settings, faults)
    faults.raise_if_any()
    return CorpusSource(
        role="daic_woz", name="daic", reader="daic_woz", root=str(daic_woz.find_root(root)), options=options, digest=""
    )


def read(root: Path, **settings: object) -> tuple[pd.DataFrame, Report]:
    """The manifest and what was left out of it; fails where there is a fault."""
    report = Report("daic_woz")
    table = daic_woz.read_manifest(source(root, **settings), report)
    report.raise_if_any()
    assert table is not None
    return table, report


def faults(root: Path, **settings: object) -> list[str]:
    report = Report("daic_woz")
    assert daic_woz.read_manifest(source(root, **settings), report) is None
    return report.messages
