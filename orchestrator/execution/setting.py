"""What all jobs of a sweep have in common."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, PrivateAttr

from trainables.corpora.corpus import CorpusSource
from trainables.identity import fingerprint, identity_of, weights_key
from trainables.pretrained import Weights
from trainables.stage import Stage


class Setting(BaseModel):
    """Where a sweep's stages find their corpora and leave their results. Nothing in it but the digests is identity.

    Attributes:
        corpora: The corpus of every role.
        weights: Public pretrained weights by their name.
        store: Root of the artifact store.
        code: Version of the code that planned the sweep; workers with another one refuse to compute.
        threads: CPU threads of each worker, unless its stage was given CPUs of its own.
        sweep: Name of this very process' sweep, by which workers find its tracker and are told to stop.
        checkpoint_seconds: Time between checkpoints.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    corpora: dict[str, CorpusSource]
    weights: dict[str, Weights] = {}
    store: str
    code: str
    threads: int = 1
    sweep: str = ""
    checkpoint_seconds: float = 30.0
    _fingerprints: dict[Stage, str] = PrivateAttr(default_factory=dict)

    @property
    def digests(self) -> dict[str, str]:
        """Digest of the corpus of every role, and of all pretrained weights."""
        corpora = {role: corpus.digest for role, corpus in self.corpora.items()}
        return corpora | {weights_key(name): weights.digest for name, weights in self.weights.items()}

    def fingerprint(self, stage: Stage) -> str:
        """The stage's identity with these corpora and weights."""
        return fingerprint(stage, self.digests, self._fingerprints)

    def identity(self, stage: Stage) -> dict[str, Any]:
        """What is hashed of it."""
        return identity_of(stage, self.digests, self._fingerprints)
