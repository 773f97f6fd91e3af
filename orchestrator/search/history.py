"""The history of a search: one small document per trial in the store, which is all that a search needs to go on.

    <store>/searches/<key>/trial-0007.json     a trial: its point, its scores so far, where it stands
    <store>/searches/<key>/test-opened.json    when, after how many trials and with which point the test split was opened
    <store>/searches/<key>/claim.json          who runs the search, see :mod:`orchestrator.search.claim`

The process that has the claim is the only writer. Every document is replaced as a whole, before anything is decided that depends
on it, so that a killed search finds what it knew.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Literal

from pydantic import Field

from orchestrator.artifacts import ArtifactStore
from search_spaces.table import Record, Scalar

TrialState = Literal["running", "complete", "pruned", "failed"]
_OPENED = "test-opened.json"


class SearchTrial(Record):
    """One trial of a search.

    Attributes:
        number: From 0, in the order of suggestion.
        point: The value of every searched setting.
        rungs: Score of the probe by epoch, as far as the trial has come.
        value: Mean development score over the seeds; of a complete trial alone.
        state: ``pruned``: among the poorer at its last rung. ``failed``: a stage raised.
        story: Why it failed.
        code: Class of each stage that a trial can run, and the digest of its code
            (:func:`~orchestrator.provenance.stage_code`) when the trial began.
    """

    number: int
    point: dict[str, Scalar]
    rungs: dict[int, float] = Field(default_factory=dict)
    value: float | None = None
    state: TrialState = "running"
    story: str | None = None
    code: dict[str, str] = Field(default_factory=dict)

    @property
    def told(self) -> bool:
        """Whether the trial has come to an end."""
        return self.state != "running"

    @property
    def scored(self) -> bool:
        """Whether other trials are compared with this one."""
        return bool(self.rungs) or self.value is not None


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

    @property
    def caveat(self) -> str:
        """That other searches had opened the test split before, which makes this a further look at it; empty if none had."""
        if not self.earlier:
            return ""
        searches = "search" if len(self.earlier) == 1 else "searches"
        return f"the test split had been opened before by {len(self.earlier)} other {searches}: {', '.join(self.earlier)}"

    @property
    def summary(self) -> str:
        """When, after how many trials and with which one the test split was opened, and the caveat."""
        caveat = f"; {self.caveat}" if self.earlier else ""
        return f"{self.time}, after {self.trials} trials, with the point of trial {self.best.number}{caveat}"


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
        names = self._store.list_documents(f"searches/{self._key}")
        contents = [self._store.read_document(name) for name in names if PurePosixPath(name).name.startswith("trial-")]
        found = [SearchTrial.model_validate_json(content) for content in contents if content is not None]
        return tuple(sorted(found, key=lambda trial: trial.number))

    def write(self, trial: SearchTrial) -> None:
        """Make a trial's document what the trial is now."""
        self._store.write_document(f"searches/{self._key}/trial-{trial.number:04d}.json", trial.model_dump_json(indent=1))

    def opened(self) -> TestOpened | None:
        """Whether and with what the test split was opened."""
        content = self._store.read_document(f"searches/{self._key}/{_OPENED}")
        return None if content is None else TestOpened.model_validate_json(content)

    def write_opened(self, opened: TestOpened) -> None:
        """Remember for good that the test split was opened."""
        self._store.write_document(f"searches/{self._key}/{_OPENED}", opened.model_dump_json(indent=1))

    def opened_by_others(self, name: str) -> tuple[str, ...]:
        """Keys of the other searches of this name that have opened the test split."""
        places = map(PurePosixPath, self._store.list_documents("searches"))
        keys = sorted({place.parent.name for place in places if place.name == _OPENED} - {self._key})
        return tuple(key for key in keys if (opened := History(self._store, key).opened()) and opened.search == name)
