"""The manifest: its columns, what they mean, and every check of them.

A manifest is a data frame with one row per segment: a turn of a conversation, or an utterance. Readers fill it; stages read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from trainables.corpora.reading import counted, listing
from trainables.corpora.roles import ROLES
from trainables.errors import Faults

if TYPE_CHECKING:
    import pandas as pd


class Column(NamedTuple):
    """A column: ``kind`` is the type of its values, ``doc`` their meaning and unit."""

    kind: type
    doc: str


COLUMNS = {
    "segment": Column(str, "unique name of the row"),
    "recording": Column(str, "audio file, relative to the corpus' root, with forward slashes"),
    "start": Column(float, "start within the recording, s"),
    "end": Column(float, "end within the recording, s; NaN means the end of the recording"),
    "speaker": Column(str, "who speaks; the unit of every split"),
    "talker": Column(str, "'subject' or 'interviewer'"),
    "session": Column(str, "conversation (or video) that the segment belongs to; the unit of a diagnosis"),
    "split": Column(str, "'train', 'dev', 'test' or 'test2'; '' everywhere where the corpus has no splits of its own"),
    "text": Column(str, "transcript, '' where there is none"),
}
"""Columns that every manifest has."""

LABELS = {
    "depressed": Column(float, "diagnosis: 1 depressed, 0 healthy; one value per session"),
    "sentiment": Column(float, "signed sentiment score; in CMU-MOSEI from -3 to 3"),
    "emotion": Column(
        str, "emotion category: IEMOCAP's codes in a role that needs it, else the corpus' own words; '' where unknown"
    ),
    "valence": Column(float, "valence, in the corpus' own scale; NaN where unknown"),
    "activation": Column(float, "activation (arousal), in the corpus' own scale; NaN where unknown"),
    "dominance": Column(float, "dominance, in the corpus' own scale; NaN where unknown"),
    "happiness": Column(float, "intensity of happiness, 0 (none) to 3; several emotions may be present at once (CMU-MOSEI)"),
    "sadness": Column(float, "intensity of sadness, 0 to 3"),
    "anger": Column(float, "intensity of anger, 0 to 3"),
    "surprise": Column(float, "intensity of surprise, 0 to 3"),
    "disgust": Column(float, "intensity of disgust, 0 to 3"),
    "fear": Column(float, "intensity of fear, 0 to 3"),
    "gender": Column(
        str, "gender of the speaker: 'female' or 'male' from official readers, else the corpus' own words; '' where unknown"
    ),
    "phq8": Column(float, "PHQ-8 score of the session's subject, 0 to 24; NaN where unknown"),
    "bdi_ii": Column(float, "BDI-II score of the session's subject, 0 to 63; NaN where unknown"),
    "task": Column(str, "what the speaker was asked to do, such as 'interview' or 'picture description'; '' where unknown"),
    "stimulus": Column(str, "emotional valence of the material: 'positive', 'neutral' or 'negative'; '' where unknown"),
    "style": Column(str, "'scripted' or 'improvised'; '' where unknown"),
    "prompt": Column(str, "name of the text or material, alike for everybody who was given it; '' where there is none"),
    "conversation_start": Column(
        float, "start within the conversation, s, where every turn is a recording of its own; NaN where unknown"
    ),
}
"""Label columns; a manifest has those that its corpus has."""

TALKERS = ("subject", "interviewer")
SPLITS = ("train", "dev", "test", "test2")
"""Names of a corpus' own splits; 'test2' is MSP-Podcast's second test set."""


def in_order(table: pd.DataFrame) -> pd.DataFrame:
    """The manifest with its columns in the documented order and its rows by session, recording, start and segment."""
    columns = [name for name in (*COLUMNS, *LABELS) if name in table.columns]
    by = ["session", "recording", "start", "segment"]
    return table[columns].sort_values(by, kind="stable").reset_index(drop=True)


def check_table(table: pd.DataFrame, role: str, faults: Faults) -> None:
    """Find what is wrong with a manifest, given its role; needs no audio, whose length and damage :mod:`.damage` compares.

    Args:
        table: The columns above with their types; NaN where a number could not be had.
        role: The role in :data:`trainables.corpora.roles.ROLES` whose requirements are checked too.
        faults: Receives one message per kind of fault.
    """
    names = ["segment", "recording", "speaker", "session"]
    for name in names:
        empty = table[table[name] == ""]
        if len(empty):
            known = empty[names].apply(lambda row: next(filter(None, row), "no name at all"), axis=1)
            faults.add(
                f"{name} is empty in {counted(len(empty), 'row')}; fill it in (nan, none and null are empty, too): {listing(known)}"
            )
    repeated = table.loc[table["segment"].duplicated(), "segment"]
    if len(repeated):
        faults.add(f"segment names must be unique; found more than once: {listing(repeated)}")
    _check_words(table, "talker", TALKERS, role, faults)
    _check_words(table, "split", ("", *SPLITS), role, faults)
    _check_times(table, faults)
    _check_splits(table, faults)
    _check_labels(table, role, faults)
    if ROLES[role].one_subject:
        _check_subjects(table, faults)


def _check_words(table: pd.DataFrame, column: str, known: tuple[str, ...], role: str, faults: Faults) -> None:
    unknown = table.loc[~table[column].isin(known), column]
    if len(unknown):
        words = ", ".join(repr(word) for word in known)
        faults.add(
            f"{column} must be one of {words}; found {listing(unknown)}: "
            f"map them in corpora.toml, for example [{role}.{column}] {_toml_key(unknown.iloc[0])} = {known[-1]!r}"
        )


def _check_times(table: pd.DataFrame, faults: Faults) -> None:
    unknown = table["start"].isna()
    if unknown.any():
        faults.add(f"start is not a number: segments {listing(table.loc[unknown, 'segment'])}; give seconds")
    negative = (table["start"] < 0) | (table["end"] < 0)
    if negative.any():
        faults.add(f"negative times: segments {listing(table.loc[negative, 'segment'])}; times are seconds from 0")


def _check_splits(table: pd.DataFrame, faults: Faults) -> None:
    given = table["split"] != ""
    if given.any() and not given.all():
        faults.add(
            f"split is empty in {int((~given).sum())} of {len(table)} rows; fill it in everywhere, delete those rows, "
            "or delete the column (splits are then made by speaker)"
        )
    subjects = table[table["talker"] != "interviewer"]
    held = subjects["split"].replace("test2", "test")  # two test sets are never one model's training and test
    splits = held.groupby(subjects["speaker"]).nunique()
    shared = splits.index[splits > 1]
    if len(shared):
        faults.add(f"one speaker must be in one split; in several are {listing(shared)}: move all their rows to one split")


def _check_labels(table: pd.DataFrame, role: str, faults: Faults) -> None:
    requirement = ROLES[role]
    if "depressed" in table.columns:
        values = table["depressed"]
        wrong = values.notna() & ~values.isin((0, 1))
        if wrong.any():
            faults.add(f"depressed must be 0 or 1; found {listing(values[wrong])}: map them in [{role}.depressed]")
        distinct = table.groupby("session")["depressed"].nunique()
        if (distinct > 1).any():
            faults.add(f"depressed must be constant within a session; it is not in {listing(distinct.index[distinct > 1])}")
    if requirement.label and requirement.label not in table.columns:
        return  # the reader has said which column is missing, and how to name it
    subjects = table[table["talker"] != "interviewer"]
    if requirement.label:
        unlabelled = subjects[subjects[requirement.label].isna()]
        if len(unlabelled):
            faults.add(f"{requirement.label} is missing: segments {listing(unlabelled['segment'])}; fill it in or delete them")
    if requirement.words:
        _check_words(subjects, requirement.label, ("", *requirement.words), role, faults)
    for need in requirement.needs:
        found = need.count(subjects)
        if found < need.least:
            mapped = f", or map the labels in [{role}.{requirement.label}]" if requirement.label else ""
            faults.add(f"the role {role!r} needs at least {need.least} {need.what}, found {found}: add recordings{mapped}")


def _check_subjects(table: pd.DataFrame, faults: Faults) -> None:
    """Every session has turns of exactly one subject."""
    subjects = table[table["talker"] == "subject"]
    alone = set(table["session"]) - set(subjects["session"])
    if alone:
        faults.add(f"sessions without any turn of the subject: {listing(sorted(alone))}; delete them")
    speakers = subjects.groupby("session")["speaker"].nunique()
    shared = speakers.index[speakers > 1]
    if len(shared):
        faults.add(
            f"the subject's turns of a session must have one speaker; they have several in {listing(shared)}: "
            "mark the others' turns as interviewer in the column talker, or give each subject a session"
        )


def _toml_key(word: str) -> str:
    return word if word.isidentifier() else f'"{word}"'
