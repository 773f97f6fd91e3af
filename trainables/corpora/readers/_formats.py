"""What readers of other tools' manifests share: where the files lie, which split they are, what their paths are relative to.

In all of them the root is the folder that holds the recordings; the tool's files lie in it, or up to two levels below it
(``data/train``). ``manifest`` in corpora.toml names the file or folder to look at, relative to the root.
"""

from __future__ import annotations

import importlib.util
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from trainables.corpora import columns
from trainables.corpora.readers._files import visible
from trainables.corpora.reading import Report, listing
from trainables.corpora.tables import MANIFEST_NAMES, SPLIT_WORDS, named_in
from trainables.errors import Faults

SETTINGS = ("manifest", *columns.SETTINGS)
"""What corpora.toml may hold for these readers."""

_DEPTHS = ("", "*/", "*/*/")

Finder = Callable[[Path], Sequence[Path]]
"""Gives the tool's files (or folders) that lie directly in a folder."""


def options_from(settings: Mapping[str, Any], faults: Faults) -> dict[str, Any]:
    """The options of :data:`SETTINGS`."""
    manifest = settings.get("manifest")
    if not isinstance(manifest, str | None):
        faults.add(f"manifest must be the name of a file or folder in the root, found {manifest!r}")
    return {"manifest": manifest, **columns.options_from(settings, faults)}


def holds(folder: Path, finder: Finder) -> bool:
    """Whether a folder holds the tool's files. What lies below it does not count where the folder has a table of its own."""
    try:
        if any((folder / name).is_file() for name in MANIFEST_NAMES):
            return bool(finder(folder))
        return bool(_nearest(folder, finder))
    except OSError:
        return False


def _nearest(folder: Path, finder: Finder) -> list[Path]:
    for depth in _DEPTHS:
        folders = [folder] if not depth else [path for path in visible(folder, depth.rstrip("/")) if path.is_dir()]
        if found := [path for each in folders for path in finder(each)]:
            return found
    return []


def chosen(root: Path, named: str | None, finder: Finder, what: str, report: Report) -> list[tuple[Path, str]]:
    """The tool's files and the split of each; several must be one for each split.

    Args:
        root: The corpus' folder.
        named: ``manifest`` in corpora.toml.
        finder: Gives the tool's files in a folder.
        what: How a message calls them.
        report: Told where there is none, or a choice to make.
    """
    place = root if named is None else named_in(root, named, report, folders=True)
    if place is None:
        return []
    found = [place] if place.is_file() else _nearest(place, finder)
    if not found:
        report.add(f"no {what} in {place} or up to two levels below; give another root, or say where with `manifest`")
    splits = [split_of(path.name) for path in found]
    if len(found) > 1 and ("" in splits or len(set(splits)) < len(splits)):
        first = found[0].relative_to(root).as_posix()
        names = listing(path.relative_to(root).as_posix() for path in found)
        report.add(f'several {what} in {place} that are not one for each split: {names}; say which with `manifest = "{first}"`')
        return []
    return list(zip(found, splits, strict=True))


def split_of(name: str) -> str:
    """The split that a file's or folder's name holds as a word of its own ('casia_test_fold_1' is 'test'); '' if it holds none."""
    words = re.split("[^a-z0-9]+", name.lower())
    return next((SPLIT_WORDS[word] for word in words if word in SPLIT_WORDS), "")


def folder_of(root: Path, folder: Path, paths: Iterable[str]) -> str:
    """What relative paths are relative to, itself relative to the root.

    The tools resolve them from wherever they are started, which is usually the folder above everything: the root, if any of the
    paths is found there, else the folder of the tool's own file.
    """
    return "." if any(os.path.isfile(root / path) for path in paths if path) else folder.relative_to(root).as_posix()


def has_package(name: str, report: Report) -> bool:
    """Whether an optional package is installed; the report is told how to install it if not."""
    if importlib.util.find_spec(name) is not None:
        return True
    report.add(f"{name} is not installed, which this format is read through; run `pip install 'speech-orchestrator[manifests]'`")
    return False
