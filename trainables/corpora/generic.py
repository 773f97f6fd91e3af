"""The reader for any corpus that comes with a table: a generic manifest, or a Hugging Face audiofolder.

How a column is found: a rename in corpora.toml (``[mosei.columns] emotion = "label"``), else the manifest's own name, else an
alias.

What a table may leave out, and what then holds:

===========  ==============================================================================================================
segment      the recording's path, with ``:start-end`` after it if the recording has several rows
start, end   0 and the end of the recording
talker       'subject'
session      the speaker if there are ``depressed`` labels (one interview a person is then the usual case, and a diagnosis is a
             person's), else the recording
split        the folder's (audiofolder), else '' (stages split by speaker)
text         ''
sentiment    in a role that needs it: the sign of the emotion's valence (:mod:`trainables.corpora.valence`)
===========  ==============================================================================================================

In a role that needs ``emotion`` well-known words become IEMOCAP's codes (:mod:`trainables.corpora.emotions`).

Recording and speaker must be there: guessing a speaker would let one person into training and test unseen.
"""

from __future__ import annotations

import difflib
import os
import posixpath
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainables.corpora.emotions import EMOTION_CODES
from trainables.corpora.manifest import COLUMNS, LABELS, in_order, listing
from trainables.corpora.roles import ROLES
from trainables.corpora.tables import SPLIT_WORDS, find_tables, read_table
from trainables.corpora.valence import VALENCE_SIGNS
from trainables.errors import Faults, UserError

if TYPE_CHECKING:
    import pandas as pd

    from trainables.corpora.corpus import CorpusSource

ALIASES = {
    "segment": ("segment_id", "utterance", "utterance_id", "utt_id", "id"),
    "recording": ("path", "file", "wav", "audio", "file_name", "filename"),
    "start": ("start_time", "begin"),
    "end": ("end_time", "stop", "stop_time"),
    "speaker": ("spk", "speaker_id", "spk_id"),
    "session": ("session_id", "video", "video_id", "interview"),
    "split": ("mode", "partition", "fold", "split_set"),
    "text": ("transcript", "transcription", "sentence"),
    "emotion": ("label",),
    "activation": ("arousal",),
    "gender": ("sex",),
}
"""Other names of the manifest's columns that are understood, in any case."""

MAPPABLE = ("talker", "split", "depressed", "sentiment", "emotion", "gender")
"""Columns whose values corpora.toml may map: ``[mdd.talker] Ellie = "interviewer"``."""

SETTINGS = ("manifest", "columns", *MAPPABLE)
"""What a corpus' table in corpora.toml may hold for this reader."""

_ROW_TABLE = "_table"
_FALSE_TRUE = {"false": "0", "no": "0", "true": "1", "yes": "1"}


def options_from(settings: Mapping[str, Any], faults: Faults) -> dict[str, Any]:
    """The reader's options, from a corpus' table in corpora.toml; faults are told in its words."""
    options: dict[str, Any] = {"manifest": settings.get("manifest"), "columns": {}, "values": {}}
    if not isinstance(options["manifest"], str | None):
        faults.add(f"manifest must be a file name, found {options['manifest']!r}")
    for key in ("columns", *MAPPABLE):
        table = settings.get(key, {})
        if not isinstance(table, Mapping):
            faults.add(f"{key} must be a table of `name = value`, found {table!r}")
        elif key == "columns":
            options["columns"] = {name: str(source) for name, source in table.items()}
        elif table:
            options["values"][key] = {word: str(value) for word, value in table.items()}
    for name in options["columns"]:
        if name not in COLUMNS and name not in LABELS:
            faults.add(f"columns: {name!r} is no column of the manifest{closest(name, (*COLUMNS, *LABELS))}")
    return options


def closest(word: str, known: tuple[str, ...]) -> str:
    """A tail for a message on an unknown word: the closest known one, and all of them."""
    match = difflib.get_close_matches(word, known, 1)
    return (f"; did you mean {match[0]!r}?" if match else ";") + f" known are {', '.join(known)}"


def read_manifest(source: CorpusSource, faults: Faults) -> pd.DataFrame | None:
    """Read the corpus' tables into one manifest, in order; None if they cannot be read at all.

    Args:
        source: The corpus; its options are those of :func:`options_from`.
        faults: Receives everything that keeps the tables from being a manifest. The values are checked elsewhere.
    """
    import pandas as pd

    root = Path(source.root)
    raw = []
    for path, split in find_tables(root, source.options.get("manifest"), faults):
        try:
            table = read_table(path)
        except UserError as error:
            faults.add(str(error))
            continue
        raw.append(table.assign(**{_ROW_TABLE: path.parent.relative_to(root).as_posix(), "_split": split}))
    if faults.messages or not raw:
        return None
    table = pd.concat(raw, ignore_index=True).fillna("")
    if not len(table):
        faults.add("the manifest has no rows; list at least one segment")
        return None
    named = _named_columns(table, source, faults)
    if named is None:
        return None
    named["recording"] = _recordings(named["recording"], table[_ROW_TABLE], root, faults)
    _map_values(named, source, faults)
    _fill_in(named, table["_split"])
    _to_numbers(named, source.role, faults)
    return in_order(named)


def _named_columns(table: pd.DataFrame, source: CorpusSource, faults: Faults) -> pd.DataFrame | None:
    """The columns under the manifest's names; None if one that is needed is not there."""
    import pandas as pd

    renames = source.options.get("columns", {})
    by_lower = {name.lower(): name for name in reversed(table.columns)}
    chosen: dict[str, str] = {}
    for name in (*COLUMNS, *LABELS):
        if name in renames:
            if renames[name] not in table.columns:
                faults.add(f"columns: {name} = {renames[name]!r} is no column{closest(renames[name], _visible(table))}")
                continue
            chosen[name] = renames[name]
            continue
        match = next((by_lower[word] for word in (name, *ALIASES.get(name, ())) if word in by_lower), None)
        if match is not None and match not in renames.values():
            chosen[name] = match
    label = ROLES[source.role].label
    derived = label == "sentiment" and "emotion" in chosen
    for name in ("recording", "speaker", *(() if derived else (label,))):
        if name not in chosen and name not in renames:
            names = ", ".join((name, *ALIASES.get(name, ())))
            faults.add(
                f'no column for {name} ({names}); name it in corpora.toml: [{source.role}.columns] {name} = "..." '
                f"(the table has {', '.join(_visible(table))})"
            )
    if faults.messages:
        return None
    return pd.DataFrame({name: table[column].str.strip() for name, column in chosen.items()})


def _visible(table: pd.DataFrame) -> tuple[str, ...]:
    return tuple(name for name in table.columns if name not in (_ROW_TABLE, "_split"))


def _recordings(paths: pd.Series, folders: pd.Series, root: Path, faults: Faults) -> list[str]:
    """Paths as the tables give them (relative to their table) made relative to the root."""
    top = root.resolve().as_posix()
    recordings, outside = [], []
    for path, folder in zip(paths, folders, strict=True):
        slashed = path.replace("\\", "/")  # tables written on Windows
        if posixpath.isabs(slashed):
            relative = posixpath.relpath(slashed, top)
        else:
            relative = posixpath.normpath(posixpath.join(folder, slashed)) if slashed else ""
        if relative.split("/")[0] == os.pardir:
            outside.append(path)
        recordings.append(relative)
    if outside:
        faults.add(f"recordings outside the root: {listing(outside)}; give a root that holds them and name the `manifest` in it")
    return recordings


def _map_values(named: pd.DataFrame, source: CorpusSource, faults: Faults) -> None:
    """Apply the value maps, the known ones of emotions too, and derive sentiment where it is the only way to have it."""
    maps = {column: {_key(word): value for word, value in table.items()} for column, table in source.options["values"].items()}
    if "sentiment" not in named and "emotion" in named and ROLES[source.role].label == "sentiment":
        maps["sentiment"] = {word: str(sign) for word, sign in VALENCE_SIGNS.items()} | maps.get("sentiment", {})
        named["sentiment"] = named["emotion"]
    if ROLES[source.role].label == "emotion":
        maps["emotion"] = EMOTION_CODES | maps.get("emotion", {})
    for column, words in maps.items():
        if column not in named:
            faults.add(f"[{source.role}.{column}] maps a column that the table does not have")
            continue
        number = column in LABELS and LABELS[column].kind is float
        unknown = [word for word in named[column] if number and word and _key(word) not in words and not _is_number(word)]
        if unknown:
            first = min(unknown)
            faults.add(
                f"{column}: no value is known for {listing(sorted(set(unknown)))}; give one in corpora.toml, "
                f'for example [{source.role}.{column}] "{first}" = 0'
            )
        named[column] = [words.get(_key(word), "" if word in unknown else word) for word in named[column]]


def _fill_in(named: pd.DataFrame, folder_splits: pd.Series) -> None:
    """Give the columns that the table leaves out the values that the module's table documents."""
    named["split"] = [SPLIT_WORDS.get(word.lower(), word) for word in named.get("split", folder_splits)]
    if "talker" in named:
        named["talker"] = named["talker"].str.lower()
    for name, default in (("talker", "subject"), ("text", ""), ("start", "0"), ("end", "")):
        if name not in named:
            named[name] = default
    named.loc[named["start"] == "", "start"] = "0"
    if "session" not in named:
        named["session"] = named["speaker"] if "depressed" in named else named["recording"]
    if "segment" not in named:
        span = named["recording"] + ":" + named["start"] + "-" + named["end"]
        named["segment"] = named["recording"].where(~named["recording"].duplicated(keep=False), span)


def _to_numbers(named: pd.DataFrame, role: str, faults: Faults) -> None:
    columns = COLUMNS | LABELS
    for name in [name for name in named if columns[name].kind is float]:
        words = named[name].str.lower().map(lambda word: _FALSE_TRUE.get(word, word)) if name == "depressed" else named[name]
        numbers = words.map(_number).astype("float64")
        wrong = numbers.isna() & ~words.str.lower().isin(("", "nan", "none", "null"))
        if wrong.any():
            mend = f"map them in [{role}.{name}]" if name in MAPPABLE else "mend them"
            faults.add(f"{name} must be a number; found {listing(words[wrong])}: {mend}")
        named[name] = numbers
    if (
        "depressed" in named
    ):  # a diagnosis is a session's: tables often give it in the session's first row or at the subject's turns
        named["depressed"] = named["depressed"].fillna(named.groupby("session")["depressed"].transform("first"))
        if named["depressed"].notna().all() and named["depressed"].isin((0, 1)).all():
            named["depressed"] = named["depressed"].astype("int64")


def _number(word: str) -> float:
    import math

    import pandas as pd

    try:
        value = float(word)
    except ValueError:
        # audformat writes times as '0 days 00:00:01.200000'
        value = pd.to_timedelta(word, errors="coerce").total_seconds() if ":" in word else math.nan
    return value if math.isfinite(value) else math.nan


def _is_number(word: str) -> bool:
    return _number(word) == _number(word)


def _key(word: str) -> str:
    return word.strip().lower()
