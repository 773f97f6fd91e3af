"""The split tables of DAIC-WOZ and E-DAIC: who is in which split, and with which PHQ-8 score.

============  =====================================================  ==================================================
edition       files (beside the sessions, or in ``labels/``)         columns that are read
============  =====================================================  ==================================================
DAIC-WOZ      ``{train,dev,test}_split_Depression_AVEC2017.csv``,    ``Participant_ID``, ``PHQ8_Score``,
              ``full_test_split.csv``                                ``PHQ8_Binary``, ``Gender`` (0 male, 1 female)
E-DAIC        ``{train,dev,test}_split.csv``                         ``Participant_ID``, ``PHQ_Score``,
                                                                     ``PHQ_Binary``, ``Gender`` (in words)
============  =====================================================  ==================================================

Names of columns are matched in any case and with or without the 8: the test tables write ``participant_ID`` and ``PHQ_Score``.

Without the tables of training and development there is no task; without a test table, or where it holds no scores, the corpus is
read without the test split, because nobody outside the challenge may have them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import NamedTuple

from trainables.corpora.readers._files import read_rows, read_text, visible
from trainables.corpora.reading import Report, listing
from trainables.errors import UserError

DAIC_WOZ, E_DAIC = "DAIC-WOZ", "E-DAIC"
DEPRESSED_FROM = 10
"""PHQ-8 score from which a participant counts as depressed (Kroenke et al., J. Affective Disorders 114, 2009; AVEC 2017)."""

_FULL_TEST = "full_test"
_FILES = {
    DAIC_WOZ: {f"{split}_split_depression_avec2017.csv": split for split in ("train", "dev", "test")}
    | {"full_test_split.csv": _FULL_TEST},
    E_DAIC: {f"{split}_split.csv": split for split in ("train", "dev", "test")},
}
_GENDERS = {"0": "male", "1": "female", "male": "male", "female": "female", "m": "male", "f": "female", "": ""}
_HIGHEST_SCORE = 24


class Participant(NamedTuple):
    """One session's subject; ``phq8`` from 0 to 24, ``gender`` 'male', 'female' or ''."""

    session: str
    split: str
    phq8: float
    gender: str

    @property
    def depressed(self) -> bool:
        """Whether the score says so."""
        return self.phq8 >= DEPRESSED_FROM


def find_tables(root: Path) -> dict[str, dict[str, Path]]:
    """The split tables in a folder or in its ``labels``: edition to split to file; 'full_test' has the labels of 'test'.

    Raises:
        UserError: A table cannot be read.
    """
    found: dict[str, dict[str, Path]] = {}
    for folder in (root / "labels", root):
        paths = visible(folder)
        for edition, files in _FILES.items():
            tables = {files[path.name.lower()]: path for path in paths if path.name.lower() in files}
            # E-DAIC's file names are those of many a corpus; its columns are not, but its test table may come without scores
            if tables and (edition == DAIC_WOZ or any(_has_scores(path) for path in tables.values())):
                found.setdefault(edition, {}).update(tables)
    return found


def _has_scores(path: Path) -> bool:
    return "phq" in read_text(path).split("\n", 1)[0].lower()


def read_participants(
    tables: Mapping[str, Path], root: Path, exclude: Collection[str], report: Report
) -> tuple[list[Participant], dict[str, set[str]]]:
    """Everybody with a score, and every session that is listed, from one edition's tables.

    The diagnosis is made from the score, because the binary column contradicts it for 409 (score 10, binary 0). Test sessions
    have a score only where ``full_test_split.csv`` is; without one they are left out.

    Args:
        tables: Split to file, as :func:`find_tables` gives it.
        root: The corpus' folder, for messages.
        exclude: Sessions to leave out; what their rows say is not looked at.
        report: Receives faults and what is left out.

    Returns:
        Everybody with a score who is not in ``exclude``, and split to all sessions that its tables list.
    """
    _tell_missing_tables(tables, root, report)
    people: list[Participant] = []
    listed: dict[str, set[str]] = {}
    scored: set[str] = set()
    for name, path in tables.items():
        try:
            rows = _rows(path, scored=name != "test")
        except UserError as error:
            report.add(str(error))
            continue
        split = "test" if name == _FULL_TEST else name
        listed.setdefault(split, set()).update(row["participant_id"] for row in rows)
        rows = [row for row in rows if row["participant_id"] not in exclude]
        if name == "test" and (_FULL_TEST in tables or not any("phq_score" in row for row in rows)):
            continue
        people += _participants(rows, split, path, report)
        scored.update(row["participant_id"] for row in rows)
    sessions = Counter(person.session for person in people)
    if repeated := sorted(session for session, count in sessions.items() if count > 1):
        names = ", ".join(path.name for path in tables.values())
        report.add(f"{root}: participants listed more than once: {listing(repeated)}; mend {names}")
    unscored = set[str]().union(*listed.values()) - scored - set(exclude)
    report.skip("sessions without a score (DAIC-WOZ's test scores are in full_test_split.csv)", sorted(unscored))
    return sorted(people), listed


def read_listed(tables: Mapping[str, Path]) -> dict[str, set[str]]:
    """Split to all sessions that its tables list, with a score or without.

    Raises:
        UserError: A table cannot be read.
    """
    listed: dict[str, set[str]] = {}
    for name, path in tables.items():
        sessions = {row["participant_id"] for row in _rows(path, scored=False)}
        listed.setdefault("test" if name == _FULL_TEST else name, set()).update(sessions)
    return listed


def _tell_missing_tables(tables: Mapping[str, Path], root: Path, report: Report) -> None:
    for split in ("train", "dev"):
        if split not in tables:
            report.add(f"{root}: no table of the {split} split; copy it beside the others")
    if "test" not in tables and _FULL_TEST not in tables:
        report.skip("splits without a table (copy it beside the others to read their sessions)", ["test"])


def session_of(cell: str) -> str:
    """A participant's number as text; spreadsheets write 300.0."""
    return cell.strip().removesuffix(".0")


def _participants(rows: list[dict[str, str]], split: str, path: Path, report: Report) -> list[Participant]:
    people = [_participant(row, split, path, report) for row in rows]
    contradicted = [row["participant_id"] for row, person in zip(rows, people, strict=True) if person and _contradicts(row, person)]
    report.note("binary labels that contradict the PHQ-8 score (made anew from the score)", contradicted)
    return [person for person in people if person]


def _rows(path: Path, scored: bool) -> list[dict[str, str]]:
    """The rows of a table by its columns' names without case and 8.

    Raises:
        UserError: The table cannot be read, or lacks the participants or, where it should have them, the scores.
    """
    table = read_rows(path, short_rows=True)
    known = [name.lower().replace("phq8", "phq") for name in table.columns]
    needed = {"participant_id": "Participant_ID"} | ({"phq_score": "PHQ8_Score"} if scored else {})
    missing = [name for column, name in needed.items() if column not in known]
    if missing:
        found = ", ".join(table.columns)
        mend = "save it with commas between the cells" if ";" in found else "copy it again"
        raise UserError(f"{path}: no column {' and '.join(missing)}; found {found}: {mend}")
    table.columns = known
    table["participant_id"] = table["participant_id"].map(session_of)
    return table.to_dict("records")


def _participant(row: Mapping[str, str], split: str, path: Path, report: Report) -> Participant | None:
    session, score, gender = row["participant_id"], _number(row["phq_score"]), session_of(row.get("gender", "")).lower()
    mend = "mend it, or leave the session out with exclude"
    if not session.isdecimal():
        report.add(f"{path}: Participant_ID {session!r} is not a number; mend it")
    elif score is None or not 0 <= score <= _HIGHEST_SCORE:
        found = f"participant {session} has the PHQ-8 score {row['phq_score']!r}"
        report.add(f"{path}: {found}; expected 0 to {_HIGHEST_SCORE}: {mend}")
    elif gender not in _GENDERS:
        report.add(f"{path}: participant {session} has the gender {gender!r}; expected 0, 1, male or female: {mend}")
    else:
        return Participant(session, split, score, _GENDERS[gender])
    return None


def _contradicts(row: Mapping[str, str], person: Participant) -> bool:
    binary = _number(row.get("phq_binary", ""))
    return binary is not None and binary != person.depressed


def _number(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None
