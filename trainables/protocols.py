"""How subjects are divided into training and test sets, and what is written down about it."""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING

from trainables.errors import UserError
from trainables.numerics import seeded

if TYPE_CHECKING:
    import pandas as pd

_ATTEMPTS = 1000


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
        UserError: A class has fewer than two speakers, or a set would have fewer speakers than there are classes.
    """
    from sklearn.model_selection import train_test_split

    speakers = units.groupby("speaker", sort=True)[label].first()
    counts = speakers.value_counts().sort_index()
    in_test = math.ceil(test_fraction * len(speakers))
    if counts.min() < 2 or min(in_test, len(speakers) - in_test) < len(counts):
        found = ", ".join(f"{count} with {label} = {value}" for value, count in counts.items())
        raise UserError(
            f"a split by speaker needs at least 2 speakers of each class, and one of each in both sets; found {found} "
            f"({in_test} of {len(speakers)} would be in the test set): add speakers of the rare class"
        )
    _, test = train_test_split(
        speakers.index.to_numpy(),
        test_size=test_fraction,
        stratify=speakers.to_numpy(),
        random_state=seeded(seed, "split") % 2**32,
    )
    return units["speaker"].isin(set(test)).map({True: "test", False: "train"})


def divide_by_speaker(units: pd.DataFrame, positive: pd.Series, shares: tuple[float, float, float], seed: int) -> pd.Series:
    """Random division into three sets without a common speaker, for utterances whose corpus names no splits.

    Not stratified, because a speaker has utterances of both labels and so has no label to stratify by: whole speakers are drawn
    until every set has both labels. The shares count speakers, rounded to whole ones, at least one a set; where that leaves a
    tie, the test set gets the speaker, because its scores are the ones reported.

    Args:
        units: One row per utterance with ``speaker``.
        positive: Binary label of each row of ``units``, in the same order.
        shares: Shares of the training, validation and test set; their sum is 1.
        seed: Decides the division; the order of the rows does not.

    Returns:
        'train', 'dev' or 'test' for each row of ``units``.

    Raises:
        UserError: Fewer than three speakers, or none of 1000 draws gives both labels to every set.
    """
    labels = positive.to_numpy().astype(bool)
    speakers = sorted(set(units["speaker"]))
    of_label = [set(units["speaker"][labels]), set(units["speaker"][~labels])]
    if len(speakers) >= 3:
        sizes = _whole_speakers(len(speakers), dict(zip(("train", "dev", "test"), shares, strict=True)))
        names = [name for name, size in sizes.items() for _ in range(size)]
        for attempt in range(_ATTEMPTS):
            drawn = random.Random(seeded(seed, "split", attempt)).sample(speakers, len(speakers))
            division = dict(zip(drawn, names, strict=True))
            if all({division[speaker] for speaker in having} == set(sizes) for having in of_label):
                return units["speaker"].map(division)
    raise UserError(
        "the corpus names no splits and cannot be divided by speaker into train, dev and test with both labels in each: at least "
        f"3 speakers with positive utterances and 3 with negative ones are needed; found {len(of_label[0])} and "
        f"{len(of_label[1])}, {len(speakers)} speakers in all: add speakers, or name the splits in the manifest's column split"
    )


def _whole_speakers(count: int, shares: dict[str, float]) -> dict[str, int]:
    """Number of speakers in each set: one, then each further speaker where most is lacking; test first among equals."""
    sizes = dict.fromkeys(shares, 1)
    for _ in range(count - len(sizes)):
        sizes[max(reversed(sizes), key=lambda name: shares[name] * count - sizes[name])] += 1
    return sizes
