"""Files of a store, wherever it lies: no reader ever sees half of a file, or half of a folder that has the marker.

On a local file system a folder appears by one rename, after its files have reached the disk: a power cut leaves all of it or
nothing. An object store has no rename: there every copy of a folder is written beside the others under a name of its own, and the
marker, written last, names the one that counts. So of two that write the same folder at once none leaves a mixture, and one that is
killed leaves nothing that anybody reads.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

from orchestrator.store_address import open_address, refuse_secrets
from trainables.errors import UserError

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

MARKER = "_SUCCESS"
"""Written last into a folder that appears as a whole: a folder without it does not exist for any reader."""

_WITHOUT_FOLDERS = {"s3", "gcs"}  # to make one there takes requests, and rights, that nothing needs
_FULL = re.compile(r"no space left|disk quota|storage ?full|quota ?exceeded|insufficient ?storage", re.IGNORECASE)


class StoreRefused(OSError):
    """The store took no write. What was there before is there still, whole; the message says so, and what to do.

    Attributes:
        full: Whether there is no room left, as far as the store tells.
    """

    def __init__(self, message: str, number: int | None = None, full: bool = False) -> None:
        super().__init__(message)
        self.errno, self.full = number, full


@contextlib.contextmanager
def refusals_in_words() -> Iterator[None]:
    """Tell the user of a store that takes no writes, without a traceback."""
    try:
        yield
    except StoreRefused as error:
        raise UserError(str(error)) from error


class StoredFile(NamedTuple):
    """A file of a store.

    Attributes:
        name: Relative to the store's root.
        size: In bytes.
        modified: When it was written, in seconds since 1970; None where the file system does not tell.
    """

    name: str
    size: int
    modified: float | None


class StoreFiles:
    """What a store is made of; names are relative to its root, with forward slashes.

    Args:
        root: A folder or a URI (``s3://bucket/prefix``). Created when first written to. ``AWS_ENDPOINT_URL``, or
            ``?endpoint_override=host:port&scheme=http&region=...`` behind the URI, names an S3 server that is not Amazon's;
            credentials come from the environment, as every S3 client has them.

    Raises:
        UserError: There is a password in the URI; it is not repeated.
    """

    def __init__(self, root: str | Path) -> None:
        self.uri = str(root)
        self.is_local = "://" not in self.uri or self.uri.startswith("file://")
        if self.is_local:
            self.root = str(Path(self.uri.removeprefix("file://")).absolute())
            self.uri = self.root
        else:
            refuse_secrets(self.uri)
            place, mark, query = self.uri.partition("?")
            self.root, self.uri = "", place.rstrip("/") + mark + query
        self._filesystem: FileSystem | None = None

    @property
    def filesystem(self) -> FileSystem:
        """The pyarrow file system; its paths begin with :attr:`root`."""
        if self._filesystem is None:
            from pyarrow import fs

            if self.is_local:
                self._filesystem = fs.LocalFileSystem()
            else:
                self._filesystem, self.root = open_address(self.uri)
        return self._filesystem

    def fault(self) -> str | None:
        """Why nothing can be read from here, or None. A local folder is made when it is first written to."""
        if self.is_local:
            return None
        from pyarrow.fs import FileType

        try:
            filesystem = self.filesystem
            bucket = self.root.partition("/")[0]
            if filesystem.type_name in _WITHOUT_FOLDERS and filesystem.get_file_info(bucket).type == FileType.NotFound:
                return (
                    f"store {self.uri}: there is no bucket {bucket!r}, or it is not for these credentials; make it, or check them"
                )
        except OSError as error:
            return f"store {self.uri} cannot be read: {error}; check the address, and the credentials in the environment"
        return None

    def inside(self, folder: str) -> str:
        """The URI of a folder in it."""
        place, mark, query = self.uri.partition("?") if not self.is_local else (self.uri, "", "")
        return f"{place}/{folder}{mark}{query}"

    def files(self) -> Iterator[StoredFile]:
        """Every file there is, in no order; for whoever wants to know how large the store is, and why."""
        return self._entries_below("")

    def _full(self, name: str) -> str:
        return f"{self.root}/{name}" if name else self.root

    def _exists(self, name: str) -> bool:
        from pyarrow.fs import FileType

        filesystem = self.filesystem
        return filesystem.get_file_info(self._full(name)).type != FileType.NotFound

    def _files_below(self, folder: str) -> list[str]:
        """All files in a folder and below it; none if there is no such folder."""
        return [file.name for file in self._entries_below(folder)]

    def _entries_below(self, folder: str) -> Iterator[StoredFile]:
        """The same with what the file system knows of each. What vanishes meanwhile is left out."""
        if self.is_local:
            yield from self._local_entries(folder)
            return
        from pyarrow.fs import FileSelector

        filesystem = self.filesystem
        for file in filesystem.get_file_info(FileSelector(self._full(folder), allow_not_found=True, recursive=True)):
            if file.is_file:
                modified = None if file.mtime_ns is None else file.mtime_ns / 1e9
                yield StoredFile(file.path.removeprefix(f"{self.root}/"), file.size, modified)

    def _local_entries(self, folder: str) -> Iterator[StoredFile]:
        for above, _, names in os.walk(self._full(folder)):
            relative = Path(above).relative_to(self.root)
            for name in names:
                with contextlib.suppress(FileNotFoundError):
                    known = os.lstat(os.path.join(above, name))
                    yield StoredFile((relative / name).as_posix(), known.st_size, known.st_mtime)

    def _read(self, name: str) -> bytes:
        filesystem = self.filesystem
        with filesystem.open_input_stream(self._full(name)) as stream:
            return stream.read()

    def _write(self, name: str, content: bytes) -> None:
        """Write a file so that no reader sees half of it: object stores do, a local file is renamed into place."""
        with self._refusals():
            if self.is_local:
                self._write_locally(Path(self._full(name)), content)
                return
            filesystem = self.filesystem
            full = self._full(name)
            if filesystem.type_name not in _WITHOUT_FOLDERS:
                filesystem.create_dir(str(PurePosixPath(full).parent), recursive=True)
            with filesystem.open_output_stream(full) as stream:
                stream.write(content)

    def _write_locally(self, file: Path, content: bytes) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        aside = file.with_name(f"{file.name}.{uuid.uuid4().hex}")
        try:
            aside.write_bytes(content)
            _reach_disk(aside)
            os.replace(aside, file)
        except BaseException:
            aside.unlink(missing_ok=True)  # of a full disk it takes the last room
            raise

    def _delete(self, name: str) -> None:
        from pyarrow.fs import FileType

        filesystem = self.filesystem
        kind = filesystem.get_file_info(self._full(name)).type
        with self._refusals(), contextlib.suppress(FileNotFoundError):  # somebody else was first
            if kind == FileType.Directory:
                filesystem.delete_dir(self._full(name))
            elif kind == FileType.File:
                filesystem.delete_file(self._full(name))

    def _put(self, place: str, folder: Path) -> None:
        """Make the files in ``folder`` appear at ``place`` all at once, with the marker; whoever was first stands."""
        with self._refusals():
            if self.is_local:
                self._rename(Path(self.root) / place, folder)
                return
            from pyarrow import fs

            filesystem, version = self.filesystem, uuid.uuid4().hex
            fs.copy_files(str(folder), self._full(f"{place}/{version}"), fs.LocalFileSystem(), filesystem)
            if self._exists(f"{place}/{MARKER}"):
                self._delete(f"{place}/{version}")
            else:
                self._write(f"{place}/{MARKER}", version.encode())

    def _contents(self, place: str) -> str:
        """Where the files are of a folder that appeared as a whole.

        Raises:
            FileNotFoundError: It has not appeared.
        """
        return place if self.is_local else f"{place}/{self._read(f'{place}/{MARKER}').decode()}"

    def _copy_out(self, place: str, folder: Path) -> None:
        """Copy the files of a remote folder into a local one.

        Raises:
            FileNotFoundError: It is not there, or was removed meanwhile.
        """
        from pyarrow import fs

        filesystem = self.filesystem
        fs.copy_files(self._full(place), str(folder), filesystem, fs.LocalFileSystem())

    def _rename(self, target: Path, folder: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        (folder / MARKER).write_text(uuid.uuid4().hex)
        if target.exists() and not (target / MARKER).exists():  # half removed by a process that was killed
            self._discard(target)
        folder.chmod(0o755)  # mkdtemp makes it private; colleagues share the store
        for path in (*folder.rglob("*"), folder):
            if not path.is_symlink():
                _reach_disk(path)
        try:
            os.rename(folder, target)
        except OSError:
            if not (target / MARKER).exists():
                raise

    def _remove_folder(self, place: str) -> None:
        """Remove a folder so that nobody takes half of it, or of one below it, for whole."""
        if self.is_local:
            with self._refusals():
                self._discard(Path(self.root) / place)
            return
        markers = [file for file in self._files_below(place) if PurePosixPath(file).name == MARKER]
        for name in (*markers, place):
            self._delete(name)

    def _discard(self, folder: Path) -> None:
        """Take a folder out of sight at once, then delete it."""
        aside = Path(self.root) / "partial" / f"discarded-{uuid.uuid4().hex}"
        try:
            aside.parent.mkdir(parents=True, exist_ok=True)
            os.rename(folder, aside)
        except FileNotFoundError:  # somebody else was first, or there is none
            return
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            for marker in folder.rglob(MARKER):  # a full disk may have no room for the other way
                marker.unlink(missing_ok=True)
            aside = folder
        shutil.rmtree(aside, ignore_errors=True)

    @contextlib.contextmanager
    def _refusals(self) -> Iterator[None]:
        """Say in words that the store takes no writes."""
        try:
            yield
        except (StoreRefused, FileNotFoundError):
            raise
        except OSError as error:
            full = error.errno in (errno.ENOSPC, errno.EDQUOT) or bool(_FULL.search(str(error)))
            look = f"`python -m orchestrator.gc --store {self.uri} --dry-run` shows what may go"
            remedy = f"Make room ({look})" if full else "Check its permissions, credentials and quota"
            raise StoreRefused(
                f"the store {self.uri} {'is full' if full else 'takes no writes'} ({error}). Nothing that is in it was lost. "
                f"{remedy}, then run the same command again: it goes on from there",
                error.errno,
                full,
            ) from error


def _reach_disk(path: Path) -> None:
    """Wait until a file's contents, or the names in a folder, would outlast a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # of folders some file systems do not know it
            raise
    finally:
        os.close(descriptor)
