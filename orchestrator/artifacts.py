"""The content-addressed store: one folder per fingerprint, on any file system that pyarrow knows (local, NFS, ``s3://``, ``gs://``).

    <root>/results/<Class>/<readable-hash>/...     a finished result; ``_SUCCESS`` is written last, and on an object store names the
                                                   folder below that counts (:mod:`orchestrator.files`)
    <root>/checkpoints/<Class>/<readable-hash>/    the newest checkpoint of an unfinished stage, and its finished parts
    <root>/failures/<Class>/<readable-hash>.json   why a stage failed
    <root>/searches/<key>/...                      documents of searches, see :mod:`orchestrator.search.history`
    <root>/sweeps/<key>/...                        documents of sweeps, see :mod:`orchestrator.sweep_documents`
    <root>/leases/...                              who computes a stage, see :mod:`orchestrator.execution.store_lease`
    <root>/partial/...                             results being written on a local file system; invisible, swept up
    <root>/ray/...                                 what Ray Tune and Ray Train keep while they run

A folder without the completion marker does not exist for any reader. What may go when room is short is for
:mod:`orchestrator.collecting` to say.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from orchestrator.node_cache import Held, NodeCache
from orchestrator.unfinished import UnfinishedStages
from trainables.errors import UserError
from trainables.identity import differences
from trainables.pictures import FIGURES, MOST, is_picture

_ABANDONED_SECONDS = 24 * 3600  # a partial result untouched for a day belongs to nobody


class ArtifactStore(UnfinishedStages):
    """Finished results by fingerprint, and what is kept of stages that are not finished.

    Args:
        root: A folder or a URI (``s3://bucket/prefix``). Created when first written to.
        cache: Where results of a remote store are kept on this node; by default a folder in the system's temporary directory.
    """

    def __init__(self, root: str | Path, cache: Path | None = None) -> None:
        super().__init__(root)
        self._cache = NodeCache(cache)
        self._held: dict[str, Held] = {}  # by folder in the store

    # -- reading ---------------------------------------------------------------------------------------------------------------

    def path(self, fingerprint: str) -> Path:
        """A local folder with the finished result; fetched to this node's cache if the store is remote.

        It stays in the cache at least as long as this object lives.

        Raises:
            FileNotFoundError: There is no finished result.
        """
        if not self.is_done(fingerprint):
            raise FileNotFoundError(f"no finished result {fingerprint} in {self.uri}")
        place = f"results/{fingerprint}"
        return Path(self.root) / place if self.is_local else self._fetch(place)

    def read_json(self, fingerprint: str, name: str) -> Any:
        """One JSON file of a finished result.

        Raises:
            UserError: The file is missing or damaged.
        """
        try:
            return json.loads(self._read(f"{self._contents(f'results/{fingerprint}')}/{name}"))
        except (FileNotFoundError, ValueError) as error:
            raise UserError(
                f"the stored result {fingerprint} is damaged: {name} cannot be read ({error}). "
                f"Run again with --redo force, or delete that folder in {self.uri}"
            ) from error

    def pictures(self, fingerprint: str) -> dict[str, bytes]:
        """The pictures of a finished result by file name (:mod:`trainables.pictures`); nothing else of that folder is read.

        Raises:
            UserError: One cannot be read.
        """
        try:
            folder = f"{self._contents(f'results/{fingerprint}')}/{FIGURES}"
            found = {PurePosixPath(file.name): file.size for file in self._entries_below(folder)}
            there = [path for path, size in found.items() if path.parent == PurePosixPath(folder) and is_picture(path.name, size)]
            return {path.name: self._read(str(path)) for path in sorted(there)[:MOST]}
        except OSError as error:
            raise UserError(
                f"a picture of the stored result {fingerprint} cannot be read ({error}). "
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
        if not self.is_done(fingerprint):
            self._put(f"results/{fingerprint}", folder)
        self.forget_unfinished(fingerprint)

    def remove(self, fingerprint: str) -> None:
        """Take a result out of the store, and what is kept of the stage beside it."""
        self._remove_folder(f"results/{fingerprint}")
        self.forget_unfinished(fingerprint)

    def discard(self, place: str) -> None:
        """Remove a file or a whole folder, named relative to the root; nobody takes half of it for whole."""
        from pyarrow.fs import FileType

        filesystem = self.filesystem
        is_folder = filesystem.get_file_info(self._full(place)).type == FileType.Directory
        (self._remove_folder if is_folder else self._delete)(place)

    def sweep_up(self) -> None:
        """Remove what dead processes have left: what they were writing a day ago, and of unfinished stages what nobody needs."""
        self.sweep_up_unfinished()
        if not self.is_local:
            return
        for folder in (file for kind in ("partial", "ray") for file in (Path(self.root) / kind).glob("*")):
            with contextlib.suppress(FileNotFoundError):  # another sweep may be sweeping too
                if time.time() - folder.stat().st_mtime > _ABANDONED_SECONDS:  # a living stage touches its own
                    shutil.rmtree(folder, ignore_errors=True)

    @contextlib.contextmanager
    def ray_folder(self, name: str) -> Iterator[str]:
        """A place that all nodes see, for what Ray wants to keep of a run; removed afterwards, because nothing reads it."""
        try:
            yield self.inside("ray")
        finally:
            self._delete(f"ray/{name}")

    # -- documents -------------------------------------------------------------------------------------------------------------

    def list_documents(self, folder: str) -> list[str]:
        """Names of all ``.json`` documents in a folder and below it, relative to the root; none that is being written."""
        return sorted(path for path in self._files_below(folder) if path.endswith(".json"))

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

    # -- a remote store's results on this node ---------------------------------------------------------------------------------

    def _fetch(self, place: str) -> Path:
        """A remote result in this node's cache: copied once, and again if it was computed again."""
        contents = self._contents(place)
        if contents not in self._held:
            name = f"{PurePosixPath(place).parent.name}-{hashlib.sha256(f'{self.uri} {contents}'.encode()).hexdigest()[:24]}"
            size = sum(file.size for file in self._entries_below(contents))

            def copy(folder: Path) -> None:
                self._copy_out(contents, folder)
                if self._contents(place) != contents:  # what was copied may have been half removed
                    raise FileNotFoundError(f"{place} in {self.uri} was computed again while it was read")

            self._held[contents] = self._cache.hold(name, size, copy)
        return self._held[contents].folder
