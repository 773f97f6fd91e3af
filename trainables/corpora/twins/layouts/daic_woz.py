"""DAIC-WOZ's layout (AVEC2017): a folder per session, and the official tables of the three splits.

Sessions get numbers of the real corpus, spread from 300 to 492, so that both ways of writing Ellie's lines occur (from 364 on with
the utterance's id before its text). Left out are the numbers that the corpus does not have, those without Ellie, and those whose
times a reader mends: the twin's times are right, and would be spoilt.

Lost: times below 1 ms; the eight items are made up to add up to the PHQ-8 score.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainables.corpora.readers.daic_transcripts import INTERRUPTIONS, OFFSETS, PLAIN_UP_TO
from trainables.corpora.readers.daic_woz import EXCLUDED, WITHOUT_ELLIE
from trainables.corpora.twins.layouts.parts import recordings, renamed, write_cells, write_lines, write_sound

if TYPE_CHECKING:
    import pandas as pd

    from trainables.corpora.corpus import CorpusSource
    from trainables.corpora.reading import Progress

_UNFIT = {*EXCLUDED, *WITHOUT_ELLIE, *OFFSETS, *INTERRUPTIONS}
_SESSIONS = [str(number) for number in range(300, 493) if str(number) not in _UNFIT]
_ITEMS = ("NoInterest", "Depressed", "Sleep", "Tired", "Appetite", "Failure", "Concentrating", "Moving")
_GENDERS = {"male": 0, "female": 1}


def write(twin: CorpusSource, root: Path, progress: Progress | None) -> None:
    """Fill ``root``; see :func:`trainables.corpora.twins.layouts.write_layout`."""
    table = twin.manifest()
    count = table["session"].nunique()
    spread = [_SESSIONS[index * len(_SESSIONS) // count] for index in range(min(count, len(_SESSIONS)))]
    numbers = renamed(table["session"], spread, "sessions")
    for _, audio, rows in recordings(twin, table, progress):
        number = numbers[rows["session"].iloc[0]]
        write_sound(audio, root / f"{number}_P" / f"{number}_AUDIO.wav")
        lines = [_transcript_line(row, int(number)) for row in rows.itertuples()]
        write_lines(root / f"{number}_P" / f"{number}_TRANSCRIPT.csv", ["start_time\tstop_time\tspeaker\tvalue", *lines])
    subjects = table[table["talker"] == "subject"].drop_duplicates("session")
    _write_splits(root, subjects.assign(number=subjects["session"].map(numbers)).sort_values("number"))


def _transcript_line(row: Any, number: int) -> str:
    speaker, text = "Participant", row.text
    if row.talker == "interviewer":
        speaker = "Ellie"
        if number > PLAIN_UP_TO:
            text = f"{'_'.join(re.findall(r'[a-z0-9]+', text.lower())[:4])} ({text})"
    return f"{row.start:.3f}\t{row.end:.3f}\t{speaker}\t{text}"


def _write_splits(root: Path, subjects: pd.DataFrame) -> None:
    """The tables of the three splits; the test's has no scores, which are in a table of their own."""
    header = ["Participant_ID", "PHQ8_Binary", "PHQ8_Score", "Gender", *(f"PHQ8_{item}" for item in _ITEMS)]
    of = {split: list(subjects[subjects["split"] == split].itertuples()) for split in ("train", "dev", "test")}
    for split in ("train", "dev"):
        rows = [(row.number, int(row.depressed), int(row.phq8), _GENDERS[row.gender], *_items(int(row.phq8))) for row in of[split]]
        write_cells(root / f"{split}_split_Depression_AVEC2017.csv", header, rows)
    asked = [(row.number, _GENDERS[row.gender]) for row in of["test"]]
    write_cells(root / "test_split_Depression_AVEC2017.csv", ("participant_ID", "Gender"), asked)
    answers = [(row.number, int(row.depressed), int(row.phq8), _GENDERS[row.gender]) for row in of["test"]]
    write_cells(root / "full_test_split.csv", ("Participant_ID", "PHQ_Binary", "PHQ_Score", "Gender"), answers)


def _items(score: int) -> list[int]:
    """Eight items of 0 to 3 that add up to the score."""
    whole, rest = divmod(score, len(_ITEMS))
    return [whole + (index < rest) for index in range(len(_ITEMS))]
