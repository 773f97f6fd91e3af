"""What a protocol is: everything that decides who trains and who is scored, as one frozen record with a digest."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

ScoredSet = Literal["test", "dev"]
"""Which set a stage scores."""

_WORDS = {"name", "sentence", "source"}
"""Fields that tell people what the others say: no part of the digest."""


class Protocol(BaseModel):
    """How a corpus' units (sessions, utterances or segments) become training, development and test sets.

    Two protocols that decide the same are equal, whatever they are called: their stages are one computation.

    Schemes:

    - ``drawn``: the test groups are drawn, ``test_fraction`` of them; by the trial's seed, or by ``holdout_seed`` once and for all
      (then ``dev_fraction`` of the others can be scored in a search, drawn by the trial's seed). Speakers, or units: stratified by
      class, whatever the class belongs to.
    - ``named``: the corpus' own splits. Where it names none, with ``drawn_if_unnamed`` 70 %, 15 % and 15 % of the speakers, drawn
      once and for all: a model that learns from another one's embeddings on the same corpus (ReCLR, Table 4) must not be tested on
      speakers that the other one was trained on.
    - ``leave_one_out``: one group a fold, in the order of their names; there must be exactly ``folds`` groups.
    - ``k_fold``: ``folds`` folds of whole groups, of a diagnosis stratified by it, drawn by the trial's seed (``redrawn``) or once.

    Of both kinds of folds every unit is tested once. With ``inner_folds`` the cross-validation is nested: the groups that a fold
    does not test are divided once more, and ``inner`` says which of these inner folds is the development set.

    Attributes:
        name: What tables and runs call it.
        sentence: For captions.
        source: Where it comes from.
        scheme: See above.
        group: What is never on both sides of a division: speakers; conversations, that is all speakers who ever talk in one session
            (IEMOCAP's five recording sessions); or nothing ('unit': one speaker is then in training and test).
        keep: Only units with these values: label column and values. A part of the protocol, which its sentence tells.
        only: The same of what a study asks its question of, such as one task and one valence (:func:`restricted`); its rows tell.
        train: The corpus' own splits that train (``named``).
        dev: Those that select (``named``).
        test: Those that are scored (``named``).
        drawn_if_unnamed: Whether a corpus without any splits is divided all the same (``named``).
        test_fraction: Share of the groups that is tested, rounded up (``drawn``).
        dev_fraction: Share of the groups that are not tested in the development set, rounded up (``drawn`` with a holdout seed).
        holdout_seed: Draws the test groups; None leaves them to the trial's seed (``drawn``).
        folds: Number of folds; 1 for the schemes without.
        redrawn: Whether the trial's seed draws the folds (``k_fold``).
        inner_folds: Number of inner folds; 0 for none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    sentence: str
    source: str
    scheme: Literal["drawn", "named", "leave_one_out", "k_fold"]
    group: Literal["speaker", "conversation", "unit"] = "speaker"
    keep: tuple[tuple[str, tuple[str, ...]], ...] = ()
    only: tuple[tuple[str, tuple[str, ...]], ...] = ()
    train: tuple[str, ...] = ("train",)
    dev: tuple[str, ...] = ("dev",)
    test: tuple[str, ...] = ("test",)
    drawn_if_unnamed: bool = False
    test_fraction: float = Field(default=0.3, gt=0, lt=1)
    dev_fraction: float = Field(default=0.0, ge=0, lt=1)
    holdout_seed: int | None = None
    folds: int = Field(default=1, ge=1)
    redrawn: bool = True
    inner_folds: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _makes_sense(self) -> Protocol:
        crossed = self.scheme in ("leave_one_out", "k_fold")
        if crossed != (self.folds > 1):
            raise ValueError(f"scheme {self.scheme!r} with {self.folds} folds: folds above 1 belong to leave_one_out and k_fold")
        if self.inner_folds and (not crossed or self.inner_folds < 2):
            raise ValueError("inner_folds, at least 2, belong to leave_one_out and k_fold")
        if self.dev_fraction and self.holdout_seed is None:
            raise ValueError("dev_fraction needs a holdout_seed, which draws the test speakers for every seed alike")
        if self.scheme == "drawn" and self.group == "conversation":
            raise ValueError(f"a drawn division is by speaker or by unit; found group={self.group!r}")
        if self.group == "unit" and self.holdout_seed is not None:
            raise ValueError("a holdout_seed holds speakers out; found group='unit'")
        return self

    @property
    def digest(self) -> str:
        """Identity of everything that decides the sets; 8 hexadecimal digits."""
        return _digest(*map(self.__dict__.__getitem__, _DECIDING))  # quick: a big plan asks a million times

    @property
    def kept(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """Columns and values of the units that have part, by the protocol itself and by what it is restricted to."""
        return self.keep + self.only

    @property
    def restriction(self) -> str:
        """What a study restricts it to, in words: ``stimulus negative, task interview``; '' for nothing."""
        return ", ".join(f"{column} {' or '.join(values)}" for column, values in self.only)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Protocol) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def __str__(self) -> str:
        return f"{self.name} ({self.digest})"


def restricted(protocol: Protocol, /, **columns: str | Sequence[str]) -> Protocol:
    """The same protocol of some of a corpus' units only, in place of or beside those that it is restricted to already.

    Units are left out first and divided then, so that shares and classes are of what is left.

    Args:
        protocol: What divides.
        columns: Label column to the value, or the values, that units must have.

    Raises:
        ValueError: A column has no value.
    """
    given = {name: (value,) if isinstance(value, str) else tuple(sorted(value)) for name, value in columns.items()}
    if empty := sorted(name for name, values in given.items() if not values):
        raise ValueError(f"{protocol.name!r} cannot be restricted to no value of {', '.join(empty)}")
    return protocol.model_copy(update={"only": tuple(sorted((dict(protocol.only) | given).items()))})


def unrestricted(protocol: Protocol) -> Protocol:
    """The protocol as it is in the catalogue, of all the units that it has."""
    return protocol.model_copy(update={"only": ()})


_DECIDING = tuple(name for name in Protocol.model_fields if name not in _WORDS)


@functools.cache
def _digest(*values: Any) -> str:
    """Of the values of the fields in ``_DECIDING``."""
    told = dict(zip(_DECIDING, values, strict=True))
    if not told["only"]:  # younger than stored results, whose protocols keep their digests
        del told["only"]
    return hashlib.blake2b(json.dumps(told, sort_keys=True).encode(), digest_size=4).hexdigest()
