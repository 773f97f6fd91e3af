"""What a node keeps of a remote store's results: as much as fits into its share of the disk, the least recently used goes first.

    <folder>/<name>/        a result, whole
    <folder>/<name>.lock    its size; its time is when it was last asked for. Locked while the result is read, copied or removed
    <folder>/<name>.part    a copy that is not whole yet, or a result that is being removed
    <folder>/room           locked by whoever makes room, so that two who copy at once do not both count on the same

All processes of a user on a node share it. The locks are the operating system's (``flock``): a process that dies holds none.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from orchestrator.sizes import sizes
from trainables.errors import UserError

LIMIT_VARIABLE = "ORCHESTRATOR_CACHE_GIB"
"""Size of the cache on a node; by default half of what its disk has free beside it."""

_DEFAULT_SHARE = 0.5
_PRIVATE = 0o700  # what is computed from patients' voices is not for other users of the node


class Lock:
    """A lock on a file, held until it is closed or forgotten."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor: int | None = descriptor

    @classmethod
    def take(cls, file: Path, kind: int, create: bool = True) -> Lock | None:
        """Lock a file; None if that is not to be had now (``fcntl.LOCK_NB``), or if it is not there and none is to be made."""
        while True:
            try:
                descriptor = os.open(file, os.O_RDWR | (os.O_CREAT if create else 0), 0o600)
            except FileNotFoundError:
                if create:
                    raise
                return None
            lock = cls(descriptor)
            try:
                fcntl.flock(descriptor, kind)
            except BlockingIOError:
                lock.close()
                return None
            if lock.is_of(file):
                return lock
            lock.close()  # it was removed while we waited

    def is_of(self, file: Path) -> bool:
        """Whether this very file is there still."""
        try:
            return os.path.samestat(os.fstat(self.descriptor), os.stat(file))
        except FileNotFoundError:
            return False

    def close(self) -> None:
        """Give it back."""
        if self.descriptor is not None:
            descriptor, self.descriptor = self.descriptor, None
            os.close(descriptor)

    __del__ = close


class Held:
    """A result in the cache; it is not removed as long as this object lives.

    Attributes:
        folder: It.
    """

    def __init__(self, folder: Path, lock: Lock) -> None:
        self.folder, self._lock = folder, lock


class NodeCache:
    """Copies of results on this node.

    Args:
        folder: Where; by default one of this user's in the system's temporary directory (``TMPDIR``).
        limit: Most bytes that it may take; by default as ``ORCHESTRATOR_CACHE_GIB`` says. It is exceeded by what is being read at
            the moment alone: a stage has to read its input.
    """

    def __init__(self, folder: Path | None = None, limit: int | None = None) -> None:
        self._folder = folder or Path(tempfile.gettempdir()) / f"orchestrator-cache-{os.getuid()}"
        self._limit = limit

    def hold(self, name: str, size: int, fill: Callable[[Path], None]) -> Held:
        """A result by name, copied if it is not there.

        Args:
            name: Of the result; what bears it never changes.
            size: How large it is, in bytes.
            fill: Copies it into a folder.

        Raises:
            OSError: There is no room for it on this node; or what ``fill`` raises.
        """
        self._folder.mkdir(parents=True, exist_ok=True, mode=_PRIVATE)
        folder, file = self._folder / name, self._folder / f"{name}.lock"
        while True:
            lock = Lock.take(file, fcntl.LOCK_SH)
            if not folder.exists():
                lock.close()
                lock = Lock.take(file, fcntl.LOCK_EX)
                if not folder.exists():
                    self._fill(folder, file, size, fill)
                fcntl.flock(lock.descriptor, fcntl.LOCK_SH)  # lets go for a moment, so another process may come between
            if lock.is_of(file) and folder.exists():
                os.utime(file)
                return Held(folder, lock)
            lock.close()

    def _fill(self, folder: Path, file: Path, size: int, fill: Callable[[Path], None]) -> None:
        """Copy a result, all or nothing. Its lock is ours."""
        self._make_room(file, size)
        part = folder.with_name(f"{folder.name}.part")
        shutil.rmtree(part, ignore_errors=True)  # of a process that was killed
        part.mkdir()
        try:
            fill(part)
            os.rename(part, folder)
        except BaseException as error:
            shutil.rmtree(part, ignore_errors=True)
            file.write_text("0")
            if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise OSError(
                    error.errno,
                    f"this node's cache {self._folder} has no room for a result of {sizes(size)}; let TMPDIR name a larger disk, "
                    f"or free this one",
                ) from error
            raise

    def _make_room(self, file: Path, size: int) -> None:
        """Remove what was not asked for the longest time and nobody reads, until there is room, and reserve it."""
        room = Lock.take(self._folder / "room", fcntl.LOCK_EX)
        try:
            entries = sorted((entry for entry in map(_entry, self._folder.glob("*.lock")) if entry), key=lambda entry: entry[0])
            used = sum(taken for _, taken, path in entries if path != file)
            limit = self._bytes(used)
            for _, taken, path in entries:
                if used + size <= limit:
                    break
                if path != file and _evict(path):
                    used -= taken
            file.write_text(str(size))
        finally:
            room.close()

    def _bytes(self, used: int) -> int:
        """The limit now, if the cache takes ``used`` bytes."""
        if self._limit is not None:
            return self._limit
        given = os.environ.get(LIMIT_VARIABLE)
        if given is None:
            return int((shutil.disk_usage(self._folder).free + used) * _DEFAULT_SHARE)
        try:
            return int(float(given) * 2**30)
        except (ValueError, OverflowError) as error:
            raise UserError(f"{LIMIT_VARIABLE}={given!r} is not a number of GiB; set it to one, e.g. 200, or unset it") from error


def _entry(lock: Path) -> tuple[float, int, Path] | None:
    """When a result was last asked for, its size, and its lock's file."""
    try:
        return lock.stat().st_mtime, int(lock.read_text() or 0), lock
    except FileNotFoundError:
        return None


def _evict(file: Path) -> bool:
    """Remove the result of this lock, unless somebody has it."""
    lock = Lock.take(file, fcntl.LOCK_EX | fcntl.LOCK_NB, create=False)
    if lock is None:
        return False
    try:
        folder = file.with_name(file.name.removesuffix(".lock"))
        part = folder.with_name(f"{folder.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        if folder.exists():
            os.rename(folder, part)  # so that no half of it is ever taken for whole
            shutil.rmtree(part, ignore_errors=True)
        file.unlink()
        return True
    finally:
        lock.close()
