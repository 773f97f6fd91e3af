"""From a table of words to a manifest: which column is which, what its words mean, and what is filled in.

Every reader of a table ends here, whatever file the words came from, so that a name or a label is understood alike in all of them.

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

In a role that needs ``emotion`` well-known words become IEMOCAP's codes (:mod:`trainables.corpora.emotions`). Words for a
diagnosis (:data:`trainables.corpora.values.DIAGNOSES`) become 1 and 0.

Recording and speaker must be there: guessing a speaker would let one person into training and test unseen. Where the path holds
the speaker's name, ``speaker_pattern`` says where: a regular expression with one group, searched in the recording's path relative
to the root. It goes before a column.
"""

from __future__ import annotations

import difflib
import os
import posixpath
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainables.corpora.manifest import COLUMNS, LABELS, in_order
from trainables.corpora.reading import listing
from trainables.corpora.roles import ROLES
from trainables.corpora.tables import SPLIT_WORDS
from trainables.corpora.values import MAPPABLE, blank_names, map_values, replace_words, to_numbers
from trainables.errors import Faults

if TYPE_CHECKING:
    import pandas as pd

    from trainables.corpora.corpus import CorpusSource

ALIASES: dict[str, tuple[str, ...]] = {
    "segment": ("segment_id", "utterance", "utterance_id", "utt_id", "id"),
    "recording": ("path", "file", "wav", "audio", "file_name", "filename"),
    "start": ("start_time", "begin"),
    "end": ("end_time", "stop", "stop_time"),
    "speaker": ("spk", "speaker_id", "spk_id"),
    "session": ("session_id", "video", "video_id", "interview"),
    "split": ("mode", "partition", "fold", "split_set"),
    "text": ("transcript", "transcription", "sentence"),
    "emotion": ("label", "emo"),
    "activation": ("arousal",),
    "gender": ("sex",),
    "phq8": ("phq_8", "phq-8", "phq8_score"),
    "bdi_ii": ("bdi-ii", "bdi2", "bdi", "bdi_ii_score"),
    "task": ("task_type",),
    "stimulus": ("emotional_valence", "emotional_state"),
    "style": ("speaking_style",),
    "prompt": ("prompt_id", "text_id", "text_code", "sentence_id", "material"),
}
"""Other names of the manifest's columns that are understood, in any case."""

SETTINGS = ("columns", *MAPPABLE, "speaker_pattern")
"""What a corpus' table in corpora.toml may hold for every reader that ends here."""

FOLDER = "_folder"
FOLDER_SPLIT = "_split"
"""Columns that a reader may add to its table: the folder that its paths are relative to (itself relative to the root; '.' where
there is no such column), and the split that the folder stands for."""

_UNUSUAL_PATH = r"\\|^/|//|/$|(?:^|/)\.{1,2}(?:/|$)"


def closest(word: str, known: Sequence[str]) -> str:
    """A tail for a message on an unknown word: the closest known one, and all of them."""
    match = difflib.get_close_matches(word, known, 1)
    return (f"; did you mean {match[0]!r}?" if match else ";") + f" known are {', '.join(known)}"


def options_from(settings: Mapping[str, Any], faults: Faults) -> dict[str, Any]:
    """The options of :data:`SETTINGS` from a corpus' table in corpora.toml; faults are told in its words."""
    options: dict[str, Any] = {"columns": {}, "values": {}}
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
    if "speaker_pattern" in settings:
        options["speaker_pattern"] = _pattern(settings["speaker_pattern"], faults)
    return options


def _pattern(given: Any, faults: Faults) -> str:
    try:
        if re.compile(given).groups == 1:
            return str(given)
        found = f"found {given!r}"
    except (re.error, TypeError) as error:
        found = f"found {given!r} ({error})"
    faults.add(f"speaker_pattern must be a regular expression with exactly one group, such as '([0-9]+)/[^/]+$'; {found}")
    return ""


def manifest_from(
    table: pd.DataFrame, source: CorpusSource, faults: Faults, aliases: Mapping[str, tuple[str, ...]] = ALIASES
) -> pd.DataFrame | None:
    """Make a table of words a manifest, in order; None if columns that are needed are not there.

    Args:
        table: Every value a str, '' where there is none; paths relative to the root, or to :data:`FOLDER`.
        source: The corpus; its options hold those of :func:`options_from`.
        faults: Receives everything that keeps the table from being a manifest. The values are checked elsewhere.
        aliases: Other names of the manifest's columns, lower case.
    """
    if not len(table):
        faults.add(f"{source.root}: the manifest has no rows; list at least one segment")
        return None
    named = _named_columns(table, source, faults, aliases)
    if named is None:
        return None
    for name in ("segment", "recording", "speaker", "session"):
        if name in named:
            named[name] = blank_names(named[name])
    named["recording"] = _recordings(named["recording"], table.get(FOLDER), Path(source.root), faults)
    if pattern := source.options.get("speaker_pattern"):
        named["speaker"] = _speakers(named["recording"], pattern, faults)
    map_values(named, source, faults)
    _fill_in(named, table.get(FOLDER_SPLIT))
    to_numbers(named, source.role, faults)
    return in_order(named)


def _named_columns(
    table: pd.DataFrame, source: CorpusSource, faults: Faults, aliases: Mapping[str, tuple[str, ...]]
) -> pd.DataFrame | None:
    """The columns under the manifest's names; None if one that is needed is not there."""
    import pandas as pd

    renames, visible = source.options.get("columns", {}), [name for name in table.columns if name not in (FOLDER, FOLDER_SPLIT)]
    by_lower = {name.lower(): name for name in reversed(visible)}
    chosen: dict[str, str] = {}
    for name in (*COLUMNS, *LABELS):
        if name in renames:
            if renames[name] not in visible:
                faults.add(f"columns: {name} = {renames[name]!r} is no column{closest(renames[name], visible)}")
                continue
            chosen[name] = renames[name]
            continue
        match = next((by_lower[word] for word in (name, *aliases.get(name, ())) if word in by_lower), None)
        if match is not None and match not in renames.values():
            chosen[name] = match
    for name in _needed(source, chosen):
        if name not in chosen and name not in renames:
            names = ", ".join((name, *aliases.get(name, ())))
            pattern = " or give `speaker_pattern`, a regular expression that finds it in the path" if name == "speaker" else ""
            faults.add(
                f'no column for {name} ({names}); name it in corpora.toml: [{source.role}.columns] {name} = "..."{pattern} '
                f"(the table in {source.root} has {', '.join(visible)})"
            )
    if faults.messages:
        return None
    return pd.DataFrame({name: table[column].str.strip() for name, column in chosen.items()})


def _needed(source: CorpusSource, chosen: Mapping[str, str]) -> list[str]:
    """Columns that the manifest cannot do without: a label too, unless it can be derived."""
    label = ROLES[source.role].label
    derived = label == "sentiment" and "emotion" in chosen
    speaker = [] if source.options.get("speaker_pattern") else ["speaker"]
    return ["recording", *speaker, *([label] if label and not derived else [])]


def _recordings(paths: pd.Series, folders: pd.Series | None, root: Path, faults: Faults) -> pd.Series:
    """Paths as the tables give them (relative to their table) made relative to the root."""
    unusual = paths.str.contains(_UNUSUAL_PATH)
    recordings = paths
    if folders is not None:
        below = (folders != ".") & (paths != "")
        recordings = paths.mask(below, folders + "/" + paths) if below.any() else paths
        unusual |= folders.str.contains(_UNUSUAL_PATH) & below
    if unusual.any():
        top = root.resolve().as_posix()
        where = folders[unusual] if folders is not None else ["."] * int(unusual.sum())
        mended = [_relative(path, folder, top) for path, folder in zip(paths[unusual], where, strict=True)]
        recordings = recordings.copy()
        recordings[unusual] = mended
        outside = [path for path, found in zip(paths[unusual], mended, strict=True) if found.split("/")[0] == os.pardir]
        if outside:
            faults.add(
                f"recordings outside the root: {listing(outside)}; give a root that holds them and name the `manifest` in it"
            )
    return recordings


def _relative(path: str, folder: str, top: str) -> str:
    slashed = path.replace("\\", "/")  # tables written on Windows
    if posixpath.isabs(slashed):
        return posixpath.relpath(slashed, top)
    return posixpath.normpath(posixpath.join(folder, slashed))


def _speakers(recordings: pd.Series, pattern: str, faults: Faults) -> pd.Series:
    speakers = recordings.str.extract(f"(?:{pattern})", expand=False).fillna("").str.strip()
    unknown = recordings[(speakers == "") & (recordings != "")]
    if len(unknown):
        faults.add(f"speaker_pattern {pattern!r} finds no speaker in {listing(unknown)}; mend it, or name a column for speaker")
    return speakers


def _fill_in(named: pd.DataFrame, folder_splits: pd.Series | None) -> None:
    """Give the columns that the table leaves out the values that the module's table documents."""
    import pandas as pd

    if "split" not in named:
        named["split"] = pd.Series("", index=named.index, dtype="str") if folder_splits is None else folder_splits
    named["split"] = replace_words(named["split"], SPLIT_WORDS)
    if "talker" in named:
        named["talker"] = named["talker"].str.lower()
    for name, default in (("talker", "subject"), ("text", ""), ("start", "0"), ("end", "")):
        if name not in named:
            named[name] = pd.Series(default, index=named.index, dtype="str")
    named.loc[named["start"] == "", "start"] = "0"
    if "session" not in named:
        named["session"] = named["speaker"] if "depressed" in named else named["recording"]
    if "segment" not in named:
        named["segment"] = named["recording"]
        several = named["recording"].duplicated(keep=False)
        if several.any():
            span = named["recording"] + ":" + named["start"] + "-" + named["end"]
            named["segment"] = named["recording"].where(~several, span)
