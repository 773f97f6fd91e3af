"""A corpus as a stage sees it: small enough to travel to a worker as JSON, and able to give its manifest there."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from pydantic import BaseModel, Field, field_validator

from trainables.errors import Faults, UserError

if TYPE_CHECKING:
    import pandas as pd

Progress = Callable[[int, int], None]
"""Called with the number of recordings made and their total."""

READERS = {
    "generic": "trainables.corpora.generic",
    "twin": "trainables.corpora.twins.reader",
}
"""Reader to the module that has it (see :class:`Reader`). A new reader is one entry here."""


class Reader(Protocol):
    """What a reader's module has. A twin's has ``read_manifest`` alone: its table in corpora.toml makes a recipe."""

    SETTINGS: tuple[str, ...]

    def options_from(self, settings: dict[str, Any], faults: Faults) -> dict[str, Any]:
        """The reader's options from a corpus' table in corpora.toml."""

    def read_manifest(self, source: CorpusSource, faults: Faults) -> pd.DataFrame | None:
        """The manifest, typed and in order; what prevents it goes to ``faults``."""


class CorpusSource(BaseModel, frozen=True, extra="forbid"):
    """One corpus in one role.

    Attributes:
        role: The role it plays ('mdd', 'mosei', 'iemocap').
        name: What captions call it: 'twin-mdd', or the name in corpora.toml (default: the role).
        reader: A key of :data:`READERS`.
        root: Its folder; for a twin the folder where it is made.
        options: Settings of the reader, JSON-able.
        digest: Identity of its content, 16 hexadecimal digits.
    """

    role: str
    name: str
    reader: str
    root: str
    options: dict[str, Any] = Field(default_factory=dict)
    digest: str

    @field_validator("reader")
    @classmethod
    def _known_reader(cls, reader: str) -> str:
        if reader not in READERS:
            raise ValueError(f"unknown reader {reader!r}; known are {', '.join(READERS)}")
        return reader

    @property
    def is_twin(self) -> bool:
        """Whether this is a demo corpus, whose numbers must never stand beside a paper's without saying so."""
        return self.reader == "twin"

    def prepare(self, progress: Progress | None = None) -> None:
        """Make what has to be made before the corpus can be read: a twin's recordings. Safe to call from many processes.

        Raises:
            UserError: This machine cannot make the twin.
        """
        if self.is_twin:
            from trainables.corpora.twins.reader import make_if_missing

            make_if_missing(self, progress)

    def manifest(self) -> pd.DataFrame:
        """The manifest (columns: :mod:`trainables.corpora.manifest`), in an order that depends on its content alone.

        A twin is made first if this is its first use (up to a minute). The audio was looked at when the corpus was opened.

        Raises:
            UserError: The corpus can no longer be read as it could when it was opened.
        """
        from trainables.corpora.manifest import check_table

        self.prepare()
        faults = Faults(f"corpus {self.name!r} ({self.root})")
        table = reader_module(self.reader).read_manifest(self, faults)
        if table is not None:
            check_table(table, self.role, faults)
        faults.raise_if_any()
        return cast("pd.DataFrame", table)

    def verify(self) -> None:
        """Make sure that what lies here now is what the digest stands for, by reading all of it; no memory is trusted.

        For the stage that reads the audio: it may run hours after the corpus was opened, and on another machine.

        Raises:
            UserError: The manifest or a recording has changed, is missing or cannot be read.
        """
        if self.is_twin:
            from trainables.corpora.twins.reader import check_made

            self.prepare()
            check_made(self)
        else:
            self._verify_real()

    def _verify_real(self) -> None:
        from trainables.corpora.inventory import content_digest, read_inventory
        from trainables.corpora.manifest import check_audio

        table = self.manifest()
        files = read_inventory(Path(self.root), table["recording"])
        faults = Faults(f"corpus {self.name!r} ({self.root})")
        check_audio(table, files, faults)
        faults.raise_if_any()
        found = content_digest(table, files)
        if found != self.digest:
            raise UserError(
                f"corpus {self.name!r} ({self.root}) has changed since it was opened: digest {found} found, {self.digest} "
                "expected; run the command again, which then plans with what is there (if it says the same again, the "
                "recordings' times hide the change: `touch` them; or another machine has another copy)"
            )

    def audio_path(self, recording: str) -> Path:
        """Where a recording of the manifest lies."""
        return Path(self.root) / recording


def reader_module(reader: str) -> Reader:
    """The module behind a key of :data:`READERS`."""
    return cast("Reader", importlib.import_module(READERS[reader]))
