"""A stage that hands out its work, each part of which notes that it was begun, and can be told to go wrong."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Any, ClassVar

from trainables.errors import UserError
from trainables.stage import Context, CorpusRole, PartContext, Stage


class Letters(Stage):
    """Joins what its parts write; ``notes`` is a folder that gets a file for each part that is begun."""

    label: ClassVar[str] = "letters"
    accelerated: ClassVar[bool] = False
    corpus: CorpusRole = "mdd"
    notes: str
    parts: int = 6
    faulty: tuple[int, ...] = ()
    deadly: int = -1
    """The process of this part dies when it is begun for the first time."""
    together: int = 1
    """The first parts wait until so many processes have begun one."""
    seconds: float = 0.0

    def run(self, context: Context) -> None:
        made = [(part / "letter.txt").read_text() for part in context.parts(self.work())]
        (context.directory / "letters.txt").write_text("".join(made))
        (context.directory / "metrics.json").write_text(json.dumps({"f1_macro": 1.0}))

    def work(self) -> list:
        """Number of each part, and letters to choose from."""
        return [[number, "abc"] for number in range(self.parts)]

    def run_part(self, work: Any, context: PartContext) -> None:
        number, letters = work
        note = Path(self.notes) / f"{number}-{os.getpid()}-{time.monotonic_ns()}"
        first = not any(Path(self.notes).glob(f"{number}-*"))
        note.touch()
        if number == self.deadly and first:
            os.kill(os.getpid(), signal.SIGKILL)
        if number in self.faulty:
            raise UserError(f"{context.corpus(self.corpus).name}: part {number} is faulty")
        limit = time.monotonic() + 60
        while len(processes(Path(self.notes))) < self.together:
            assert time.monotonic() < limit, "waited in vain for another process"
            time.sleep(0.05)
        time.sleep(self.seconds)
        context.tick(0.5)
        (context.directory / "letter.txt").write_text(letters[number % len(letters)] * (number + 1))
        context.tick(1.0)


def begun(notes: Path) -> list[int]:
    """Numbers of the parts that were begun, as often as they were."""
    return sorted(int(note.name.split("-")[0]) for note in notes.iterdir())


def processes(notes: Path) -> set[str]:
    """Processes that have begun parts."""
    return {note.name.split("-")[1] for note in notes.iterdir()}


def known() -> None:
    """Called in every Ray worker: a description of a stage finds classes only in modules that the process has imported."""
