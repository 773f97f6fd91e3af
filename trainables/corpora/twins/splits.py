"""Splits of the twins that come with some."""

from __future__ import annotations

from collections.abc import Sequence


def dealt_splits(count: int, shares: Sequence[float], names: Sequence[str]) -> list[str]:
    """A split for each of ``count`` speakers: everybody is in one, and none is empty.

    Args:
        count: Speakers, at least as many as splits.
        shares: Of all splits but the last, which gets the rest.
        names: The splits.
    """
    sizes = [max(1, round(share * count)) for share in shares]
    while count - sum(sizes) < 1:  # rounding up has left none for the last split
        sizes[sizes.index(max(sizes))] -= 1
    sizes.append(count - sum(sizes))
    return [name for name, size in zip(names, sizes, strict=True) for _ in range(size)]
