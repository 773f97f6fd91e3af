"""Files of a store, wherever it lies: no reader ever sees half of a file, or half of a folder that has the marker."""

from __future__ import annotations

import contextlib
import os
import shutil
import uuid
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from trainables.errors import UserError

if TYPE_CHECKING:
    from pyarrow.fs import FileInfo, FileSystem

MARKER = "_SUCCESS"
"""Written last into a folder that appears as a whole: a folder without it does not exist for any reader."""


class StoreFiles:
    """What a store is made of; names are relative to its root, with forward slashes.

    Args:
        root: A folder or a URI (``s3://bucket/prefix``). Created when first written to.
    """

    def __init__(self, root: str | Path) -> None:
        self.uri = str(root)
        self.is_local = "://" not in self.uri or self.uri.startswith("file://")
        if self.is_local:
            self.root = str(Path(self.uri.removeprefix("file://")).absolute())
            self.uri = self.root
        else:
            self.root = ""
        self._filesystem: FileSystem | None = None

    @property
    def filesystem(self) -> FileSystem:
        """The pyarrow file system; its paths begin with :attr:`root`."""
        if self._filesystem is None:
            from pyarrow import fs

            if self.is_local:
                self._filesystem = fs.LocalFileSystem()
            else:
                self._filesystem, self.root = _open(self.uri)
        return self._filesystem

    def _full(self, name: str) -> str:
        return f"{self.root}/{name}"

    def _exists(self, name: str) -> bool:
        from pyarrow.fs import FileType

        filesystem = self.filesystem
        return filesystem.get_file_info(self._full(name)).type != FileType.NotFound

    def _files_below(self, folder: str) -> list[str]:
        """All files in a folder and below it; none if there is no such folder."""
        return [self._relative(file) for file in self._entries_below(folder)]

    def _entries_below(self, folder: str) -> list[FileInfo]:
        """The same with what the file system knows of each."""
        from pyarrow.fs import FileSelector

        filesystem = self.filesystem
        files = filesystem.get_file_info(FileSelector(self._full(folder), allow_not_found=True, recursive=True))
        return [file for file in files if file.is_file]

    def _relative(self, file: FileInfo) -> str:
        return file.path.removeprefix(f"{self.root}/")

    def _read(self, name: str) -> bytes:
        filesystem = self.filesystem
        with filesystem.open_input_stream(self._full(name)) as stream:
            return stream.read()

    def _write(self, name: str, content: bytes) -> None:
        """Write a file so that no reader sees half of it: object stores do, a local file is renamed into place."""
        filesystem = self.filesystem
        full = self._full(name)
        filesystem.create_dir(str(PurePosixPath(full).parent), recursive=True)
        aside = f"{full}.{uuid.uuid4().hex}" if self.is_local else full
        with filesystem.open_output_stream(aside) as stream:
            stream.write(content)
        if self.is_local:
            os.replace(aside, full)

    def _delete(self, name: str) -> None:
        from pyarrow.fs import FileType

        filesystem = self.filesystem
        kind = filesystem.get_file_info(self._full(name)).type
        with contextlib.suppress(FileNotFoundError):  # somebody else was first
            if kind == FileType.Directory:
                filesystem.delete_dir(self._full(name))
            elif kind == FileType.File:
                filesystem.delete_file(self._full(name))

    def _put(self, place: str, folder: Path) -> None:
        """Make the files in ``folder`` appear at ``place`` all at once, with the marker; whoever was first stands."""
        if self.is_local:
            self._rename(Path(self.root) / place, folder)
        else:
            from pyarrow import fs

            filesystem = self.filesystem
            fs.copy_files(str(folder), self._full(place), fs.LocalFileSystem(), filesystem)
            self._write(f"{place}/{MARKER}", uuid.uuid4().hex.encode())

    def _rename(self, target: Path, folder: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        (folder / MARKER).write_text(uuid.uuid4().hex)
        if target.exists() and not (target / MARKER).exists():  # half removed by a process that was killed
            self._discard(target)
        folder.chmod(0o755)  # mkdtemp makes it private; colleagues share the store
        try:
            os.rename(folder, target)
        except OSError:
            if not (target / MARKER).exists():
                raise

    def _remove_folder(self, place: str) -> None:
        """Remove a folder so that nobody takes half of it, or of one below it, for whole."""
        if self.is_local:
            self._discard(Path(self.root) / place)
            return
        markers = [file for file in self._files_below(place) if PurePosixPath(file).name == MARKER]
        for name in (*markers, place):
            self._delete(name)

    def _discard(self, folder: Path) -> None:
        """Take a folder out of sight at once, then delete it."""
        aside = Path(self.root) / "partial" / f"discarded-{uuid.uuid4().hex}"
        aside.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):  # somebody else was first, or there is none
            os.rename(folder, aside)
        shutil.rmtree(aside, ignore_errors=True)


def _open(uri: str) -> tuple[FileSystem, str]:
    """The file system of a URI: pyarrow's own, or one of fsspec's."""
    import pyarrow
    from pyarrow import fs

    try:
        return fs.FileSystem.from_uri(uri)
    except OSError as error:
        raise UserError(f"store {uri!r} cannot be opened: {error}") from error
    except pyarrow.ArrowInvalid as error:
        import fsspec

        scheme = uri.partition("://")[0]
        if scheme not in fsspec.available_protocols():
            raise UserError(f"store {uri!r}: no file system for {scheme!r}; give a folder, s3://..., gs://...") from error
        filesystem, path = fsspec.core.url_to_fs(uri)
        return fs.PyFileSystem(fs.FSSpecHandler(filesystem)), path
