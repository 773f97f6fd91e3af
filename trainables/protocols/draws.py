"""Drawing sets of speakers: stratified where a class is the speaker's, else whole speakers until every class is in every set.

And sets of units whoever spoke them, stratified by class, for protocols that say so.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from trainables.errors import UserError
from trainables.numerics import seeded
from trainables.protocols.protocol import ScoredSet

if TYPE_CHECKING:
    from trainables.units import Units

_ATTEMPTS = 1000


def split_by_speaker(units: Units, fraction: float, seed: int, scored: ScoredSet = "test") -> dict[str, Units]:
    """Random split in which no speaker is on both sides and every class is on each (ReCLR, section 3.2: 70 % and 30 %).

    The paper says 'randomly'. Here the draw is by speaker, so that nobody is heard before being scored. Where a class belongs to
    the speaker it is stratified by class; where a speaker has units of several classes it cannot be, and whole speakers are drawn
    until every class is in both sets.

    Args:
        units: Sessions or utterances. Of a task whose classes belong to speakers, a speaker counts with the first unit's class.
        fraction: Share of the speakers in the scored set, rounded up.
        seed: Decides the split; the order of the units does not.
        scored: Name of the scored set; the other one is 'train'.

    Raises:
        UserError: There are too few speakers of some class.
    """
    if units.task.of_speaker:
        return select(units, _stratified(units, "speaker", fraction, seed, scored))
    return select(units, _drawn(units, _two_sizes(units, fraction, scored), seed))


def split_by_unit(units: Units, fraction: float, seed: int) -> dict[str, Units]:
    """Random split into training and test set in which a speaker is on both sides: units are drawn, stratified by class.

    Args:
        units: Of any task: a unit has one class, even where a speaker has several.
        fraction: Share of the units in the test set, rounded up.
        seed: Decides the split; the order of the units does not.

    Raises:
        UserError: There are too few units of some class.
    """
    return select(units, _stratified(units, "unit", fraction, seed, "test"), "unit")


def hold_out(units: Units, fraction: float, seed: int) -> dict[str, Units]:
    """Training and test set of a search, in which nothing but chance decides who is tested.

    Not stratified, whatever the task: a stratified draw would follow the test speakers' labels, and a search must not depend on
    them. Of the labels only this is used, that every class must be in both sets; a draw without is drawn again.

    Args:
        units: Sessions or utterances.
        fraction: Share of the speakers in the test set, rounded up.
        seed: Decides the split; the order of the units does not.

    Raises:
        UserError: There are too few speakers of some class.
    """
    return select(units, _drawn(units, _two_sizes(units, fraction, "test"), seed))


def draw_once(units: Units, shares: Mapping[str, float]) -> dict[str, Units]:
    """Sets of whole speakers that are the same for every seed; the last set gets the speaker in a tie: its scores are reported.

    Args:
        units: Sessions or utterances.
        shares: Name of each set to its share of the speakers.

    Raises:
        UserError: There are too few speakers of some class.
    """
    return select(units, _drawn(units, _whole_speakers(units.table["speaker"].nunique(), shares), seed=0))


def wanted_classes(units: Units) -> list[int]:
    """Classes that every set must have: those that occur at all, or every one where fewer than two do.

    Few corpora have all of a task's emotions (EmoDB knows no frustration); one class alone is no task.
    """
    occurring = sorted(set(units.truth.tolist()))
    return occurring if len(occurring) > 1 else list(range(len(units.task.classes)))


def select(units: Units, set_of: dict[str, str], group: Literal["speaker", "unit"] = "speaker") -> dict[str, Units]:
    """The units of each set, given each speaker's set, or each unit's own."""
    names = units.table[group].map(set_of).to_numpy()
    return {name: units.where(names == name) for name in ("train", "dev", "test") if name in set_of.values()}


def _two_sizes(units: Units, fraction: float, scored: ScoredSet, group: Literal["speaker", "unit"] = "speaker") -> dict[str, int]:
    """Speakers (or units) in 'train' and in the scored set, which is rounded up, as scikit-learn does."""
    count = units.table[group].nunique()
    in_scored = math.ceil(fraction * count)
    return {"train": count - in_scored, scored: in_scored}


def _stratified(units: Units, group: Literal["speaker", "unit"], fraction: float, seed: int, scored: ScoredSet) -> dict[str, str]:
    """The set of each speaker or unit, every class having the same share in both sets as far as whole groups allow."""
    import pandas as pd
    from sklearn.model_selection import train_test_split

    classes = pd.Series(units.truth).groupby(units.table[group].to_numpy(), sort=True).first()
    wanted = wanted_classes(units)
    counts = [int((classes == number).sum()) for number in wanted]
    sizes = _two_sizes(units, fraction, scored, group)
    if min(counts) >= 2 and min(sizes.values()) >= len(counts):
        names = classes.index.to_numpy()
        state = seeded(seed, "split") % 2**32
        train, rest = train_test_split(names, test_size=fraction, stratify=classes.to_numpy(), random_state=state)
        if all(set(classes[part]) == set(wanted) for part in (train, rest)):
            return dict.fromkeys(train, "train") | dict.fromkeys(rest, scored)
    found = ", ".join(f"{count} {units.task.classes[number]}" for number, count in zip(wanted, counts, strict=True))
    raise UserError(
        f"a split by {group} needs at least 2 {group}s of each class, and one of each in both sets; found {found} "
        f"({sizes[scored]} of {len(classes)} would be in the {scored} set): add {group}s of the rare class"
    )


def _drawn(units: Units, sizes: dict[str, int], seed: int) -> dict[str, str]:
    """The set of each speaker: whole speakers are drawn until every class is in every set.

    Args:
        units: What is divided.
        sizes: Number of speakers in each set.
        seed: Decides the draw.
    """
    names = units.table["speaker"].to_numpy()
    speakers = sorted(set(names))
    of_class = {units.task.classes[number]: set(names[units.truth == number]) for number in wanted_classes(units)}
    if min(sizes.values()) > 0 and all(len(having) >= len(sizes) for having in of_class.values()):
        places = [name for name, size in sizes.items() for _ in range(size)]
        for attempt in range(_ATTEMPTS):
            drawn = random.Random(seeded(seed, "split", attempt)).sample(speakers, len(speakers))
            set_of = dict(zip(drawn, places, strict=True))
            if all({set_of[speaker] for speaker in having} == set(sizes) for having in of_class.values()):
                return set_of
    found = ", ".join(f"{len(having)} of {name}" for name, having in of_class.items())
    into = " and ".join(f"{size} {name}" for name, size in sizes.items())
    raise UserError(
        f"the {len(speakers)} speakers cannot be divided into {into} with every class in each set: at least {len(sizes)} speakers "
        f"of each class are needed; found {found}: add speakers of the rare class"
    )


def _whole_speakers(count: int, shares: Mapping[str, float]) -> dict[str, int]:
    """Number of speakers in each set: one, then each further speaker where most is lacking; the last among equals."""
    sizes = dict.fromkeys(shares, 1)
    for _ in range(count - len(sizes)):
        sizes[max(reversed(sizes), key=lambda name: shares[name] * count - sizes[name])] += 1
    return sizes
