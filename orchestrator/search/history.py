"""The history of a search: one small document per trial in the store, which is all that a search needs to go on.

    <store>/searches/<key>/trial-0007.json     a trial: its point, its scores so far, where it stands
    <store>/searches/<key>/test-opened.json    when, after how many trials and with which point the test split was opened

The process that runs the search is the only writer. Every document is replaced as a whole, before anything is decided that depends
on it, so that a killed search finds what it knew.
"""

from __future__ import annotations

import uuid
from typing import Literal

from pydantic import Field

from orchestrator.artifacts import ArtifactStore
from search_spaces.table import Record, Scalar

TrialState = Literal["running", "complete", "pruned", "failed"]


class SearchTrial(Record):
    """One trial of a search.

    Attributes:
        number: From 0, in the order of suggestion.
        point: The value of every searched setting.
        rungs: Score of the probe by epoch, as far as the trial has come.
        value: Mean development score over the seeds; of a complete trial alone.
        state: ``pruned``: among the poorer at its last rung. ``failed``: a stage raised.
        story: Why it failed.
    """

    number: int
    point: dict[str, Scalar]
    rungs: dict[int, float] = Field(default_factory=dict)
    value: float | None = None
    state: TrialState = "running"
    story: str | None = None

    @property
    def told(self) -> bool:
        """Whether the trial has come to an end."""
        return self.state != "running"


class TestOpened(Record):
    """That the test split was opened, and with what.

    Attributes:
        search: The search's name.
        time: When, in UTC.
        trials: How many trials had been told; no further one is possible.
        best: The trial whose point is tested.
        earlier: Keys of other searches of the same name in this store that had opened theirs before.
    """

    __test__ = False  # not a test, whatever pytest thinks of its name

    search: str
    time: str
    trials: int
    best: SearchTrial
    earlier: tuple[str, ...] = ()


class History:
    """The documents of one search.

    Args:
        store: Holds them, on whatever file system it is.
        key: The search's key.
    """

    def __init__(self, store: ArtifactStore, key: str) -> None:
        self._store, self._key = store, key

    def trials(self) -> tuple[SearchTrial, ...]:
        """All trials, by number."""
        found = [SearchTrial.model_validate_json(content) for content in self._read("trial-")]
        return tuple(sorted(found, key=lambda trial: trial.number))

    def write(self, trial: SearchTrial) -> None:
        """Make a trial's document what the trial is now."""
        self._write(f"trial-{trial.number:04d}.json", trial.model_dump_json(indent=1))

    def opened(self) -> TestOpened | None:
        """Whether and with what the test split was opened."""
        found = self._read("test-opened.json")
        return TestOpened.model_validate_json(found[0]) if found else None

    def write_opened(self, opened: TestOpened) -> None:
        """Remember for good that the test split was opened."""
        self._write("test-opened.json", opened.model_dump_json(indent=1))

    def opened_by_others(self, name: str) -> tuple[str, ...]:
        """Keys of the other searches of this name that have opened the test split."""
        from pyarrow.fs import FileSelector

        folders = self._store.filesystem.get_file_info(FileSelector(self._root(), allow_not_found=True))
        others = {key: History(self._store, key).opened() for key in (info.base_name for info in folders) if key != self._key}
        return tuple(sorted(key for key, opened in others.items() if opened and opened.search == name))

    def _read(self, beginning: str) -> list[bytes]:
        """Every document of this search whose name begins so."""
        from pyarrow.fs import FileSelector

        filesystem = self._store.filesystem
        files = filesystem.get_file_info(FileSelector(f"{self._root()}/{self._key}", allow_not_found=True))
        documents = []
        for file in files:
            if file.base_name.startswith(beginning) and file.extension == "json":  # not one that is being written aside
                with filesystem.open_input_stream(file.path) as stream:
                    documents.append(stream.read())
        return documents

    def _write(self, name: str, content: str) -> None:
        """Replace a document: an object store does that by itself, a local file is renamed into place."""
        filesystem = self._store.filesystem
        folder = f"{self._root()}/{self._key}"
        filesystem.create_dir(folder, recursive=True)
        aside = f"{folder}/{name}.{uuid.uuid4().hex}" if self._store.is_local else f"{folder}/{name}"
        with filesystem.open_output_stream(aside) as stream:
            stream.write(content.encode())
        if self._store.is_local:
            filesystem.move(aside, f"{folder}/{name}")

    def _root(self) -> str:
        """Where the searches of this store are, on its file system."""
        _ = self._store.filesystem  # a remote store knows its root once it is open
        return f"{self._store.root}/searches"
