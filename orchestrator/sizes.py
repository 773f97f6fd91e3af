"""Sizes of files as people write them."""

from __future__ import annotations

import re

from trainables.errors import UserError

_UNITS = {"": 1, "b": 1} | {
    f"{letter}{ending}": base**power
    for power, letter in enumerate("kmgtp", 1)
    for ending, base in (("ib", 1024), ("b", 1000), ("", 1024))
}


def parse_size(option: str, text: str) -> int:
    """Bytes: ``200GiB`` or ``200G`` is 200 x 2^30, ``200GB`` is 200 x 10^9, a number without a unit is bytes.

    Args:
        option: That was given it, for messages.
        text: As it was given.

    Raises:
        UserError: It is no size.
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*", text.lower())
    if found is None or found[2] not in _UNITS:
        raise UserError(f"{option} {text}: is not a size; give one such as 200GiB, 1.5TiB or 500MB")
    return int(float(found[1]) * _UNITS[found[2]])


def sizes(number: int) -> str:
    """Bytes in words: ``1.5 GiB``."""
    value, units = float(number), ["KiB", "MiB", "GiB", "TiB"]
    if number < 1024:
        return f"{number} bytes"
    while value >= 1024 and units:
        value, unit = value / 1024, units.pop(0)
    return f"{value:.1f} {unit}"
