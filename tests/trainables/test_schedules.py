"""Learning rates in steps: the three schedules of the supervised contrastive paper, section 4.2."""

import pytest
import torch

from trainables.schedules import stepped


def rates(epochs, *settings):
    return [stepped(epoch, *settings) for epoch in range(1, epochs + 1)]


def test_stage_one_is_halved_every_5_epochs_from_the_25th():
    expected = [1.0] * 24 + [0.5] * 5 + [0.25] * 5 + [0.125] * 5 + [1 / 16] * 5 + [1 / 32] * 5 + [1 / 64]
    assert rates(50, 25, 5, 0.5) == expected


def test_stage_two_falls_to_a_tenth_after_5_of_its_10_epochs():
    assert rates(10, 6, 5, 0.1) == [1.0] * 5 + [0.1] * 5


def test_direct_fine_tuning_falls_to_a_fifth_every_20_epochs():
    assert rates(50, 21, 20, 0.2) == pytest.approx([1.0] * 20 + [0.2] * 20 + [0.04] * 10)


def test_it_is_what_torchs_own_schedules_give():
    """StepLR where the first fall comes after ``every`` epochs, MultiStepLR where it comes at another time."""
    for settings, schedule in (
        ((21, 20, 0.2), lambda optimizer: torch.optim.lr_scheduler.StepLR(optimizer, 20, 0.2)),
        ((25, 5, 0.5), lambda optimizer: torch.optim.lr_scheduler.MultiStepLR(optimizer, [24, 29, 34, 39, 44, 49], 0.5)),
    ):
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
        scheduler = schedule(optimizer)
        found = []
        for _ in range(50):
            found.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            scheduler.step()
        assert rates(50, *settings) == pytest.approx(found)
