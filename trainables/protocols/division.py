"""Dividing units by a protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainables.errors import UserError
from trainables.protocols.draws import draw_once, hold_out, split_by_speaker, split_by_unit, wanted_classes
from trainables.protocols.folds import fold_sets
from trainables.protocols.protocol import Protocol, ScoredSet

if TYPE_CHECKING:
    from trainables.units import Units

_SHARES = {"train": 0.7, "dev": 0.15, "test": 0.15}  # of the speakers, where a corpus names no splits


def divide(
    units: Units, protocol: Protocol, seed: int, *, fold: int = 0, inner: int | None = None, scored_on: ScoredSet = "test"
) -> dict[str, Units]:
    """The sets of a protocol, by name: 'train', the one that is scored, and 'dev' where the protocol has one to select on.

    The same for every row of a table at one seed. But for folds and for corpora without some class, every class is in every set.

    Args:
        units: Sessions, utterances or segments, in any order; the order decides nothing.
        protocol: What decides.
        seed: Draws what the protocol leaves to the trial's seed.
        fold: Of a protocol with folds, which one is tested.
        inner: Of a nested one, which inner fold is the development set.
        scored_on: 'dev' for a search: the test units are then in no set at all.

    Raises:
        UserError: The corpus does not have what the protocol needs.
    """
    units = kept_units(units, protocol)
    if protocol.scheme == "named":
        sets = _named(units, protocol)
    elif protocol.scheme == "drawn":
        return _drawn(units, protocol, seed, scored_on)
    else:
        sets = {name: units.where(mask) for name, mask in fold_sets(units, protocol, seed, fold, inner).items()}
    return {name: part for name, part in sets.items() if name != "test"} if scored_on == "dev" else sets


def can_score(protocol: Protocol, fold: int, inner: int | None, scored_on: ScoredSet) -> str | None:
    """Why a protocol cannot be asked for this, or None."""
    if not 0 <= fold < protocol.folds:
        return f"fold {fold}: protocol {protocol.name!r} has folds 0 to {protocol.folds - 1}"
    if inner is not None and not 0 <= inner < protocol.inner_folds:
        return f"inner {inner}: protocol {protocol.name!r} has {protocol.inner_folds} inner folds"
    selects = {"drawn": bool(protocol.dev_fraction), "named": bool(protocol.dev)}.get(protocol.scheme, inner is not None)
    if scored_on == "dev" and not selects:
        return f"scored_on='dev': protocol {protocol.name!r} has no development set here; choose one that has, or an inner fold"
    return None


def drawn_by_seed(protocol: Protocol) -> bool:
    """Whether another seed of the trial could divide otherwise."""
    return protocol.scheme == "drawn" or (protocol.scheme == "k_fold" and protocol.redrawn)


def kept_units(units: Units, protocol: Protocol) -> Units:
    """The units that have part in a protocol at all, whichever set they are in.

    Raises:
        UserError: The corpus does not have the column, or no unit with such a value.
    """
    for column, values in protocol.kept:
        if column not in units.table:
            raise UserError(f"protocol {protocol.name!r} keeps units by {column!r}, which the corpus does not have")
        units = units.where(units.table[column].isin(values).to_numpy())
        if not len(units.truth):
            raise UserError(f"protocol {protocol.name!r}: no unit has {column} {' or '.join(values)}")
    return units


def _drawn(units: Units, protocol: Protocol, seed: int, scored_on: ScoredSet) -> dict[str, Units]:
    if protocol.group == "unit":
        return split_by_unit(units, protocol.test_fraction, seed)
    if protocol.holdout_seed is None:
        return split_by_speaker(units, protocol.test_fraction, seed)
    held_out = hold_out(units, protocol.test_fraction, protocol.holdout_seed)
    if scored_on == "test":
        return held_out
    return split_by_speaker(held_out["train"], protocol.dev_fraction, seed, scored="dev")


def _named(units: Units, protocol: Protocol) -> dict[str, Units]:
    """The corpus' own sets, or those that are drawn once where it names none and the protocol allows it."""
    named = {"train": protocol.train, "dev": protocol.dev, "test": protocol.test}
    if (units.table["split"] == "").all() and protocol.drawn_if_unnamed:
        sets = draw_once(units, _SHARES)
    else:
        given = set(units.table["split"].unique())
        lacking = [name for names in named.values() for name in names if name not in given]
        if lacking:
            found = ", ".join(sorted(given - {""})) or "none at all"
            raise UserError(
                f"protocol {protocol.name!r} needs the corpus' own splits {', '.join(lacking)}; it names {found}: choose another "
                "protocol, or give the manifest a column split"
            )
        sets = {role: units.where(units.table["split"].isin(names).to_numpy()) for role, names in named.items() if names}
    for name, part in sets.items():
        missing = [units.task.classes[number] for number in wanted_classes(units) if number not in part.truth]
        if missing:
            raise UserError(
                f"the corpus' {name} set has no unit of class {', '.join(missing)}; {protocol.name!r} needs every class in it"
            )
    return sets
