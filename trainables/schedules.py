"""Learning rates that fall in steps, as a factor of the first rate: a function of the epoch alone, so no checkpoint holds them."""

from __future__ import annotations


def stepped(epoch: int, first: int, every: int, factor: float) -> float:
    """The factor of an epoch: 1 before epoch ``first``, multiplied by ``factor`` in it and again every ``every`` epochs.

    The supervised contrastive paper's schedules (section 4.2), in its own words and as they are read here, epochs counted from 1:

    - 'starting from the 25th epoch, the learning rate is reduced by half every 5 epochs': ``stepped(epoch, 25, 5, 0.5)``. The 25th
      is the first at half the rate; then the 30th, the 35th, ..., so that the 50th has 1/64.
    - 'reduced to 0.1 times of the original after 5 epochs': ``stepped(epoch, 6, 5, 0.1)``. The 6th to the 10th and last.
    - 'became 0.2 times of the original every 20 epochs': ``stepped(epoch, 21, 20, 0.2)``. 0.2 from the 21st, 0.04 from the 41st.

    Args:
        epoch: Counted from 1, as papers do.
        first: The first epoch with a lower rate.
        every: Epochs from one fall to the next, at least 1.
        factor: Of each fall.
    """
    falls = 0 if epoch < first else 1 + (epoch - first) // every
    return factor**falls
