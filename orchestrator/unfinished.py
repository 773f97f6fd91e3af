"""What the store keeps of a stage until its result is published: the newest checkpoint, finished parts, why it failed."""

from __future__ import annotations

import contextlib
import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from orchestrator.files import MARKER, StoreFiles

_FORGOTTEN_SECONDS = 7 * 24 * 3600  # of a stage's newest part; a sweep that was stopped before a weekend still finds them


class UnfinishedStages(StoreFiles):
    """The unfinished stages of a store, by fingerprint."""

    def is_done(self, fingerprint: str) -> bool:
        """Whether a finished result is there."""
        if self.is_local:  # spares the command line the import of pyarrow
            return (Path(self.root) / "results" / fingerprint / MARKER).exists()
        return self._exists(f"results/{fingerprint}/{MARKER}")

    def save_checkpoint(self, fingerprint: str, content: bytes) -> None:
        """Replace the newest checkpoint."""
        self._write(f"checkpoints/{fingerprint}/checkpoint.pt", content)

    def load_checkpoint(self, fingerprint: str) -> bytes | None:
        """The newest checkpoint, or None."""
        try:
            return self._read(f"checkpoints/{fingerprint}/checkpoint.pt")
        except FileNotFoundError:
            return None

    def finished_parts(self, fingerprint: str) -> set[str]:
        """Names of the finished parts of an unfinished stage."""
        markers = self._files_below(f"checkpoints/{fingerprint}/parts")
        return {path.parent.name for path in map(PurePosixPath, markers) if path.name == MARKER}

    def keep_part(self, fingerprint: str, name: str, folder: Path) -> None:
        """Make the files in ``folder`` a finished part, all at once, until the stage's result is published."""
        if self.is_done(fingerprint):  # by another process; this part came too late
            return
        self._put(f"checkpoints/{fingerprint}/parts/{name}", folder)
        if self.is_done(fingerprint):  # published since, so nobody else would remove it
            self.forget_unfinished(fingerprint)

    @contextlib.contextmanager
    def part(self, fingerprint: str, name: str) -> Iterator[Path]:
        """A local folder with a finished part, while the block runs."""
        place = f"checkpoints/{fingerprint}/parts/{name}"
        if self.is_local:
            yield Path(self.root) / place
            return
        with tempfile.TemporaryDirectory() as folder:
            self._copy_out(self._contents(place), Path(folder))
            yield Path(folder)

    def mark_failed(self, fingerprint: str, error: str, **facts: str | int) -> None:
        """Remember why a stage failed, and facts about it (:class:`orchestrator.execution.failures.Failure`); the plan shows it."""
        self._write(f"failures/{fingerprint}.json", json.dumps({"error": error, **facts}).encode())

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
        """Remove checkpoint, parts and failure of a stage."""
        self._remove_folder(f"checkpoints/{fingerprint}")
        self.clear_failure(fingerprint)

    def sweep_up_unfinished(self) -> None:
        """Remove what a straggler has kept of a finished stage, and parts of stages that nobody has gone on with for a week.

        Checkpoints of unfinished stages stay: they are small beside parts, and may hold days of training. A file system that does
        not tell when a file was written keeps the parts as well.
        """
        stages: set[str] = set()
        newest: dict[str, float] = {}  # when the last part of a stage was written
        for file in self._entries_below("checkpoints"):
            _, name, tail, kind, *_ = PurePosixPath(file.name).parts
            stages.add(fingerprint := f"{name}/{tail}")
            if kind == "parts":
                written = time.time() if file.modified is None else file.modified
                newest[fingerprint] = max(newest.get(fingerprint, 0.0), written)
        for fingerprint in stages:
            if self.is_done(fingerprint):
                self.forget_unfinished(fingerprint)
            elif time.time() - newest.get(fingerprint, time.time()) > _FORGOTTEN_SECONDS:
                self._remove_folder(f"checkpoints/{fingerprint}/parts")
