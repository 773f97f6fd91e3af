"""The batches of supervised contrastive learning across corpora (Xiang, section 3.1, Figures 2 and 3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch

from trainables.errors import UserError
from trainables.numerics import seeded


class DrawnBatch(NamedTuple):
    """Utterances of one emotion and as many of others, by their places in the training sets put one after the other.

    Attributes:
        positives: Utterances with ``emotion``, int64 ``[N/2]``, source by source.
        negatives: Utterances with other emotions, int64 ``[N/2]``, in no order.
        emotion: The one that was drawn.
    """

    positives: torch.Tensor
    negatives: torch.Tensor
    emotion: str

    def share(self, rank: int, world_size: int) -> DrawnBatch:
        """One worker's part: as many positives and negatives as every other's.

        The parts are consecutive: those of all workers, put one after the other in the order of their ranks, are the batch again,
        in its order, on which the cosine margin loss depends.

        Raises:
            ValueError: The positives cannot be shared out equally.
        """
        size, rest = divmod(len(self.positives), world_size)
        if rest:
            raise ValueError(f"{len(self.positives)} positives cannot be shared equally by {world_size} workers")
        own = slice(rank * size, (rank + 1) * size)
        return DrawnBatch(self.positives[own], self.negatives[own], self.emotion)


class EmotionBatches:
    """The paper's sampler, as a function of seed and step: ``batches[step]`` is the same whenever and wherever it is asked for.

    From the paper, for two corpora: an emotion e 'is randomly determined from all the emotion categories'; N/4 utterances with e
    from each corpus that has it, or N/2 from the only one that has it; N/4 utterances without e from each. Decisions, where the
    paper is silent:

    - Any number of sources: N/2 positives shared equally by those that have e, N/2 negatives by all. What an equal share leaves
      over goes to sources that are drawn anew at each step.
    - A source that has fewer than its share gives all it has, and the others fill up in equal shares.
    - No utterance is twice in a batch: it would be its own positive pair. So an emotion with fewer than N/2 utterances in all
      sources together is too rare to be drawn as e; it still serves as a negative.
    - The emotions that are not too rare are equally likely, however many utterances they have.
    - Positives are in the order of the sources, so that, where two give N/4 each, the halves of equation (4) are of two corpora.
      Negatives are shuffled: its pairs of a positive and a negative are then of one corpus as well as of two.
    - An epoch is as many batches as the utterances would fill, at least one.

    Args:
        emotions: For each source the emotions of its training utterances, str ``[utterances]``.
        batch_size: N, a multiple of 4.
        seed: Decides every draw, with the step.

    Attributes:
        steps_per_epoch: Batches in an epoch.
        too_rare: Emotions with fewer than N/2 utterances, in alphabetical order.

    Raises:
        UserError: The batch size is no multiple of 4; every emotion is too rare; beside some emotion there are fewer than N/2
            utterances of others.
    """

    def __init__(self, emotions: Sequence[np.ndarray], batch_size: int, seed: int) -> None:
        if batch_size < 4 or batch_size % 4:
            lower = batch_size // 4 * 4
            nearest = f"{lower} or {lower + 4}" if lower > 0 else "4"
            raise UserError(f"batch_size={batch_size}: half a batch are positives, in two halves; give a multiple of 4: {nearest}")
        self._half, self._seed = batch_size // 2, seed
        places = _places(emotions)
        counts = {emotion: sum(map(len, pools)) for emotion, pools in places.items()}
        _require_enough(counts, batch_size)
        self.steps_per_epoch = max(1, sum(counts.values()) // batch_size)
        self.too_rare = tuple(emotion for emotion, count in counts.items() if count < self._half)
        self._positives = {emotion: pools for emotion, pools in places.items() if emotion not in self.too_rare}
        self._negatives = {
            emotion: [torch.cat(of_source) for of_source in zip(*(places[e] for e in places if e != emotion), strict=True)]
            for emotion in self._positives
        }

    def __getitem__(self, step: int) -> DrawnBatch:
        """The batch of a step, from 0."""
        generator = torch.Generator().manual_seed(seeded(self._seed, "emotion batch", step))
        emotion = list(self._positives)[int(torch.randint(len(self._positives), (), generator=generator))]
        positives = _draw(self._positives[emotion], self._half, generator)
        negatives = _draw(self._negatives[emotion], self._half, generator)
        return DrawnBatch(positives, negatives[torch.randperm(self._half, generator=generator)], emotion)


def _places(emotions: Sequence[np.ndarray]) -> dict[str, list[torch.Tensor]]:
    """By emotion, in alphabetical order: the places of its utterances, int64, for each source."""
    words = sorted(set(np.concatenate(emotions).tolist()))
    begins = np.cumsum([0, *map(len, emotions)])
    return {
        word: [torch.from_numpy(np.flatnonzero(own == word) + begin) for own, begin in zip(emotions, begins[:-1], strict=True)]
        for word in words
    }


def _require_enough(counts: Mapping[str, int], batch_size: int) -> None:
    """Raise UserError unless some emotion can be drawn and beside each that can there are enough utterances of others."""
    lacking = _lacking(counts, batch_size // 2)
    if lacking is None:
        return
    found = ", ".join(f"{count} {emotion}" for emotion, count in counts.items())
    largest = max((size for size in range(4, batch_size, 4) if _lacking(counts, size // 2) is None), default=0)
    mend = f"add utterances, or give a batch size of at most {largest}" if largest else "add utterances"
    raise UserError(f"batches of {batch_size} need {batch_size // 2} training utterances of {lacking}; found {found}: {mend}")


def _lacking(counts: Mapping[str, int], half: int) -> str | None:
    """Of what there are too few utterances for so many positives and as many negatives, or None."""
    drawn = [emotion for emotion, count in counts.items() if count >= half]
    if not drawn:
        return "one emotion"
    others = {emotion: sum(counts.values()) - counts[emotion] for emotion in drawn}
    return next((f"other emotions beside {emotion!r}" for emotion, count in others.items() if count < half), None)


def _draw(pools: Sequence[torch.Tensor], count: int, generator: torch.Generator) -> torch.Tensor:
    """Some places of every pool, none twice, int64 ``[count]``, pool by pool; the pools together have as many."""
    turns = torch.randperm(len(pools), generator=generator).tolist()
    shares = _shares([len(pool) for pool in pools], count, turns)
    chosen = [torch.randperm(len(pool), generator=generator)[:share] for pool, share in zip(pools, shares, strict=True)]
    return torch.cat([pool[own] for pool, own in zip(pools, chosen, strict=True)])


def _shares(sizes: Sequence[int], count: int, turns: Sequence[int]) -> list[int]:
    """How many each pool gives: one by turns until there are ``count``, those that have no more left out.

    Args:
        sizes: What each pool has; together at least ``count``.
        count: How many are wanted.
        turns: The pools' numbers, in the order of their turns.
    """
    shares = [0] * len(sizes)
    while sum(shares) < count:
        for number in turns:
            if shares[number] < sizes[number] and sum(shares) < count:
                shares[number] += 1
    return shares
