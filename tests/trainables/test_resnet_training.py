"""What all trainings of an attention-residual network share, and the training of its last layer."""

import json

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch.nn import functional as F

from tests.trainables.fake_context import FakeContext
from tests.trainables.tiny_segments import COEFFICIENTS, FEATURES, SMALL, files, finish, write_segments
from trainables.head_training import HeadTraining
from trainables.learning_rate_range import LearningRateRange
from trainables.mfcc_segments import MfccSegments
from trainables.models.attention_resnet import AttentionResnet
from trainables.protocols.catalogue import OWN_SPLITS, SPEAKERS_5_FOLD, SPEAKERS_70_30
from trainables.resnet_classifier import ResnetClassifier
from trainables.stage import StopRequested, from_config, to_config
from trainables.training import EpochOrder


def head(**settings):
    return HeadTraining(features=FEATURES, **{**SMALL, "epochs": 2, "range_test": False, "learning_rate": 0.01, **settings})


@pytest.fixture(scope="module")
def segments(tmp_path_factory):
    return write_segments(tmp_path_factory.mktemp("segments") / "features")


@pytest.fixture
def context(tmp_path, segments):
    return FakeContext(tmp_path / "result", segments)


def training_of(which, context):
    return which.sets(which.units(context))["train"]


def rows_of(units):
    return np.concatenate(units.segments)


def test_the_defaults_are_those_of_table_4():
    paper = ResnetClassifier(features=MfccSegments(corpus="sre"))
    assert (paper.learning_rate, paper.batch_size, paper.momentum, paper.weight_decay) == (1e-3, 16, 0.9, 3e-3)
    assert (paper.head_epochs, paper.epochs) == (20, 20)
    assert (paper.attention, paper.shortcut, paper.width, paper.task) == ("stages", "zeros", 64, "depression")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"batch_size": 1}, "batch_size"),
        ({"depth": 20}, "depth"),
        ({"momentum": 1.0}, "momentum"),
        ({"lowest_rate": 0.1, "highest_rate": 0.1}, "lowest_rate=0.1 is not below highest_rate=0.1"),
        ({"range_steps": 19}, "range_steps"),
        ({"data_parallel": True}, "data_parallel"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings, message):
    with pytest.raises(ValidationError, match=message):
        head(**settings)


def test_it_runs_on_one_worker():
    assert head().validate_workers(2) == "HeadTraining runs on one worker"


def test_the_first_weights_follow_from_the_seed_alone(context):
    def weights(which):
        return which.untrained(context, training_of(which, context)).state_dict()

    one, again, other = (weights(head(seed=seed, protocol=OWN_SPLITS, epochs=seed + 1)) for seed in (0, 0, 1))
    assert all(torch.equal(value, again[name]) for name, value in one.items())
    assert not torch.equal(one["head.weight"], other["head.weight"])


def test_the_network_has_the_settings_and_a_logit_for_each_class(context):
    which = head(depth=34, width=6, attention="blocks", shortcut="projection")
    network = which.untrained(context, training_of(which, context))
    expected = AttentionResnet(34, 2, COEFFICIENTS, width=6, attention="blocks", shortcut="projection")
    shapes = {name: value.shape for name, value in expected.state_dict().items()}
    assert {name: value.shape for name, value in network.state_dict().items()} == shapes


def test_coefficients_are_standardised_by_the_frames_of_the_training_segments(context, segments):
    which = head()
    training = training_of(which, context)
    frames = np.load(segments[FEATURES] / "features.npy")[rows_of(training)].reshape(-1, COEFFICIENTS)
    network = which.untrained(context, training)
    np.testing.assert_allclose(network.mean, frames.mean(axis=0, dtype=np.float64), rtol=1e-5)
    np.testing.assert_allclose(network.scale, frames.std(axis=0, dtype=np.float64), rtol=1e-5)


def test_whoever_does_not_train_decides_nothing(tmp_path, segments, context):
    which = head(protocol=OWN_SPLITS)
    others = write_segments(tmp_path / "others", changed=("s4", "s5", "s6", "s7"))
    assert files(finish(which, dict(segments), tmp_path / "one")) == files(finish(which, others, tmp_path / "other"))
    own = write_segments(tmp_path / "own", changed=("s0",))
    assert files(finish(which, own, tmp_path / "changed")) != files(tmp_path / "one/01")


def test_a_step_is_sgd_with_momentum_and_weight_decay_on_the_mean_cross_entropy_of_a_batch(context, segments):
    """Against the rule written out: v = momentum v + (gradient + decay w), w = w - rate v."""
    which = head(momentum=0.8, weight_decay=0.05, batch_size=5)
    training, rate = training_of(which, context), 0.02
    trained, expected = (which.untrained(context, training) for _ in range(2))
    step, steps_per_epoch = which.training_step(context, trained, which.optimizer(trained, rate), training)
    assert steps_per_epoch == len(training.truth) // 5, "what is left over is no batch"
    features = torch.from_numpy(np.load(segments[FEATURES] / "features.npy")[rows_of(training)])
    order, velocity = EpochOrder(len(features), 5, which.seed), {}
    expected.train()
    for index in range(3):
        chosen = order[index]
        loss = F.cross_entropy(expected(features[chosen]), torch.from_numpy(training.truth)[chosen])
        names, weights = zip(*expected.named_parameters(), strict=True)
        gradients = torch.autograd.grad(loss, weights)
        with torch.no_grad():
            for name, weight, gradient in zip(names, weights, gradients, strict=True):
                velocity[name] = 0.8 * velocity.get(name, 0) + gradient + 0.05 * weight
                weight -= rate * velocity[name]
        assert float(step(index)["loss"]) == pytest.approx(loss.item(), rel=1e-4)
    for name, value in trained.state_dict().items():
        torch.testing.assert_close(value, expected.state_dict()[name], rtol=1e-3, atol=2e-4)


def test_probabilities_are_the_softmax_of_each_segment_by_itself(context, segments):
    which = head(batch_size=3)
    units = which.units(context)
    network = which.untrained(context, training_of(which, context))
    network.train()  # scoring is in evaluation nevertheless
    found = which.probabilities(context, network, units)
    features = torch.from_numpy(np.load(segments[FEATURES] / "features.npy"))
    for number, row in enumerate(rows_of(units)[:7]):
        expected = network(features[row : row + 1]).softmax(dim=1)[0].detach()
        np.testing.assert_allclose(found[number], expected, atol=1e-5)
    assert found.shape == (64, 2)


def test_bfloat16_stays_near_float32(context):
    losses = []
    for precision in ("float32", "bfloat16"):
        which = head(precision=precision)
        training = training_of(which, context)
        network = which.untrained(context, training)
        step, _ = which.training_step(context, network, which.optimizer(network, 1e-3), training)
        losses.append([float(step(index)["loss"]) for index in range(3)])
    assert losses[0] != losses[1] == pytest.approx(losses[0], rel=0.1)


# The last layer.


def test_only_the_last_layer_is_trained_while_batch_norm_gathers_the_bodys_statistics(tmp_path, segments, context):
    which = head()
    before = which.untrained(context, training_of(which, context)).state_dict()
    after = AttentionResnet.load(finish(which, dict(segments), tmp_path / "chain")).state_dict()
    changed = {name for name, value in after.items() if not torch.equal(value, before[name])}
    gathered = {name for name in changed if name.split(".")[-1] in ("running_mean", "running_var", "num_batches_tracked")}
    assert changed - gathered == {"head.weight", "head.bias"}
    assert gathered == {name for name in before if "running" in name or "tracked" in name}


def test_the_loss_falls_and_its_last_value_and_the_rate_are_its_numbers(tmp_path, segments):
    context = FakeContext(tmp_path / "result", segments)
    head(epochs=6, learning_rate=0.03).run(context)
    losses = [metrics["loss"] for _, metrics in context.reports]
    assert len(losses) == 6
    assert losses[-1] < losses[0] - 0.05
    found = json.loads((tmp_path / "result/metrics.json").read_text())
    assert set(found) == {"loss", "learning_rate"}
    assert found["learning_rate"] == 0.03
    assert found["loss"] == pytest.approx(losses[-1], abs=0.3), "of the last step, not of the last epoch"


def test_the_rate_is_what_the_range_test_suggests_and_without_one_what_is_given(tmp_path, segments):
    tested, results = head(range_test=True), dict(segments)
    directory = finish(tested, results, tmp_path / "tested")
    suggested = json.loads((results[tested.rate_range()] / "metrics.json").read_text())["learning_rate"]
    assert json.loads((directory / "metrics.json").read_text())["learning_rate"] == suggested
    given = finish(head(learning_rate=suggested), dict(segments), tmp_path / "given")
    assert files(given) == files(directory)
    assert set(tested.upstream()) == {"features", "range"}
    assert set(head().upstream()) == {"features"}


def test_the_range_test_of_the_last_layer_has_the_same_network_and_division_and_its_own_rates():
    which = head(
        range_test=True,
        protocol=SPEAKERS_5_FOLD,
        fold=2,
        seed=7,
        shuffled_labels=True,
        range_steps=30,
        lowest_rate=1e-4,
        highest_rate=0.5,
    )
    expected = {name: value for name, value in which if name in LearningRateRange.model_fields}
    assert which.rate_range() == LearningRateRange(**expected, steps=30, lowest=1e-4, highest=0.5)
    assert which.rate_range().head is None


@pytest.mark.parametrize("stop_after", [1, 5, 9])
def test_an_interrupted_and_resumed_training_gives_the_same_bytes(tmp_path, segments, stop_after):
    whole = FakeContext(tmp_path / "whole", segments)
    head().run(whole)
    with pytest.raises(StopRequested):
        head().run(FakeContext(tmp_path / "cut", segments, stop_after=stop_after))
    assert files(tmp_path / "cut") == {}
    resumed = FakeContext(tmp_path / "cut", segments)
    head().run(resumed)
    assert files(tmp_path / "cut") == files(tmp_path / "whole")
    assert resumed.reports[-1] == whole.reports[-1]


def test_the_last_layer_is_rebuilt_from_its_description_and_says_what_it_learns_from():
    which = head(range_test=True, protocol=SPEAKERS_70_30, seed=3)
    assert from_config(json.loads(json.dumps(to_config(which)))) == which
    exposure = which.exposure()
    assert (exposure.features, exposure.fitted, exposure.task) == (FEATURES, "training", "depression")
    assert (exposure.normalised, exposure.selected) == ("training", "nothing")
    assert head(protocol=OWN_SPLITS).exposure().selected == "nothing", "its last epoch counts"
