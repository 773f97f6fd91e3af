"""The transcripts of DAIC-WOZ and E-DAIC, and what their documentation and users say to mend or leave out.

DAIC-WOZ (``300_TRANSCRIPT.csv``) is separated by TABs although its name ends in csv, has ``start_time stop_time speaker value``
and the turns of both, ``Ellie`` and ``Participant``. E-DAIC (``300_Transcript.csv``) is separated by commas, has
``Start_Time,End_Time,Text,Confidence`` and no speaker: the virtual agent was taken out of these transcripts, which a recogniser
made (AVEC 2019), so all turns are the subject's. Which of the two a file is, its header tells.

What is mended and left out (the corpus' documentation; Bailey and Plumbley, EUSIPCO 2021, and their ``daic_woz_process``):

* times of 318, 321, 341 and 362 are moved, because their transcripts began later than the audio (DAIC-WOZ's transcripts only);
* turns in the interruptions of 373 and 444: for 373 the union of both sources' times (the documentation says 5:52 to 7:00, the
  tool 395 to 428 s), because a minute more or less of an interview is nothing beside a third voice in it. E-DAIC's recordings of
  these sessions are the same, so the same is left out;
* turns that are a mark of synchronisation alone, and ``scrubbed_entry`` (names were silenced in the audio);
* what the participant says before Ellie's first turn, which is set-up talk; a mark of synchronisation is no turn of hers. Sessions
  451, 458 and 480 have none, and all of the participant's stay;
* turns without times or speaker, without length, or before the recording.

Other marks stay in the text: ``<laughter>``, ``xxx`` (not understood), ``people <peop>`` (cut-off words). Turns may overlap.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from trainables.corpora.readers._files import read_rows, read_text
from trainables.corpora.reading import Report
from trainables.errors import UserError

OFFSETS = {"318": 34.319917, "321": 3.8379167, "341": 6.1892, "362": 16.8582}
"""Seconds that are added to a transcript's times."""

INTERRUPTIONS = {"373": (352.0, 428.0), "444": (286.0, 387.0)}
"""Start and end of what is left out, s."""

PLAIN_UP_TO = 363
"""Last session in which Ellie's turns are plain text; in later ones they are ``utterance_id (text)``."""

_UTTERANCE = re.compile(r"[^\s()]+ *\((.*)\)", re.DOTALL)
_SYNCHRONISATION = re.compile(r"[<\[]sync(h|ing|hing)?[>\].]")
_TALKERS = {"participant": "subject", "ellie": "interviewer"}
_WITH_SPEAKER = ("start_time", "stop_time", "speaker", "value")
_WITHOUT_SPEAKER = ("start_time", "end_time", "text")


class Turn(NamedTuple):
    """A row of a transcript: its number in the file from 1, times in s, 'subject' or 'interviewer', and what was said."""

    number: int
    start: float
    end: float
    talker: str
    text: str


def read_turns(path: Path, session: str, report: Report) -> list[Turn]:
    """A session's turns, mended, without those that the module's list leaves out.

    Args:
        path: The transcript.
        session: The participant's number.
        report: Told what was left out, by segment (``300_0001``).

    Raises:
        UserError: Not a transcript of either kind, a time that is no number, an unknown speaker, or no turn of the
            participant left.
    """
    turns, has_speakers = _parse(path, session, report)
    if has_speakers and session in OFFSETS:
        turns = [turn._replace(start=turn.start + OFFSETS[session], end=turn.end + OFFSETS[session]) for turn in turns]
    marks = [turn for turn in turns if _SYNCHRONISATION.fullmatch(turn.text.lower())]
    report.skip("marks of synchronisation", [segment_of(session, turn.number) for turn in marks])
    turns = [turn for turn in turns if turn not in marks]
    first = min((turn.start for turn in turns if turn.talker == "interviewer"), default=-math.inf)
    since, until = INTERRUPTIONS.get(session, (math.inf, -math.inf))
    unwanted: tuple[tuple[str, Callable[[Turn], bool]], ...] = (
        ("set-up talk before Ellie's first turn", lambda turn: turn.start < first),
        ("scrubbed entries (silenced in the audio)", lambda turn: "scrubbed_entry" in turn.text.lower()),
        ("interruptions of the interviews 373 and 444", lambda turn: turn.start < until and turn.end > since),
        ("turns without length or before the recording", lambda turn: turn.start < 0 or turn.end <= turn.start),
    )
    for reason, is_unwanted in unwanted:
        report.skip(reason, [segment_of(session, turn.number) for turn in turns if is_unwanted(turn)])
        turns = [turn for turn in turns if not is_unwanted(turn)]
    if all(turn.talker != "subject" for turn in turns):
        raise UserError(f"{path}: no turn of the participant is left; copy the file again, or leave the session out with exclude")
    return turns


def segment_of(session: str, number: int) -> str:
    """Name of a segment: the session and the row's number in its transcript."""
    return f"{session}_{number:04d}"


def _parse(path: Path, session: str, report: Report) -> tuple[list[Turn], bool]:
    """The rows that have times and a speaker, and whether the transcript names speakers."""
    tabs = "\t" in read_text(path).lstrip().split("\n", 1)[0]
    table = read_rows(path, "\t" if tabs else ",", csv.QUOTE_NONE if tabs else csv.QUOTE_MINIMAL, short_rows=True)
    table.columns = [name.rstrip(",").lower() for name in table.columns]  # some copies' header ends in a comma
    has_speakers = set(_WITH_SPEAKER) <= set(table.columns)
    if not has_speakers and not set(_WITHOUT_SPEAKER) <= set(table.columns):
        raise UserError(
            f"{path}: not a transcript: its header is {', '.join(table.columns)}; expected {', '.join(_WITH_SPEAKER)} "
            f"(DAIC-WOZ) or {', '.join(_WITHOUT_SPEAKER)} (E-DAIC)"
        )
    turns, incomplete = [], []
    for number, row in enumerate(table.to_dict("records"), 1):
        start, end = (_seconds(row[name], path, number) for name in (_WITH_SPEAKER if has_speakers else _WITHOUT_SPEAKER)[:2])
        talker = _talker(row["speaker"], path, number) if has_speakers else "subject"
        if start is None or end is None or not talker:
            incomplete.append(segment_of(session, number))
            continue
        text = row["value" if has_speakers else "text"].strip()
        turns.append(Turn(number, start, end, talker, _plain(text, session) if talker == "interviewer" else text))
    report.skip("transcript rows without times or speaker", incomplete)
    return turns, has_speakers


def _seconds(cell: str, path: Path, number: int) -> float | None:
    """A time; None where there is none."""
    if cell.strip().lower() in ("", "nan"):
        return None
    try:
        value = float(cell)
    except ValueError:
        value = math.inf
    if not math.isfinite(value):
        raise UserError(f"{path}: row {number} has the time {cell!r}; expected seconds")
    return value


def _talker(cell: str, path: Path, number: int) -> str:
    """The talker; '' where the transcript names none."""
    word = cell.strip().lower()
    if word in ("", "nan"):
        return ""
    if word not in _TALKERS:
        raise UserError(f"{path}: row {number} has the speaker {cell!r}; expected Ellie or Participant")
    return _TALKERS[word]


def _plain(text: str, session: str) -> str:
    """Ellie's words without the identifier in front of them."""
    match = _UTTERANCE.fullmatch(text) if int(session) > PLAIN_UP_TO else None
    return match[1].strip() if match else text
