"""Activation, valence and dominance, the attributes that raters give an utterance: what stages that learn them share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from trainables.errors import Faults

if TYPE_CHECKING:
    import pandas as pd
    import torch

    from trainables.units import Units

ATTRIBUTES = ("activation", "valence", "dominance")
"""Labels of the manifest, in the corpus' own scale (IEMOCAP's from 1 to 5, MSP-Podcast's from 1 to 7), in the slides' order."""

_ROUNDING = 1e-9


def require_weights(alpha: float, beta: float) -> None:
    """Weights of activation and valence that leave dominance the rest of 1 (:func:`trainables.losses.concordance_loss`).

    Raises:
        ValueError: One is negative, or they exceed 1 together (by more than rounding: 0.7 + 0.2 + 0.1 is not 1).
    """
    if alpha < 0 or beta < 0 or alpha + beta > 1 + _ROUNDING:
        raise ValueError(
            f"alpha={alpha} and beta={beta} leave dominance {1 - alpha - beta:g}; give two from 0 that are at most 1 in sum"
        )


def rated_units(features: Path) -> Units:
    """The units of a features stage, of which every one must have all three attributes.

    Args:
        features: Result directory of a stage of features, of segments, turns or frames.

    Raises:
        UserError: A unit lacks an attribute: all units and attributes at once.
    """
    import pandas as pd

    from trainables.tasks import TASKS
    from trainables.units import read_units

    require_ratings(pd.read_parquet(features / "segments.parquet"))
    return read_units(features, TASKS["attributes"])


def require_ratings(table: pd.DataFrame) -> None:
    """Refuse a table of units or turns in which one lacks an attribute.

    Raises:
        UserError: All units and attributes at once.
    """
    _require([table], ATTRIBUTES, "the ratings", "")


def require_attributes(
    sets: Mapping[str, Units], names: Sequence[str] = ATTRIBUTES, where: str = "the ratings", otherwise: str = ""
) -> None:
    """Refuse units that lack an attribute.

    Args:
        sets: Units by the name of their set.
        names: The attributes that are needed.
        where: What the message says the faults are in.
        otherwise: What the user can do instead of giving them, if there is anything.

    Raises:
        UserError: Names every unit that lacks one.
    """
    _require([part.table for part in sets.values()], names, where, otherwise)


def attribute_values(units: Units, names: Sequence[str] = ATTRIBUTES) -> torch.Tensor:
    """Attributes of units in the corpus' own scale, float32 ``[units, attributes]``; every unit must have them."""
    import numpy as np
    import torch

    return torch.from_numpy(np.array(units.table[list(names)], dtype=np.float32, order="C"))


def attribute_columns(table: pd.DataFrame) -> list[str]:
    """The attributes of a file of predictions: columns beside which there is another one ``<name>_predicted``."""
    return [name for name in table if f"{name}_predicted" in table]


def _require(tables: Iterable[pd.DataFrame], names: Sequence[str], where: str, otherwise: str) -> None:
    import pandas as pd

    from trainables.corpora.reading import listing

    give, fill = ("give it", "fill it in or delete them")
    if otherwise:
        give, fill = f"give it, or {otherwise}", f"fill it in, delete them, or {otherwise}"
    table, faults = pd.concat(tables), Faults(where)
    for name in names:
        if name not in table:
            faults.add(f"label {name!r} is missing; {give}")
        elif table[name].isna().any():
            unknown = listing(sorted(set(table.loc[table[name].isna(), "unit"])))
            faults.add(f"label {name!r} is missing for {unknown}; {fill}")
    faults.raise_if_any()
