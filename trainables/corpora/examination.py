"""Looking at a real corpus from its tables to its sound: what opening it for a sweep and checking it by command have in common."""

from __future__ import annotations

import os
import posixpath
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from trainables.corpora.corpus import CorpusSource, read_table, reader_module
from trainables.corpora.damage import find_damage, judge_damage, without
from trainables.corpora.inventory import AudioFile, content_digest, take_inventory
from trainables.corpora.manifest import check_table
from trainables.corpora.names import openable
from trainables.corpora.reading import Progress, Report
from trainables.corpora.tables import AUDIO_SUFFIXES
from trainables.errors import UserError, printable

if TYPE_CHECKING:
    import pandas as pd

    from trainables.corpora.registry import Configured


class Examined(NamedTuple):
    """A corpus that was looked at.

    Attributes:
        source: With what is left out of it; with a digest if no fault was found.
        whole: The manifest as the reader gives it.
        table: The manifest without what is left out.
        files: What is known of each recording of the whole manifest.
    """

    source: CorpusSource
    whole: pd.DataFrame
    table: pd.DataFrame
    files: dict[str, AudioFile]


def examine(
    configured: Configured, home: Path, report: Report, decode: bool = False, progress: Progress | None = None
) -> Examined | None:
    """Read and check a real corpus' manifest and look at all of its audio.

    Args:
        configured: The corpus; its ``left_out`` and ``digest`` are found here.
        home: Where the program keeps its files.
        report: Receives every fault and what is left out.
        decode: Whether the audio is decoded, and not only its headers read.
        progress: Told how many recordings have been looked at.

    Returns:
        None if there is no manifest to look at.
    """
    source = configured.source
    whole = read_table(source, report)
    if whole is None:
        for message in configured.instead:
            report.add(message)
        return None
    try:
        files = take_inventory(Path(source.root), (name for name in whole["recording"] if name), home, decode, progress)
    except UserError as error:
        check_table(whole, source.role, report)
        report.add(str(error))
        return None
    module = reader_module(source.reader)
    if "columns" in module.SETTINGS:  # a table of the user's own; official ones leave out on purpose
        _note_unnamed(Path(source.root), whole["recording"], report)
    left_out = judge_damage(find_damage(whole, files), module.KNOWN_MISSING, configured.skip_damaged, report)
    table = without(whole, left_out)
    if table.empty:
        report.add(f"{source.root}: nothing is left: every recording or segment is missing or damaged; copy the corpus again")
    else:
        check_table(table, source.role, report)
    sound = not report.messages
    digest = content_digest(table, {name: files[name] for name in table["recording"].unique()}) if sound else ""
    return Examined(source.model_copy(update={"left_out": left_out, "digest": digest}), whole, table, files)


def _note_unnamed(root: Path, recordings: pd.Series, report: Report) -> None:
    """Tell of recordings that lie in the folders of those that are named, but are not named themselves.

    Those folders alone are listed, once each: what lies elsewhere may be anything.
    """
    named = set(recordings.unique())
    found = []
    for folder in {posixpath.dirname(name) for name in named}:
        try:
            with os.scandir(root / openable(folder)) as entries:
                files = [entry.name for entry in entries if entry.name.lower().endswith(AUDIO_SUFFIXES) and entry.name[0] != "."]
        except (OSError, ValueError):  # the recordings in it are told to be missing
            continue
        found += [name for file in files if (name := posixpath.join(folder, printable(file))) not in named]
    report.note("recordings beside those of the manifest, which no row names", sorted(found))
