"""The training loop: the same bytes whether or not it was interrupted; batches that depend on seed and step alone."""

import pytest
import torch

from tests.trainables.fake_context import FakeContext
from trainables.stage import StopRequested
from trainables.training import BestEpoch, EpochOrder, train


def run(context, steps=12):
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Dropout(0.5), torch.nn.Linear(4, 1))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    best = BestEpoch(model)

    def step(index):
        inputs = torch.rand(8, 4, generator=torch.Generator().manual_seed(index))
        loss = (model(inputs) - inputs.sum(dim=1, keepdim=True)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return {"loss": loss.detach()}

    def after_epoch(epoch):
        best.offer(float(epoch % 3), epoch)
        return {"extra": float(epoch)}

    parts = {"model": model, "optimizer": optimizer, "best": best}
    train(context, seed=0, steps=steps, steps_per_epoch=2, step=step, parts=parts, after_epoch=after_epoch)
    return torch.nn.utils.parameters_to_vector(model.parameters()), best


def test_an_interrupted_and_resumed_training_gives_the_same_bytes_and_curves(tmp_path):
    straight = FakeContext(tmp_path / "straight", {})
    expected, best = run(straight)
    for stop in range(1, 12):
        stopped = FakeContext(tmp_path / str(stop), {}, stop_after=stop)
        with pytest.raises(StopRequested):
            run(stopped)
        resumed = FakeContext(tmp_path / str(stop), {})
        found, again = run(resumed)
        assert torch.equal(found, expected), f"stopped after step {stop}"
        assert again.epoch == best.epoch
        assert stopped.reports + resumed.reports == straight.reports


def test_reports_are_means_over_the_steps_of_an_epoch(tmp_path):
    context = FakeContext(tmp_path, {})
    train(
        context,
        seed=0,
        steps=4,
        steps_per_epoch=2,
        step=lambda index: {"loss": torch.tensor(float(index))},
        parts={},
    )
    assert [metrics["loss"] for _, metrics in context.reports] == [0.5, 2.5]


def test_the_best_epoch_is_the_first_of_equals_and_is_restored():
    model = torch.nn.Linear(1, 1, bias=False)
    best = BestEpoch(model)
    for epoch, score in enumerate((0.1, 0.7, 0.7, 0.2)):
        torch.nn.init.constant_(model.weight, epoch)
        best.offer(score, epoch)
    best.restore()
    assert (best.epoch, model.weight.item()) == (1, 1.0)


def test_batches_hold_distinct_items_and_every_item_gets_its_turn():
    order = EpochOrder(size=10, batch_size=3, seed=0)
    assert order.steps_per_epoch == 3
    batches = [order[step].tolist() for step in range(30)]
    assert all(len(set(batch)) == 3 for batch in batches)
    for epoch in range(10):
        together = [item for batch in batches[3 * epoch : 3 * epoch + 3] for item in batch]
        assert len(set(together)) == 9
    assert {item for batch in batches for item in batch} == set(range(10))


def test_a_batch_depends_on_seed_and_step_alone():
    one, other = EpochOrder(10, 3, seed=1), EpochOrder(10, 3, seed=1)
    later_first = [other[step].tolist() for step in reversed(range(9))]
    assert [one[step].tolist() for step in range(9)] == later_first[::-1]
    assert [EpochOrder(10, 3, seed=2)[step].tolist() for step in range(9)] != later_first[::-1]


def test_fewer_items_than_a_batch_make_one_smaller_batch():
    assert sorted(EpochOrder(2, 8, seed=0)[5].tolist()) == [0, 1]
