"""Stages that take no time, for tests of the machinery around them, and a corpus that needs no audio."""

from __future__ import annotations

import json
from typing import ClassVar

from orchestrator.execution.setting import Setting
from orchestrator.provenance import code_version
from trainables.corpora.corpus import CorpusSource
from trainables.errors import UserError
from trainables.stage import Context, CorpusRole, Stage

CORPORA = {
    role: CorpusSource(role=role, name=f"toy-{role}", reader="generic", root="nowhere", digest=digest)
    for role, digest in (("mdd", "d" * 16), ("mosei", "e" * 16))
}


def toy_setting(store: object, **changes: object) -> Setting:
    """A setting with the toy corpora."""
    return Setting(**{"corpora": CORPORA, "store": str(store), "code": code_version(), **changes})


class Number(Stage):
    """Writes its value; counts its runs in a file beside the store, if given one."""

    label: ClassVar[str] = "number"
    corpus: CorpusRole = "mdd"
    value: float = 1.0

    def run(self, context: Context) -> None:
        context.report({"value": self.value}, 0)
        (context.directory / "metrics.json").write_text(json.dumps({"f1_macro": self.value}))


class Sum(Stage):
    """Adds two results."""

    label: ClassVar[str] = "sum"
    left: Number
    right: Number
    seed: int = 0

    def run(self, context: Context) -> None:
        values = [json.loads((context.result(s) / "metrics.json").read_text())["f1_macro"] for s in (self.left, self.right)]
        (context.directory / "metrics.json").write_text(json.dumps({"f1_macro": sum(values) + self.seed}))


class Broken(Stage):
    """Raises: a bug, or with ``users_fault`` something that the user can mend."""

    label: ClassVar[str] = "broken"
    users_fault: bool = False
    seed: int = 0

    def run(self, context: Context) -> None:
        if self.users_fault:
            raise UserError("found a zebra, expected a horse; get a horse")
        raise ZeroDivisionError("deliberate")


class Steps(Stage):
    """Counts steps with a checkpoint whenever one is due."""

    label: ClassVar[str] = "steps"
    steps: int = 10

    def run(self, context: Context) -> None:
        saved = context.load_checkpoint()
        for step in range(saved["step"] if saved else 0, self.steps):
            context.report({"step": float(step)}, step)
            context.tick((step + 1) / self.steps)
            if context.checkpoint_due():
                context.save_checkpoint({"step": step + 1})
        (context.directory / "metrics.json").write_text(json.dumps({"f1_macro": float(self.steps), "resumed": bool(saved)}))


class Climb(Stage):
    """Reports every step up to its last; goes on from another one that ended earlier."""

    label: ClassVar[str] = "climb"
    shortcuts: ClassVar[frozenset[str]] = frozenset({"resume"})
    last: int
    resume: Climb | None = None

    def run(self, context: Context) -> None:
        begun = context.begun(self.resume) if self.resume else None
        first = json.loads((begun / "metrics.json").read_text())["last"] if begun else 0
        for step in range(first, self.last):
            context.report({"step": float(step)}, step)
        (context.directory / "metrics.json").write_text(json.dumps({"last": self.last, "climbed": self.last - first}))
