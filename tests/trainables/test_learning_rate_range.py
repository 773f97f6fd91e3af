"""The learning-rate range test: its rule on problems whose best rate is known, and the stage."""

import json
import math

import numpy as np
import pandas as pd
import pytest
import torch
from pydantic import ValidationError
from torch.nn import functional as F

from tests.trainables.fake_context import FakeContext
from tests.trainables.tiny_segments import FEATURES, SMALL, files, finish, write_segments
from trainables.errors import UserError
from trainables.head_training import HeadTraining
from trainables.learning_rate_range import LearningRateRange, RateCurve, raise_rates
from trainables.models.attention_resnet import AttentionResnet
from trainables.pictures import FIGURES, is_picture
from trainables.protocols.catalogue import OWN_SPLITS, SPEAKERS_5_FOLD
from trainables.stage import StopRequested, from_config, to_config
from trainables.training import EpochOrder

RANGE = {"width": 4, "batch_size": 8, "steps": 20, "precision": "float32"}
HEAD = HeadTraining(features=FEATURES, **SMALL, epochs=1, range_test=False, learning_rate=0.01)


# The rule.


def curve_of(losses, steps=100, lowest=1e-5, highest=1.0):
    curve = RateCurve(lowest, highest, steps)
    curve.losses += losses
    return curve


def descended(tmp_path, curvature, momentum, noise):
    """The curve of SGD on curvature / 2 (w - target)^2, from w = 1, whose target is noisy; and the rate above which it diverges."""
    weight = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.ones_(weight.weight)
    optimizer = torch.optim.SGD(weight.parameters(), lr=1.0, momentum=momentum)

    def step(index):
        target = noise * torch.randn(16).mean()
        loss = curvature / 2 * (weight.weight - target).square().sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return {"loss": loss.detach()}

    curve = RateCurve(1e-5, 1.0, 100)
    context = FakeContext(tmp_path / "result", {})
    raise_rates(context, curve, seed=0, step=step, optimizer=optimizer, parts={"weight": weight})
    return context, curve, 2 * (1 + momentum) / curvature


@pytest.mark.parametrize("noise", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("curvature", [10.0, 100.0, 1000.0])
def test_on_a_quadratic_it_ends_beyond_the_stability_bound_and_suggests_a_stable_rate(tmp_path, curvature, momentum, noise):
    """SGD with momentum m on curvature c diverges above 2 (1 + m) / c, and not below."""
    _, curve, bound = descended(tmp_path, curvature, momentum, noise)
    ended = curve.rates[len(curve.losses) - 1]
    assert bound / 4 < ended < 10 * bound
    assert 1e-3 * bound < curve.suggestion < 0.6 * bound
    if not noise:
        assert bound / 2 < curve.rates[curve.least] < 6 * bound, "the loss falls up to the bound and lags half a decade behind"


def test_the_rate_grows_by_one_factor_from_the_lowest_to_the_highest():
    rates = RateCurve(1e-4, 0.5, 7).rates
    assert rates == pytest.approx([1e-4 * 5000 ** (step / 6) for step in range(7)])


def test_the_loss_is_smoothed_by_a_bias_corrected_exponential_mean():
    losses = [0.7, 0.9, 0.4, 0.65, 3.0, 0.1]
    mean, expected = 0.0, []
    for number, loss in enumerate(losses):
        mean = 0.9 * mean + 0.1 * loss
        expected.append(mean / (1 - 0.9 ** (number + 1)))
    np.testing.assert_allclose(curve_of(losses).smoothed, expected, rtol=1e-12)


def test_it_suggests_a_tenth_of_the_rate_at_the_least_smoothed_loss():
    curve = curve_of([1 - 0.01 * step for step in range(60)] + [0.4 + 0.1 * step for step in range(20)])
    assert curve.least == int(curve.smoothed.argmin()) > 55
    assert curve.suggestion == pytest.approx(0.1 * curve.rates[curve.least])


def test_it_suggests_no_rate_below_the_lowest():
    curve = curve_of([1.0] * 12 + [2.0] * 20)
    assert curve.rates[curve.least] < 10 * curve.rates[0]
    assert curve.suggestion == curve.rates[0]


def test_one_lucky_batch_at_the_beginning_suggests_nothing():
    losses = [0.01] + [0.7 - 0.005 * step for step in range(70)] + [5.0] * 9
    assert curve_of(losses).smoothed.argmin() == 0
    assert curve_of(losses).suggestion == pytest.approx(curve_of(losses[1:]).suggestion, rel=0.3)


def test_it_has_diverged_where_the_smoothed_loss_exceeds_four_times_its_least():
    assert not curve_of([]).diverged
    assert not curve_of([1.0] * 30 + [28.0]).diverged, "one batch is little of the mean"
    assert curve_of([1.0] * 30 + [35.0]).diverged


def test_no_step_follows_the_one_in_which_it_diverges_and_each_is_reported_with_its_rate(tmp_path):
    context, curve, _ = descended(tmp_path, 100.0, 0.0, 0.5)
    count = len(curve.losses)
    assert count < 100
    assert curve.diverged
    assert not curve_of(curve.losses[:-1]).diverged
    expected = [
        (step, {"loss": pytest.approx(loss), "smoothed": pytest.approx(smoothed), "learning_rate": rate})
        for step, (loss, smoothed, rate) in enumerate(zip(curve.losses, curve.smoothed, curve.rates, strict=False))
    ]
    assert context.reports == expected


def with_losses(tmp_path, losses):
    """The curve of steps that have these losses, whatever is done."""
    weight = torch.nn.Linear(1, 1)
    optimizer, done = torch.optim.SGD(weight.parameters(), lr=1.0), []

    def step(index):
        done.append(optimizer.param_groups[0]["lr"])
        return {"loss": torch.tensor(losses[index])}

    curve = RateCurve(1e-3, 1.0, 20)
    raise_rates(FakeContext(tmp_path / "result", {}), curve, seed=0, step=step, optimizer=optimizer, parts={})
    return curve, done


def test_without_divergence_every_rate_is_tried(tmp_path):
    curve, done = with_losses(tmp_path, [1.0] * 20)
    assert done == curve.rates
    assert len(curve.losses) == 20


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_loss_that_is_no_longer_finite_ends_it_and_is_no_part_of_the_curve(tmp_path, bad):
    curve, done = with_losses(tmp_path, [1.0] * 5 + [bad] * 15)
    assert curve.losses == [1.0] * 5
    assert len(done) == 6
    assert curve.suggestion >= curve.rates[0]


def test_a_loss_that_is_never_finite_is_the_users_fault(tmp_path):
    with pytest.raises(UserError, match=r"the loss is nan before the first step.*raise precision to 'float32'"):
        with_losses(tmp_path, [math.nan] * 20)


# The stage.


@pytest.fixture(scope="module")
def segments(tmp_path_factory):
    return write_segments(tmp_path_factory.mktemp("segments") / "features")


@pytest.fixture(scope="module")
def trained(tmp_path_factory, segments):
    """Features, and a head that was trained on them."""
    results = dict(segments)
    finish(HEAD, results, tmp_path_factory.mktemp("head"))
    return results


def stage(**settings):
    return LearningRateRange(features=FEATURES, **{**RANGE, **settings})


def run(which, directory, results, **changes):
    context = FakeContext(directory, results, **changes)
    which.run(context)
    return context


def losses_of(which, context, network):
    """A loop without the stage: each batch at its rate, by SGD on whatever is not frozen."""
    training = which.sets(which.units(context))["train"]
    rows = torch.from_numpy(np.concatenate(training.segments))
    features = torch.from_numpy(np.load(context.result(FEATURES) / "features.npy"))[rows]
    order, found = EpochOrder(len(rows), which.batch_size, which.seed), []
    weights = [weight for weight in network.parameters() if weight.requires_grad]
    optimizer = torch.optim.SGD(weights, lr=1.0, momentum=which.momentum, weight_decay=which.weight_decay)
    network.train()
    for step, rate in enumerate(np.geomspace(which.lowest, which.highest, which.steps)):
        optimizer.param_groups[0]["lr"] = float(rate)
        loss = F.cross_entropy(network(features[order[step]]), torch.from_numpy(training.truth)[order[step]])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        found.append(loss.item())
    return found


def test_without_a_head_the_last_layer_alone_of_the_random_network_is_trained(tmp_path, segments):
    which = stage(highest=0.05)
    context = run(which, tmp_path / "result", segments)
    network = which.untrained(context, which.sets(which.units(context))["train"])
    for name, weight in network.named_parameters():
        weight.requires_grad_(name.startswith("head."))
    found = pd.read_parquet(tmp_path / "result/rates.parquet")
    np.testing.assert_allclose(found["loss"], losses_of(which, context, network), rtol=1e-3)


def test_with_a_head_the_whole_network_is_trained_from_where_the_head_ended(tmp_path, trained):
    which = stage(head=HEAD, highest=0.01)
    context = run(which, tmp_path / "result", trained)
    network = AttentionResnet.load(trained[HEAD]).requires_grad_(True)
    found = pd.read_parquet(tmp_path / "result/rates.parquet")
    np.testing.assert_allclose(found["loss"], losses_of(which, context, network), rtol=1e-3)


def test_the_result_is_the_curve_its_numbers_and_a_picture(tmp_path, segments):
    context = run(stage(), tmp_path / "result", segments)
    table = pd.read_parquet(tmp_path / "result/rates.parquet")
    assert list(table) == ["step", "rate", "loss", "smoothed"]
    assert table["step"].tolist() == [step for step, _ in context.reports]
    np.testing.assert_allclose(table["rate"], np.geomspace(1e-5, 1, 20)[: len(table)])
    curve = curve_of(table["loss"].tolist(), steps=20)
    expected = {"learning_rate": curve.suggestion, "least_rate": curve.rates[curve.least]}
    expected["least_loss"] = curve.smoothed[curve.least]
    assert json.loads((tmp_path / "result/metrics.json").read_text()) == pytest.approx(expected)
    (picture,) = (tmp_path / "result" / FIGURES).iterdir()
    assert picture.name == "range-test.png"
    assert is_picture(picture.name, picture.stat().st_size)
    assert LearningRateRange.draws


def test_the_same_seed_gives_the_same_bytes_and_another_one_others(tmp_path, segments):
    for name, seed in (("one", 0), ("again", 0), ("other", 1)):
        run(stage(seed=seed), tmp_path / name, segments)
    assert files(tmp_path / "one") == files(tmp_path / "again")
    assert files(tmp_path / "one")["rates.parquet"] != files(tmp_path / "other")["rates.parquet"]


@pytest.mark.parametrize(("head", "stop_after"), [(None, 1), (HEAD, 7)])
def test_an_interrupted_and_resumed_test_gives_the_same_bytes(tmp_path, trained, head, stop_after):
    which = stage(head=head)
    whole = run(which, tmp_path / "whole", trained)
    with pytest.raises(StopRequested):
        run(which, tmp_path / "cut", trained, stop_after=stop_after)
    assert files(tmp_path / "cut") == {}
    resumed = run(which, tmp_path / "cut", trained)
    assert resumed.reports == whole.reports[stop_after:]
    assert files(tmp_path / "cut") == files(tmp_path / "whole")


def test_one_that_was_stopped_in_the_step_in_which_it_diverged_does_no_further_step(tmp_path, segments):
    which = stage(highest=1e4)
    whole = run(which, tmp_path / "whole", segments)
    count = len(whole.reports)
    assert count < 20
    with pytest.raises(StopRequested):
        run(which, tmp_path / "cut", segments, stop_after=count)
    assert run(which, tmp_path / "cut", segments).reports == []
    assert files(tmp_path / "cut") == files(tmp_path / "whole")


def test_what_is_not_given_is_the_heads_and_the_head_gets_what_is_given():
    head = HEAD.with_upstream({}, protocol=SPEAKERS_5_FOLD, fold=1, depth=34, seed=5)
    taken = LearningRateRange(head=head)
    assert {name: getattr(taken, name) for name in head.shared()} == head.shared()
    assert taken.head == head
    moved = taken.with_upstream({}, protocol=OWN_SPLITS, fold=0, seed=6)
    assert moved.head == head.with_upstream({}, protocol=OWN_SPLITS, fold=0, seed=6)
    assert moved.depth == 34


def test_a_range_test_is_rebuilt_from_its_description():
    for which in (stage(protocol=OWN_SPLITS), stage(head=HEAD, lowest=1e-4)):
        assert from_config(json.loads(json.dumps(to_config(which)))) == which


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"lowest": 1.0, "highest": 1.0}, "lowest=1.0 is not below highest=1.0; give a lower one"),
        ({"steps": 19}, "steps"),
        ({"lowest": 0.0}, "lowest"),
        ({"head": HEAD, "batch_size": 1}, "batch_size"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings, message):
    with pytest.raises(ValidationError, match=message):
        stage(**settings)


def test_it_says_that_the_training_segments_choose_the_rate():
    exposure = stage(protocol=OWN_SPLITS).exposure()
    assert (exposure.features, exposure.fitted, exposure.task) == (FEATURES, "training", "depression")
    assert (exposure.normalised, exposure.selected) == ("training", "train")
