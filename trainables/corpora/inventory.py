"""What is known of the audio files of a corpus: length, faults and content hash, remembered between runs.

Hashing a corpus takes minutes, so an entry is reused as long as the file's size and modification time (ns) stay the same. A
fault is looked for afresh each time, because its cure (``chmod``) need not change either; and by decoding the whole file, because
some faults show in no other way, and what was found once must not be overlooked the next time.
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
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, TypeAdapter

from trainables.corpora.audio import Level, measure, read_header
from trainables.corpora.names import openable
from trainables.corpora.reading import Progress
from trainables.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

_DIGEST_BYTES = 16
_THREADS = 8  # reading waits for the disk, and hashing and decoding let go of the interpreter's lock
_BATCH = 64  # files of one task: handing out single ones would take longer than looking at a remembered one


class AudioFile(BaseModel, frozen=True):
    """One recording; ``size`` in bytes is -1 where the file is missing, ``fault`` says why a file cannot be read, ``level`` is None
    where it was not decoded."""

    size: int = -1
    mtime_ns: int = 0
    content: str = ""
    seconds: float = 0.0
    fault: str = ""
    level: Level | None = None

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
    digest = hashlib.blake2b(b'{"manifest":{', digest_size=8)  # of one JSON object, column by column, because whole it is large
    for number, name in enumerate(table.columns):
        values = table[name].tolist()
        if table[name].hasnans:
            values = [None if value != value else value for value in values]
        digest.update(f"{',' if number else ''}{_compact(name)}:{_compact(values)}".encode())
    audio = {recording: files[recording].content for recording in sorted(files)}
    digest.update(f'}},"audio":{_compact(audio)}}}'.encode())
    return digest.hexdigest()


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=True, separators=(",", ":"))


def take_inventory(
    root: Path, recordings: Iterable[str], home: Path, decode: bool = False, progress: Progress | None = None
) -> dict[str, AudioFile]:
    """Look at every recording; only new, changed and faulty files are read.

    Args:
        root: Folder of the corpus.
        recordings: Paths relative to it.
        home: Where the program keeps its files; the memory lies under it.
        decode: Whether every file must have been decoded wholly, now or before.
        progress: Told how far it is.

    Returns:
        One entry per distinct recording, sorted by path.

    Raises:
        UserError: ``home`` cannot be written.
    """
    memory = home / "corpora" / f"audio-{hashlib.sha256(os.fsencode(root.resolve())).hexdigest()[:16]}.json"
    known = _recall(memory)
    found = read_inventory(root, recordings, known, decode, progress)
    if found != {name: known.get(name) for name in found}:
        _remember(memory, known | found)
    return found


def unwritable(folder: Path, error: OSError) -> UserError:
    """What to tell where the program cannot keep its files."""
    return UserError(f"{folder}: cannot be written ({error.strerror}); give a folder for the results that can be")


def read_inventory(
    root: Path,
    recordings: Iterable[str],
    known: Mapping[str, AudioFile] = MappingProxyType({}),
    decode: bool = False,
    progress: Progress | None = None,
) -> dict[str, AudioFile]:
    """Look at every recording, and read it unless ``known`` has a sound entry of its size and modification time.

    Returns:
        One entry per distinct recording, sorted by path.
    """
    names = sorted(set(recordings))
    batches = [names[first : first + _BATCH] for first in range(0, len(names), _BATCH)]
    found: dict[str, AudioFile] = {}
    pool = ThreadPoolExecutor(_THREADS)
    try:
        for entries in pool.map(lambda batch: [(name, _look(root, name, known.get(name), decode)) for name in batch], batches):
            found.update(entries)
            if progress is not None:
                progress(len(found), len(names))
    finally:
        pool.shutdown(cancel_futures=True)  # control-C need not wait for the whole corpus
    return found


def _look(root: Path, name: str, known: AudioFile | None, decode: bool) -> AudioFile:
    path = os.path.join(root, openable(name))
    try:
        status = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return AudioFile()
    except OSError as error:
        return AudioFile(size=0, fault=f"{path}: cannot be read ({error.strerror})")
    except ValueError as error:  # a null byte
        return AudioFile(size=0, fault=f"{path!r}: is no file name ({error})")
    same = known is not None and (known.size, known.mtime_ns) == (status.st_size, status.st_mtime_ns)
    if known and same and known.readable and (known.level or not decode):
        return known
    seen = AudioFile(size=status.st_size, mtime_ns=status.st_mtime_ns)
    try:
        seconds = read_header(path).seconds
        level = measure(path) if decode or (known and same and known.fault) else None
        with open(path, "rb") as file:
            content = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=_DIGEST_BYTES)).hexdigest()
    except UserError as error:
        return seen.model_copy(update={"fault": str(error)})
    except OSError as error:
        return seen.model_copy(update={"fault": f"{path}: cannot be read ({error.strerror})"})
    return seen.model_copy(update={"seconds": seconds, "level": level, "content": content})


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
            json.dump({name: entry.model_dump() for name, entry in entries.items() if not entry.missing}, file)
        os.replace(file.name, memory)
    except OSError as error:
        raise unwritable(memory.parent, error) from error
