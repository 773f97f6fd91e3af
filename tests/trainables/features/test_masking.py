"""Contract of trainables.features.masking."""

from __future__ import annotations

import torch

from trainables.features.masking import random_mask

SETTINGS = {"time_stripes": 2, "time_width": 9, "mel_stripes": 3, "mel_width": 4}


def masks(batch=40, frames=30, mels=16, seed=0, **settings):
    return random_mask(batch, frames, mels, torch.Generator().manual_seed(seed), **(SETTINGS | settings))


def test_stripes_are_those_of_a_loop_over_samples_and_stripes_with_the_same_draws():
    generator = torch.Generator().manual_seed(0)
    keep = torch.ones(40, 30, 16, dtype=torch.bool)
    for axis, length, stripes, max_width in ((0, 30, 2, 9), (1, 16, 3, 4)):
        for sample, row in enumerate(torch.rand(40, stripes, 2, generator=generator, dtype=torch.float64).tolist()):
            for width_draw, begin_draw in row:
                width = int(width_draw * max_width)
                begin = int(begin_draw * (length - width + 1))
                keep[sample].narrow(axis, begin, width).fill_(False)
    assert torch.equal(masks(), keep)


def test_a_stripe_stays_below_its_width_and_every_width_below_occurs():
    keep = masks(batch=2000, time_stripes=1, mel_stripes=0)
    widths = (~keep).all(dim=2).sum(dim=1)
    assert set(widths.tolist()) == set(range(9))


def test_stripes_reach_both_ends():
    keep = masks(batch=2000)
    assert not keep[:, 0].any(dim=1).all()
    assert not keep[:, -1].any(dim=1).all()


def test_samples_are_masked_differently():
    assert len({row.numpy().tobytes() for row in masks()}) > 30


def test_no_stripes_keep_everything():
    assert masks(time_stripes=0, mel_stripes=0).all()


def test_the_mask_depends_on_the_generator_alone():
    assert torch.equal(masks(seed=3), masks(seed=3))
    assert not torch.equal(masks(seed=3), masks(seed=4))
