"""A corpus as a stage sees it: small enough to travel to a worker as JSON, and able to give its manifest there."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from pydantic import BaseModel, Field, field_validator

from trainables.corpora.damage import LeftOut, without
from trainables.corpora.names import openable
from trainables.corpora.reading import About, Fact, Progress, Report
from trainables.errors import Faults, UserError

if TYPE_CHECKING:
    import pandas as pd

READERS = {
    "iemocap": "trainables.corpora.readers.iemocap",
    "mosei": "trainables.corpora.readers.mosei",
    "daic_woz": "trainables.corpora.readers.daic_woz",
    "msp_podcast": "trainables.corpora.readers.msp_podcast",
    "librispeech": "trainables.corpora.readers.librispeech",
    "casia": "trainables.corpora.readers.casia",
    "sre": "trainables.corpora.readers.sre",
    "mdd": "trainables.corpora.readers.mdd",
    "kaldi": "trainables.corpora.readers.kaldi",
    "emobox": "trainables.corpora.readers.emobox",
    "audformat": "trainables.corpora.readers.audformat_db",
    "lhotse": "trainables.corpora.readers.lhotse_manifests",
    "generic": "trainables.corpora.generic",
    "twin": "trainables.corpora.twins.reader",
}
"""Reader to the module that has it (see :class:`Reader`). A new reader is one entry here. Where corpora.toml names none, the role's
own is tried first and then the others in this order, by their ``find_root``."""


class Reader(Protocol):
    """What a reader's module has. A twin's has ``read_manifest`` alone: its table in corpora.toml makes a recipe.

    Attributes:
        SETTINGS: Keys that a corpus' table in corpora.toml may hold for this reader, besides root, name, reader and skip_damaged.
        ABOUT: What a user must know before there is anything on disk; None of a reader of formats, not of one corpus.
        KNOWN_MISSING: Recordings (relative to the root) that are listed but were never shipped; left out where they are missing.
    """

    SETTINGS: tuple[str, ...]
    ABOUT: About | None
    KNOWN_MISSING: frozenset[str]

    def find_root(self, folder: Path) -> Path | None:
        """Where the corpus' layout begins: the folder itself, its parent, or one level down; None if it is not there."""

    def options_from(self, settings: dict[str, Any], faults: Faults) -> dict[str, Any]:
        """The reader's options from a corpus' table in corpora.toml."""

    def read_manifest(self, source: CorpusSource, report: Report) -> pd.DataFrame | None:
        """The manifest, typed and in order; what prevents it and what was left out goes to ``report``. Opens no audio."""

    def facts(self, table: pd.DataFrame, source: CorpusSource, hours: float) -> list[Fact]:
        """What is known of the whole corpus beside what was found.

        Args:
            table: The manifest.
            source: The corpus; its options may say which release it is.
            hours: Of all its recordings together.
        """


class CorpusSource(BaseModel, frozen=True, extra="forbid"):
    """One corpus in one role.

    Attributes:
        role: The role it plays, a key of :data:`trainables.corpora.roles.ROLES`.
        name: What captions call it: 'twin-mdd', or the name in corpora.toml (default: the role).
        reader: A key of :data:`READERS`.
        root: Its folder; for a twin the folder where it is made.
        options: Settings of the reader, JSON-able.
        left_out: What it is read without: recordings and segments that were missing or damaged when it was opened, and that the
            reader or the user allows to be so.
        digest: Identity of its content, 16 hexadecimal digits.
    """

    role: str
    name: str
    reader: str
    root: str
    options: dict[str, Any] = Field(default_factory=dict)
    left_out: LeftOut = LeftOut()
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
        report = Report(f"corpus {self.name!r} ({self.root})")
        table = read_table(self, report)
        if table is not None:
            table = without(table, self.left_out)
            check_table(table, self.role, report)
        report.raise_if_any()
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
        from trainables.corpora.damage import find_damage, judge_damage
        from trainables.corpora.inventory import content_digest, read_inventory

        table = self.manifest()
        files = read_inventory(Path(self.root), table["recording"])
        report = Report(f"corpus {self.name!r} ({self.root})")
        judge_damage(find_damage(table, files), known_missing=(), skip=False, report=report)
        report.raise_if_any()
        found = content_digest(table, files)
        if found != self.digest:
            raise UserError(
                f"corpus {self.name!r} ({self.root}) has changed since it was opened: digest {found} found, {self.digest} "
                "expected; run the command again, which then plans with what is there (if it says the same again, the "
                "recordings' times hide the change: `touch` them; or another machine has another copy)"
            )

    def audio_path(self, recording: str) -> Path:
        """Where a recording of the manifest lies."""
        return Path(self.root) / openable(recording)


def reader_module(reader: str) -> Reader:
    """The module behind a key of :data:`READERS`."""
    return cast("Reader", importlib.import_module(READERS[reader]))


def layout_of(reader: str) -> str:
    """What a reader looks for, in a sentence: of one corpus as its ``ABOUT`` has it, of a format as its module begins."""
    module = reader_module(reader)
    return module.ABOUT.layout if module.ABOUT else (module.__doc__ or reader).partition("\n")[0].rstrip(".:").replace("``", "")


def read_table(source: CorpusSource, report: Report) -> pd.DataFrame | None:
    """The manifest as the corpus' reader gives it, with at least one row; None if there is none, and then the report says why.

    A folder or a file that the system does not let us read is a fault like any other, whichever reader meets it.
    """
    try:
        table = reader_module(source.reader).read_manifest(source, report)
    except UserError as error:
        for message in error.messages:
            report.add(message)
        return None
    except OSError as error:
        report.add(f"{error.filename or source.root}: cannot be read ({error.strerror or error})")
        return None
    if not report.messages and (table is None or table.empty):
        report.add(f"{source.root}: no segment was found; is it complete?")
    return None if table is None or table.empty else table
