"""FT, the baseline: encoder, pooling and classifier trained together, the convolution and the projection fixed."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from pydantic import ValidationError
from torch.nn import functional as F

from tests.trainables.gloo_ranks import run_on_ranks
from tests.trainables.spoken_emotions import CONVOLVED, ENCODER, ONE_SESSION_OUT, UTTERANCES, Context, frames_of, write_upstream
from trainables.convolutional_features import ConvolutionalFeatures
from trainables.direct_fine_tuning import DirectFineTuning
from trainables.errors import UserError
from trainables.leakage.exposure import Exposure
from trainables.models.emotion_encoder import EmotionEncoder
from trainables.models.speech_classifier import classification_layers
from trainables.models.speech_encoder import SpeechEncoder
from trainables.numerics import seeded
from trainables.protocols import divide
from trainables.protocols.catalogue import OWN_SPLITS
from trainables.stage import StopRequested, from_config, to_config
from trainables.tasks import TASKS
from trainables.training import EpochOrder
from trainables.units import read_units
from trainables.utterances import Utterances

SMALL = {"epochs": 3, "batch_size": 8, "learning_rate": 3e-3, "decay_from": 2, "decay_every": 1, "precision": "float32"}


def stage(**settings):
    given = {"encoder": ENCODER, "utterances": UTTERANCES, "task": "emotion4", "protocol": ONE_SESSION_OUT, "convolved": CONVOLVED}
    return DirectFineTuning(**{**given, **SMALL, **settings})


@pytest.fixture(scope="module")
def still(tmp_path_factory):
    """Without dropout."""
    return write_upstream(tmp_path_factory.mktemp("still"))


@pytest.fixture(scope="module")
def noisy(tmp_path_factory):
    """With dropout."""
    return write_upstream(tmp_path_factory.mktemp("noisy"), dropout=True)


def run(which, upstream, directory, **changes):
    context = Context(directory, upstream, **changes)
    which.run(context)
    return context


def probabilities(directory):
    return pd.read_parquet(directory / "predictions.parquet")[["p0", "p1", "p2", "p3"]].to_numpy()


def test_the_settings_are_the_papers():
    paper = DirectFineTuning(encoder=ENCODER, utterances=UTTERANCES, task="emotion4", protocol=ONE_SESSION_OUT)
    assert (paper.epochs, paper.batch_size, paper.learning_rate, paper.encoder_rate) == (50, 32, 1e-3, 0.4)
    assert (paper.decay_from, paper.decay_every, paper.decay) == (21, 20, 0.2), "0.2 times every 20 epochs"


def test_the_transformer_is_trained_at_a_share_of_the_rate_with_pooling_and_classifier_and_nothing_else_is(tmp_path, still):
    """Against a loop that takes every utterance alone."""
    run(stage(seed=3, encoder_rate=0.25), still, tmp_path / "result")
    sets = divide(read_units(still[UTTERANCES], TASKS["emotion4"]), ONE_SESSION_OUT, 3)
    encoder = SpeechEncoder.load(still[ENCODER])
    torch.manual_seed(seeded(3, "initialisation"))
    model, layers = EmotionEncoder(encoder), classification_layers(16, 4)
    whole = encoder.model.encoder.parameters()
    optimizer = torch.optim.Adam([{"params": [*whole]}, {"params": [model.pooling.weight, *layers.parameters()]}])

    def logits(rows):
        found = []
        for row in rows:
            frames = frames_of(still, row)
            hidden = encoder(frames, torch.tensor([frames.shape[1]]))[0]
            found.append(layers((hidden @ model.pooling.weight).softmax(dim=0) @ hidden))
        return torch.stack(found)

    rows = {name: np.concatenate(part.segments) for name, part in sets.items()}
    order = EpochOrder(len(rows["train"]), 8, 3)
    for step in range(3 * order.steps_per_epoch):
        rate = 3e-3 * 0.2 ** (step // order.steps_per_epoch)
        optimizer.param_groups[0]["lr"], optimizer.param_groups[1]["lr"] = 0.25 * rate, rate
        batch = order[step].numpy()
        loss = F.cross_entropy(logits(rows["train"][batch]), torch.from_numpy(sets["train"].truth[batch]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    expected = logits(rows["test"]).softmax(dim=1).detach().numpy()
    assert probabilities(tmp_path / "result") == pytest.approx(expected, abs=1e-3)
    untrained = SpeechEncoder.load(still[ENCODER])
    changed = {
        name.split(".")[1]
        for (name, before), after in zip(untrained.named_parameters(), encoder.parameters(), strict=True)
        if not torch.equal(before, after)
    }
    assert changed == {"encoder"}, "or the loop above would have trained more than the Transformer"


def test_it_learns_emotions_of_unseen_speakers_and_keeps_predictions_alone(tmp_path, noisy):
    run(stage(epochs=15, decay_from=16), noisy, tmp_path / "result")
    assert json.loads((tmp_path / "result/metrics.json").read_text())["uar"] > 0.5, "four classes"
    assert sorted(path.name for path in (tmp_path / "result").iterdir()) == ["metrics.json", "predictions.parquet"]


def test_with_a_development_set_the_best_epoch_counts_and_its_scores_stand_beside(tmp_path, noisy):
    settings = {"protocol": OWN_SPLITS, "decay_from": 99}
    context = run(stage(epochs=6, **settings), noisy, tmp_path / "long")
    curve = [metrics["dev_f1_macro"] for _, metrics in context.reports]
    best = curve.index(max(curve))
    assert best < 5, "or this test could not tell the best epoch from the last"
    run(stage(epochs=best + 1, **settings), noisy, tmp_path / "short")
    for name in ("predictions.parquet", "predictions_dev.parquet", "metrics.json"):
        assert (tmp_path / "long" / name).read_bytes() == (tmp_path / "short" / name).read_bytes(), name


@pytest.mark.parametrize("protocol", [ONE_SESSION_OUT, OWN_SPLITS], ids=lambda protocol: protocol.name)
def test_an_interrupted_and_resumed_run_gives_the_same_bytes(tmp_path, noisy, protocol):
    which = stage(protocol=protocol)
    whole = run(which, noisy, tmp_path / "whole")
    with pytest.raises(StopRequested):
        run(which, noisy, tmp_path / "cut", stop_after=4)
    resumed = run(which, noisy, tmp_path / "cut")
    assert resumed.reports[-1] == whole.reports[-1]
    names = sorted(path.name for path in (tmp_path / "whole").iterdir())
    for name in names:
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name


def test_the_seed_controls_the_run_and_nothing_else_does(tmp_path, noisy):
    for name, seed in (("one", 0), ("again", 0), ("other", 1)):
        run(stage(seed=seed), noisy, tmp_path / name)
    assert (probabilities(tmp_path / "one") == probabilities(tmp_path / "again")).all()
    assert (probabilities(tmp_path / "one") != probabilities(tmp_path / "other")).any()


def test_bfloat16_stays_near_float32(tmp_path, still):
    for precision in ("float32", "bfloat16"):
        run(stage(precision=precision, epochs=1), still, tmp_path / precision)
    full, half = probabilities(tmp_path / "float32"), probabilities(tmp_path / "bfloat16")
    assert half == pytest.approx(full, abs=0.05)
    assert (half != full).any()


# Several workers.

SHARED = stage(protocol=OWN_SPLITS, batch_size=7)


def train_on_one_of(rank, world_size, upstream, directory):
    context = run(SHARED, upstream, directory / f"rank{rank}", rank=rank, world_size=world_size)
    (directory / f"reports{rank}.json").write_text(json.dumps(context.reports))


def test_two_workers_with_unequal_shares_learn_what_one_learns(tmp_path, still):
    alone = run(SHARED, still, tmp_path / "alone")
    run_on_ranks(train_on_one_of, 2, tmp_path, still, tmp_path)
    for name in ("predictions", "predictions_dev"):
        one, two = (pd.read_parquet(tmp_path / place / f"{name}.parquet") for place in ("alone", "rank0"))
        pd.testing.assert_frame_equal(one, two, rtol=1e-3, atol=1e-4)
    first, second = (json.loads((tmp_path / f"reports{rank}.json").read_text()) for rank in range(2))
    assert first == second
    assert [metrics["loss"] for _, metrics in first] == pytest.approx([metrics["loss"] for _, metrics in alone.reports], rel=1e-4)
    assert not any((tmp_path / "rank1").iterdir())


def test_every_worker_needs_an_utterance_of_each_batch(tmp_path, still):
    assert stage(batch_size=8).validate_workers(8) is None
    assert "batch_size 8 leaves some of 9 workers" in stage(batch_size=8).validate_workers(9)
    with pytest.raises(UserError, match=r"\d\d training utterances are too few for 64 workers"):
        run(stage(batch_size=64), still, tmp_path / "result", world_size=64)


# What it is made of.


def test_convolved_features_are_of_its_own_encoder_and_utterances():
    for other in (
        ConvolutionalFeatures(encoder=ENCODER, utterances=Utterances(corpus="casia")),
        ConvolutionalFeatures(encoder=ENCODER.model_copy(update={"seed": 1}), utterances=UTTERANCES),
    ):
        with pytest.raises(ValidationError, match="convolved is of another encoder or of other utterances"):
            stage(convolved=other)


def test_it_says_what_it_learns_from_and_how_often_it_would_convolve():
    assert stage().exposure() == Exposure(UTTERANCES, "training", "emotion4")
    assert stage(inner=0).exposure().selected == stage(protocol=OWN_SPLITS).exposure().selected == "dev"
    assert stage(convolved=None).repeated() == {"convolved": (CONVOLVED, 4)}, "in each of 3 epochs, and for the scores"
    assert stage().repeated() == {}
    assert from_config(json.loads(json.dumps(to_config(stage())))) == stage()
