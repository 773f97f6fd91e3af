"""How subjects are divided into training and test sets, and what is written down about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainables.numerics import seeded

if TYPE_CHECKING:
    import pandas as pd


def split_by_speaker(units: pd.DataFrame, label: str, test_fraction: float, seed: int) -> pd.Series:
    """Random split in which no speaker is on both sides (ReCLR, section 3.2: 70 % training, 30 % test).

    The paper says 'randomly'; here the draw is stratified by label, so that a small corpus cannot end up with a test set of one
    class, and by speaker rather than by session, so that nobody is in both sets.

    Args:
        units: One row per session or utterance with ``speaker`` and the label's column.
        label: Column to stratify by; a speaker counts with its first unit's label.
        test_fraction: Share of speakers in the test set.
        seed: The same seed gives the same split for every row of a table, which makes the rows comparable seed by seed.

    Returns:
        'train' or 'test' for each row of ``units``.

    Raises:
        ValueError: A class has fewer than two speakers.
    """
    from sklearn.model_selection import train_test_split

    speakers = units.groupby("speaker", sort=True)[label].first()
    _, test = train_test_split(
        speakers.index.to_numpy(),
        test_size=test_fraction,
        stratify=speakers.to_numpy(),
        random_state=seeded(seed, "split") % 2**32,
    )
    return units["speaker"].isin(set(test)).map({True: "test", False: "train"})
