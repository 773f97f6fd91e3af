"""What every stage has in common that trains on some speakers and is scored on others."""

from __future__ import annotations

from dataclasses import replace

from pydantic import Field, model_validator

from trainables.numerics import seeded
from trainables.protocols import Protocol, ScoredSet, divide
from trainables.protocols.catalogue import SPEAKERS_70_30
from trainables.protocols.division import can_score
from trainables.stage import Stage
from trainables.units import Units


class DividedStage(Stage):
    """A stage whose units are divided by a protocol.

    The test units have no part in what it learns; with ``scored_on='dev'`` they have no part in its result at all, but for this:
    a drawn division asks that every class be among them.
    """

    protocol: Protocol = SPEAKERS_70_30
    """Decides who trains and who is scored; its digest is part of the identity."""
    fold: int = Field(default=0, ge=0)
    """Of a protocol with folds, which one is tested."""
    inner: int | None = None
    """Of a nested protocol, which inner fold is the development set."""
    scored_on: ScoredSet = "test"
    seed: int = 0
    shuffled_labels: bool = False
    """A control: train on labels that are permuted, by the seed, among the speakers (among units, where speakers have several)
    of each set that is not scored. What such a model still scores above chance comes from the procedure and not from the data."""

    @model_validator(mode="after")
    def _can_be_divided(self) -> DividedStage:
        if fault := can_score(self.protocol, self.fold, self.inner, self.scored_on):
            raise ValueError(fault)
        return self

    def has_development_set(self) -> bool:
        """Whether the division has a development set, scored or beside the scored one."""
        if self.scored_on == "test" and self.protocol.scheme == "drawn":
            return False  # a drawn division has one only while that is what is scored; else its units are in no set at all
        return can_score(self.protocol, self.fold, self.inner, "dev") is None

    def sets(self, units: Units) -> dict[str, Units]:
        """The sets, by name: 'train', the one that is scored, and 'dev' where there is one to select on.

        Raises:
            UserError: The corpus does not have what the protocol needs.
        """
        sets = divide(units, self.protocol, self.seed, fold=self.fold, inner=self.inner, scored_on=self.scored_on)
        if not self.shuffled_labels:
            return sets
        return {name: part if name == self.scored_on else shuffle_labels(part, self.seed, name) for name, part in sets.items()}


def shuffle_labels(units: Units, seed: int, name: str) -> Units:
    """The same units with permuted classes; where every speaker has one class, all units of a speaker still have one.

    Args:
        units: Sessions or utterances.
        seed: Decides the permutation, with ``name``.
        name: Of the set.
    """
    import numpy as np

    _, first, owner = np.unique(units.table["speaker"].to_numpy().astype(str), return_index=True, return_inverse=True)
    if (units.truth[first][owner] != units.truth).any():
        first = owner = np.arange(len(units.truth))
    permuted = np.random.default_rng(seeded(seed, "labels", name)).permutation(units.truth[first])
    return replace(units, truth=permuted[owner])
