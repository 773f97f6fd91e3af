"""What is known of the audio files of a corpus: length, faults and content hash, remembered between runs.

Hashing a corpus takes minutes, so an entry is reused as long as the file's size and modification time (ns) stay the same. A
fault is looked for afresh each time, because its cure (``chmod``) need not change either.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from pydantic import BaseModel, TypeAdapter

from trainables.corpora.audio import read_header
from trainables.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

_DIGEST_BYTES = 16
_THREADS = 8  # reading waits for the disk, and hashing lets go of the interpreter's lock


class AudioFile(BaseModel, frozen=True):
    """One recording; ``size`` in bytes is -1 where the file is missing, ``fault`` says why a file cannot be read."""

    size: int = -1
    mtime_ns: int = 0
    content: str = ""
    seconds: float = 0.0
    fault: str = ""

    @property
    def missing(self) -> bool:
        """Whether there is no such file."""
        return self.size < 0

    @property
    def readable(self) -> bool:
        """Whether the file is there and is sound."""
        return not self.missing and not self.fault


def content_digest(table: pd.DataFrame, files: Mapping[str, AudioFile]) -> str:
    """Identity of a corpus: its manifest and the bytes of its recordings, wherever they lie; 16 hexadecimal digits.

    Args:
        table: The manifest, in order.
        files: Every recording's entry of the inventory.
    """
    columns = {name: [None if value != value else value for value in table[name].tolist()] for name in table.columns}
    audio = {recording: files[recording].content for recording in sorted(files)}
    canonical = json.dumps({"manifest": columns, "audio": audio}, ensure_ascii=True, separators=(",", ":"))
    return hashlib.blake2b(canonical.encode(), digest_size=8).hexdigest()


def take_inventory(root: Path, recordings: Iterable[str], home: Path) -> dict[str, AudioFile]:
    """Look at every recording; only new, changed and faulty files are read.

    Args:
        root: Folder of the corpus.
        recordings: Paths relative to it.
        home: Where the program keeps its files; the memory lies under it.

    Returns:
        One entry per distinct recording, sorted by path.

    Raises:
        UserError: ``home`` cannot be written.
    """
    memory = home / "corpora" / f"audio-{hashlib.sha256(os.fsencode(root.resolve())).hexdigest()[:16]}.json"
    known = _recall(memory)
    found = read_inventory(root, recordings, known)
    if found != {name: known.get(name) for name in found}:
        _remember(memory, known | found)
    return found


def unwritable(folder: Path, error: OSError) -> UserError:
    """What to tell where the program cannot keep its files."""
    return UserError(f"{folder}: cannot be written ({error.strerror}); give a folder for the results that can be")


def read_inventory(
    root: Path, recordings: Iterable[str], known: Mapping[str, AudioFile] = MappingProxyType({})
) -> dict[str, AudioFile]:
    """Look at every recording, and read it unless ``known`` has a sound entry of its size and modification time.

    Returns:
        One entry per distinct recording, sorted by path.
    """
    names = sorted(set(recordings))
    with ThreadPoolExecutor(_THREADS) as pool:
        entries = pool.map(lambda name: _look(root / name, known.get(name)), names)
        return dict(zip(names, entries, strict=True))


def _look(path: Path, known: AudioFile | None) -> AudioFile:
    try:
        stat = path.stat()
    except OSError:
        return AudioFile()
    if known and known.readable and (known.size, known.mtime_ns) == (stat.st_size, stat.st_mtime_ns):
        return known
    seconds, fault, content = 0.0, "", ""
    try:
        seconds = read_header(path).seconds
        with path.open("rb") as file:
            content = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=_DIGEST_BYTES)).hexdigest()
    except UserError as error:
        fault = str(error)
    except OSError as error:
        fault = f"{path}: cannot be read ({error.strerror})"
    return AudioFile(size=stat.st_size, mtime_ns=stat.st_mtime_ns, content=content, seconds=seconds, fault=fault)


_ENTRIES = TypeAdapter(dict[str, AudioFile])


def _recall(memory: Path) -> dict[str, AudioFile]:
    try:
        return _ENTRIES.validate_json(memory.read_bytes())
    except (OSError, ValueError):  # none yet, or written by another version: it is a memory only, so look again
        return {}


def _remember(memory: Path, entries: dict[str, AudioFile]) -> None:
    try:
        memory.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=memory.parent, delete=False, suffix=".partial") as file:
            json.dump({name: entry.model_dump() for name, entry in entries.items() if entry.readable}, file)
        os.replace(file.name, memory)
    except OSError as error:
        raise unwritable(memory.parent, error) from error
