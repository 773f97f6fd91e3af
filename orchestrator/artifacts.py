"""The content-addressed store: one folder per fingerprint, on any file system that pyarrow knows (local, NFS, ``s3://``, ``gs://``).

    <root>/results/<Class>/<readable-hash>/...     a finished result; ``_SUCCESS`` is written last
    <root>/checkpoints/<Class>/<readable-hash>/    the newest checkpoint of an unfinished stage
    <root>/failures/<Class>/<readable-hash>.json   why a stage failed
    <root>/searches/<key>/...                      documents of searches, see :mod:`orchestrator.search.history`
    <root>/partial/...                             results being written on a local file system; invisible, swept up
    <root>/ray/...                                 what Ray Tune and Ray Train keep while they run

A folder without the completion marker does not exist for any reader. On a local file system a result appears by one rename.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from trainables.errors import UserError
from trainables.identity import differences

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

MARKER = "_SUCCESS"
_ABANDONED_SECONDS = 24 * 3600  # a partial result untouched for a day belongs to nobody


class ArtifactStore:
    """Finished results by fingerprint.

    Args:
        root: A folder or a URI (``s3://bucket/prefix``). Created when first written to.
        cache: Where results of a remote store are kept on this node; by default a folder in the system's temporary directory.
    """

    def __init__(self, root: str | Path, cache: Path | None = None) -> None:
        self.uri = str(root)
        self.is_local = "://" not in self.uri or self.uri.startswith("file://")
        if self.is_local:
            self.root = str(Path(self.uri.removeprefix("file://")).absolute())
            self.uri = self.root
        else:
            self.root = ""
        self._cache = cache
        self._filesystem: FileSystem | None = None

    # -- reading ---------------------------------------------------------------------------------------------------------------

    def is_done(self, fingerprint: str) -> bool:
        """Whether a finished result is there."""
        if self.is_local:  # spares the command line the import of pyarrow
            return (Path(self.root) / "results" / fingerprint / MARKER).exists()
        return self._exists(f"results/{fingerprint}/{MARKER}")

    def path(self, fingerprint: str) -> Path:
        """A local folder with the finished result; fetched to this node's cache if the store is remote.

        Raises:
            FileNotFoundError: There is no finished result.
        """
        if not self.is_done(fingerprint):
            raise FileNotFoundError(f"no finished result {fingerprint} in {self.uri}")
        if self.is_local:
            return Path(self.root) / "results" / fingerprint
        return self._fetch(fingerprint)

    def read_json(self, fingerprint: str, name: str) -> Any:
        """One JSON file of a finished result.

        Raises:
            UserError: The file is missing or damaged.
        """
        try:
            return json.loads(self._read(f"results/{fingerprint}/{name}"))
        except (FileNotFoundError, ValueError) as error:
            raise UserError(
                f"the stored result {fingerprint} is damaged: {name} cannot be read ({error}). "
                f"Run again with --redo force, or delete that folder in {self.uri}"
            ) from error

    def check_identity(self, fingerprint: str, expected: Mapping[str, Any]) -> None:
        """Refuse a result whose recorded identity is not the expected one.

        Raises:
            UserError: With the differences and the way out.
        """
        lines = differences(expected, self.read_json(fingerprint, "identity.json"))
        if lines:
            listing = "\n".join(f"  - {line}" for line in lines)
            raise UserError(
                f"the stored result {fingerprint} is not what its name says:\n{listing}\n"
                f"It was changed by hand, or two identities collide. Run again with --redo force to replace it."
            )

    # -- writing ---------------------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def scratch(self, fingerprint: str) -> Iterator[Path]:
        """A local folder to write a result into; gone afterwards, unless it was published."""
        parent = Path(self.root) / "partial" if self.is_local else None
        if parent:
            parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=fingerprint.replace("/", "-")[:80] + "-", dir=parent))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def publish(self, fingerprint: str, folder: Path) -> None:
        """Make the files in ``folder`` the result of ``fingerprint``, all at once. If another was first, theirs stands."""
        if self.is_done(fingerprint):
            return
        if self.is_local:
            self._rename(fingerprint, folder)
        else:
            from pyarrow import fs

            filesystem = self.filesystem
            fs.copy_files(str(folder), self._full(f"results/{fingerprint}"), fs.LocalFileSystem(), filesystem)
            self._write(f"results/{fingerprint}/{MARKER}", uuid.uuid4().hex.encode())
        self.forget_unfinished(fingerprint)

    def _rename(self, fingerprint: str, folder: Path) -> None:
        target = Path(self.root) / "results" / fingerprint
        target.parent.mkdir(parents=True, exist_ok=True)
        (folder / MARKER).write_text(uuid.uuid4().hex)
        if target.exists() and not self.is_done(fingerprint):  # half removed by a process that was killed
            self._discard(target)
        folder.chmod(0o755)  # mkdtemp makes it private; colleagues share the store
        try:
            os.rename(folder, target)
        except OSError:
            if not self.is_done(fingerprint):
                raise

    def remove(self, fingerprint: str) -> None:
        """Take a result out of the store: the marker first, so that nobody sees half of it."""
        self._delete(f"results/{fingerprint}/{MARKER}")
        if self.is_local:
            self._discard(Path(self.root) / "results" / fingerprint)
        else:
            self._delete(f"results/{fingerprint}")
        self.forget_unfinished(fingerprint)

    def _discard(self, folder: Path) -> None:
        """Take a folder out of sight at once, then delete it."""
        aside = Path(self.root) / "partial" / f"discarded-{uuid.uuid4().hex}"
        aside.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):  # somebody else was first
            os.rename(folder, aside)
        shutil.rmtree(aside, ignore_errors=True)

    def sweep_up(self) -> None:
        """Remove what nobody has touched for a day: its writers were killed, a living stage touches its own."""
        if not self.is_local:
            return
        for folder in (file for kind in ("partial", "ray") for file in (Path(self.root) / kind).glob("*")):
            with contextlib.suppress(FileNotFoundError):  # another sweep may be sweeping too
                if time.time() - folder.stat().st_mtime > _ABANDONED_SECONDS:
                    shutil.rmtree(folder, ignore_errors=True)

    @contextlib.contextmanager
    def ray_folder(self, name: str) -> Iterator[str]:
        """A place that all nodes see, for what Ray wants to keep of a run; removed afterwards, because nothing reads it."""
        try:
            yield f"{self.uri}/ray"
        finally:
            self._delete(f"ray/{name}")

    # -- unfinished stages -----------------------------------------------------------------------------------------------------

    def save_checkpoint(self, fingerprint: str, content: bytes) -> None:
        """Replace the newest checkpoint."""
        self._write(f"checkpoints/{fingerprint}/checkpoint.pt", content)

    def load_checkpoint(self, fingerprint: str) -> bytes | None:
        """The newest checkpoint, or None."""
        try:
            return self._read(f"checkpoints/{fingerprint}/checkpoint.pt")
        except FileNotFoundError:
            return None

    def mark_failed(self, fingerprint: str, error: str) -> None:
        """Remember why a stage failed; the plan shows it."""
        self._write(f"failures/{fingerprint}.json", json.dumps({"error": error}).encode())

    def failure(self, fingerprint: str) -> str | None:
        """Why the stage failed last time, or None."""
        if self.is_local and not (Path(self.root) / f"failures/{fingerprint}.json").exists():
            return None
        try:
            return json.loads(self._read(f"failures/{fingerprint}.json"))["error"]
        except FileNotFoundError:
            return None

    def clear_failure(self, fingerprint: str) -> None:
        """Forget a failure, because the stage is tried again."""
        self._delete(f"failures/{fingerprint}.json")

    def forget_unfinished(self, fingerprint: str) -> None:
        """Remove checkpoint and failure of a stage."""
        self._delete(f"checkpoints/{fingerprint}")
        self.clear_failure(fingerprint)

    # -- documents -------------------------------------------------------------------------------------------------------------

    def list_documents(self, folder: str) -> list[str]:
        """Names of all ``.json`` documents in a folder and below it, relative to the root; none that is being written."""
        from pyarrow.fs import FileSelector

        filesystem = self.filesystem
        files = filesystem.get_file_info(FileSelector(self._full(folder), allow_not_found=True, recursive=True))
        paths = (file.path for file in files if file.is_file and file.extension == "json")
        return sorted(path.removeprefix(f"{self.root}/") for path in paths)

    def read_document(self, name: str) -> bytes | None:
        """A document as it was last written, or None if there is none."""
        try:
            return self._read(name)
        except FileNotFoundError:
            return None

    def write_document(self, name: str, content: str) -> None:
        """Replace a document as a whole: no reader sees half of it."""
        self._write(name, content.encode())

    def delete_document(self, name: str) -> None:
        """Remove a document, if it is there."""
        self._delete(name)

    # -- files -----------------------------------------------------------------------------------------------------------------

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

    def _fetch(self, fingerprint: str) -> Path:
        """Copy a remote result into this node's cache, once, all or nothing; again if it was computed again."""
        from pyarrow import fs

        cache = self._cache or Path(tempfile.gettempdir()) / "orchestrator-cache"
        target = cache / hashlib.sha256(self.uri.encode()).hexdigest()[:12] / fingerprint
        marker = self._read(f"results/{fingerprint}/{MARKER}")
        if _content(target / MARKER) == marker:
            return target
        target.parent.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(dir=target.parent))
        filesystem = self.filesystem
        fs.copy_files(self._full(f"results/{fingerprint}"), str(aside), filesystem, fs.LocalFileSystem())
        if target.exists():
            os.rename(target, f"{aside}-old")  # whoever has it open keeps its files
            shutil.rmtree(f"{aside}-old", ignore_errors=True)
        try:
            os.rename(aside, target)
        except OSError:
            shutil.rmtree(aside, ignore_errors=True)
            if _content(target / MARKER) != marker:
                raise
        return target


def _content(file: Path) -> bytes | None:
    return file.read_bytes() if file.exists() else None


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
