"""What all jobs of a sweep have in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from trainables.corpora.corpus import CorpusSource
from trainables.identity import fingerprint
from trainables.stage import Stage


class Setting(BaseModel):
    """Where a sweep's stages find their corpora and leave their results. Nothing in it but the corpora's digests is identity.

    Attributes:
        corpora: The corpus of every role.
        store: Root of the artifact store.
        code: Version of the code that planned the sweep; workers with another one refuse to compute.
        threads: CPU threads of each worker.
        sweep: Name of this very process' sweep, by which workers find its tracker and are told to stop.
        checkpoint_seconds: Time between checkpoints.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    corpora: dict[str, CorpusSource]
    store: str
    code: str
    threads: int = 1
    sweep: str = ""
    checkpoint_seconds: float = 30.0

    @property
    def digests(self) -> dict[str, str]:
        """Digest of the corpus of every role."""
        return {role: corpus.digest for role, corpus in self.corpora.items()}

    def fingerprint(self, stage: Stage) -> str:
        """The stage's identity with these corpora."""
        return fingerprint(stage, self.digests)
