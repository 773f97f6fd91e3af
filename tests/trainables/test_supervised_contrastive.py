"""Contract of trainables.supervised_contrastive and trainables.models.contrastive_learner: training."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch
from torch.nn import functional as F

from tests.trainables.contrastive_sources import (
    CONVOLVED,
    EMOTIONS,
    SIZE,
    SOURCES,
    STEPS,
    TRANSFORMER,
    UTTERANCES,
    Corpus,
    after_steps,
    context_for,
    files,
    losses,
    run,
    stage,
    trained,
    weights,
    words,
    write_frames,
    write_upstream,
)
from tests.trainables.gloo_ranks import run_on_ranks
from trainables.corpora.audio import read_audio
from trainables.emotion_batches import EmotionBatches
from trainables.errors import UserError
from trainables.losses.supcon import supcon_loss
from trainables.models.contrastive_learner import mean_cosines
from trainables.models.emotion_encoder import EmotionEncoder
from trainables.models.speech_encoder import SpeechEncoder
from trainables.speech_inputs import SpeechChunk
from trainables.stage import StopRequested


@pytest.fixture(scope="module")
def upstream(tmp_path_factory) -> Path:
    return write_upstream(tmp_path_factory.mktemp("upstream"))


# What it learns from.


def expected_batch(encoder, upstream, corpora=EMOTIONS):
    """Pooled features of the first batch, every utterance by itself, unpadded; and the batch's emotion."""
    frames, training = [], []
    for corpus in corpora:
        table = pd.read_parquet(upstream / f"{corpus}-convolved/segments.parquet")
        every = np.split(np.load(upstream / f"{corpus}-convolved/frames.npy"), table["first_frame"].to_numpy()[1:])
        frames += [frames for frames, kept in zip(every, trained(corpus), strict=True) if kept]
        training.append(words(corpus)[trained(corpus)])
    batch = EmotionBatches(training, batch_size=8, seed=0)[0]
    assert {np.concatenate(training)[place] for place in batch.positives} == {batch.emotion}
    chunks = [
        SpeechChunk(torch.tensor([0]), torch.from_numpy(frames[place])[None], torch.tensor([len(frames[place])]))
        for place in torch.cat([batch.positives, batch.negatives])
    ]
    with torch.no_grad():
        return torch.cat([encoder([chunk]) for chunk in chunks])


def test_its_first_loss_is_that_of_the_samplers_first_batch_of_training_utterances(tmp_path, upstream):
    """Worked out again by itself, from utterances that are neither padded nor numbered over all sources."""
    pooled = expected_batch(EmotionEncoder(SpeechEncoder.load(upstream / "encoder")), upstream)
    found = supcon_loss(pooled[:4], pooled[4:], temperature=0.07, alpha=0.5, margin=0.4)
    unit = pooled / pooled.norm(dim=1, keepdim=True)
    cosine = unit @ unit.T
    expected = {
        "loss": found.loss,
        "contrast": found.contrast,
        "margin": found.margin,
        "positive_cosine": np.mean([cosine[i, j] for i in range(4) for j in range(4) if i != j]),
        "negative_cosine": np.mean([cosine[i, j] for i in range(4) for j in range(4, 8)]),
    }
    context = context_for(tmp_path / "result", upstream, stop_after=1)
    with pytest.raises(StopRequested):
        stage().run(context)
    assert context.load_checkpoint()["sums"] == pytest.approx({name: float(value) for name, value in expected.items()}, rel=1e-4)


def test_only_training_utterances_are_read(tmp_path, upstream):
    """Any other, were it heard, would be heard otherwise."""
    for corpus in EMOTIONS:
        table = pd.read_parquet(upstream / f"{corpus}-convolved/segments.parquet")
        frames = np.split(np.load(upstream / f"{corpus}-convolved/frames.npy"), table["first_frame"].to_numpy()[1:])
        spoilt = [own if kept else np.zeros_like(own) for own, kept in zip(frames, trained(corpus), strict=True)]
        write_frames(tmp_path / f"{corpus}-convolved", spoilt)
    spoilt = run(stage(epochs=3), tmp_path / "spoilt", upstream, convolved=tmp_path)
    assert spoilt.reports == run(stage(epochs=3), tmp_path / "whole", upstream).reports


def test_convolved_now_or_before_gives_the_same_bytes_and_only_training_recordings_are_opened(tmp_path, upstream):
    """Other recordings are not even there."""
    encoder, generator = SpeechEncoder.load(upstream / "encoder"), np.random.default_rng(1)
    corpora = {}
    for corpus, count in UTTERANCES.items():
        folder = tmp_path / corpus
        folder.mkdir()
        corpora[corpus] = Corpus(role=corpus, name=corpus, reader="generic", root=str(folder), digest="0")
        frames = [np.zeros((1, SIZE), np.float32)] * count
        for row in np.flatnonzero(trained(corpus)):
            soundfile.write(folder / f"{row}.wav", 0.1 * generator.standard_normal(generator.integers(2000, 5000)), 16000)
            frames[row] = encoder.convolve(torch.from_numpy(read_audio(folder / f"{row}.wav"))).numpy()
        write_frames(tmp_path / f"{corpus}-convolved", frames)
    before = run(stage(), tmp_path / "before", upstream, corpora=corpora, convolved=tmp_path)
    now = run(stage(convolved=()), tmp_path / "now", upstream, corpora=corpora)
    assert now.reports == before.reports
    assert files(now.directory) == files(before.directory)


# What it learns.


def test_the_result_is_an_emotion_encoder_and_its_final_numbers(tmp_path, upstream):
    context = run(stage(epochs=2), tmp_path / "result", upstream)
    assert EmotionEncoder.load(context.directory).encoder.hidden_size == 16
    metrics = json.loads((context.directory / "metrics.json").read_text())
    numbers = {"loss", "contrast", "margin", "positive_cosine", "negative_cosine"}
    assert set(metrics) == numbers | {"training_utterances", "emotions", "emotions_too_rare"}
    assert [set(reported) for _, reported in context.reports] == [numbers | {"learning_rate"}] * 2
    assert (metrics["training_utterances"], metrics["emotions"], metrics["emotions_too_rare"]) == (49, 6, 1)


def test_it_says_which_emotions_were_too_rare_to_be_drawn(tmp_path, upstream):
    told = json.loads((run(stage(), tmp_path / "result", upstream).directory / "emotions.json").read_text())
    counts = pd.Series(np.concatenate([words(corpus)[trained(corpus)] for corpus in EMOTIONS])).value_counts()
    assert {emotion: said["utterances"] for emotion, said in told.items()} == counts.to_dict()
    assert {emotion for emotion, said in told.items() if not said["drawn"]} == {"surprised"}
    assert told["surprised"]["utterances"] < 4 <= told["fearful"]["utterances"]


def test_positives_come_together_and_negatives_apart(tmp_path, upstream):
    context = run(stage(epochs=8, learning_rate=3e-3), tmp_path / "result", upstream)
    (_, first), (_, last) = context.reports[0], context.reports[-1]
    assert last["loss"] < 0.7 * first["loss"]
    assert last["positive_cosine"] - last["negative_cosine"] > first["positive_cosine"] - first["negative_cosine"] + 0.2


def test_convolution_and_projection_stay_and_pooling_moves_faster_than_the_transformer(tmp_path, upstream):
    """Adam's first step is the learning rate, but where the gradient is about 0."""
    before = EmotionEncoder(SpeechEncoder.load(upstream / "encoder")).state_dict()
    after = after_steps(stage(learning_rate=1e-3), tmp_path / "result", upstream, 1)["learner"]
    steps = {name: (after[f"encoder.{name}"] - value).abs().flatten() for name, value in before.items()}
    moved = {name for name, step in steps.items() if step.any()}
    assert moved == {name for name in steps if name.startswith(TRANSFORMER) or name == "pooling.weight"}
    assert steps["pooling.weight"].quantile(0.5) == pytest.approx(1e-3, rel=1e-3)
    transformer = torch.cat([step for name, step in steps.items() if name.startswith(TRANSFORMER)])
    assert transformer.quantile(0.5) == pytest.approx(4e-4, rel=1e-2)
    assert transformer.max() <= 4.01e-4


def test_both_rates_are_halved_from_the_epoch_that_is_named(tmp_path, upstream):
    which = stage(epochs=5, halve_from=3, halve_every=2, batch_size=8)
    context = context_for(tmp_path / "result", upstream, stop_after=4 * STEPS + 1)
    with pytest.raises(StopRequested):
        which.run(context)
    assert [metrics["learning_rate"] for _, metrics in context.reports] == [1e-3, 1e-3, 5e-4, 5e-4]
    groups = context.load_checkpoint()["parts"]["optimizer"]["param_groups"]
    assert [group["lr"] for group in groups] == [0.25e-3, 0.4 * 0.25e-3]


def test_the_seed_controls_the_run_and_nothing_else_does(tmp_path, upstream):
    one, again = (run(stage(), tmp_path / name, upstream, encoder="dropout") for name in ("one", "again"))
    other = run(stage(seed=1), tmp_path / "other", upstream, encoder="dropout")
    assert losses(one) == losses(again) != losses(other)


def test_dropout_is_as_the_encoder_has_it(tmp_path, upstream):
    with_it, without = (run(stage(), tmp_path / name, upstream, encoder=name) for name in ("dropout", "encoder"))
    assert losses(with_it) != losses(without)


@pytest.mark.parametrize(("setting", "value"), [("temperature", 0.2), ("alpha", 0.1), ("margin", 0.0)])
def test_tau_alpha_and_m_reach_the_loss(tmp_path, upstream, setting, value):
    plain, changed = (stage(**changes) for changes in ({}, {setting: value}))
    assert losses(run(plain, tmp_path / "plain", upstream)) != losses(run(changed, tmp_path / "changed", upstream))


def test_bfloat16_stays_near_float32(tmp_path, upstream):
    half = losses(run(stage(precision="bfloat16"), tmp_path / "half", upstream))
    assert half == pytest.approx(losses(run(stage(), tmp_path / "full", upstream)), rel=0.05)


def test_one_corpus_alone_is_learnt_from(tmp_path, upstream):
    which = stage(sources=SOURCES[1:], convolved=CONVOLVED[1:])
    told = json.loads((run(which, tmp_path / "result", upstream).directory / "metrics.json").read_text())
    assert told["training_utterances"] == 25


def test_a_batch_for_which_no_emotion_has_enough_utterances_is_refused_before_training(tmp_path, upstream):
    with pytest.raises(UserError, match="need 24 training utterances of one emotion"):
        run(stage(batch_size=48), tmp_path / "result", upstream)


def test_a_loss_that_is_not_finite_is_reported_with_what_to_do(tmp_path, upstream):
    with pytest.raises(UserError, match="the loss is nan in epoch 1; lower learning_rate"):
        run(stage(learning_rate=1e30), tmp_path / "result", upstream)


def test_a_run_that_is_stopped_three_times_and_resumed_gives_the_same_bytes(tmp_path, upstream):
    which = stage(epochs=2, halve_from=2)
    whole = run(which, tmp_path / "whole", upstream, encoder="dropout")
    for stop_after in (1, STEPS - 1, 2):  # within an epoch, at its end, within the next
        with pytest.raises(StopRequested):
            run(which, tmp_path / "cut", upstream, encoder="dropout", stop_after=stop_after)
        assert not files(tmp_path / "cut")
    resumed = run(which, tmp_path / "cut", upstream, encoder="dropout")
    assert files(tmp_path / "cut") == files(tmp_path / "whole")
    assert resumed.reports[-1] == whole.reports[-1]


def test_mean_cosines_are_those_of_a_loop_over_the_pairs():
    torch.manual_seed(0)
    positives, negatives = torch.randn(5, 7), torch.randn(3, 7)
    among = [F.cosine_similarity(positives[i], positives[j], dim=0) for i in range(5) for j in range(i)]
    across = [F.cosine_similarity(positive, negative, dim=0) for positive in positives for negative in negatives]
    found = mean_cosines(positives, negatives)
    torch.testing.assert_close(found, (torch.stack(among).mean(), torch.stack(across).mean()))


# Several workers.


def train_on_rank(rank, world_size, directory, upstream):
    context = context_for(directory / f"whole-{rank}", upstream, rank=rank, world_size=world_size)
    stage().run(context)
    (context.directory / "reports.json").write_text(json.dumps(context.reports))
    context = context_for(directory / f"first-{rank}", upstream, rank=rank, world_size=world_size, stop_after=1)
    with pytest.raises(StopRequested):
        stage().run(context)


@pytest.fixture(scope="module")
def two_ranks(tmp_path_factory, upstream) -> Path:
    directory = tmp_path_factory.mktemp("two_ranks")
    run_on_ranks(train_on_rank, 2, directory, directory, upstream)
    return directory


def test_the_gradient_of_two_workers_is_that_of_one_with_the_whole_batch(tmp_path, upstream, two_ranks):
    """Adam's first moment after the first step is a tenth of it."""
    alone = after_steps(stage(), tmp_path / "alone", upstream, 1)["optimizer"]["state"]
    for rank in range(2):
        saved = torch.load(two_ranks / f"first-{rank}.checkpoint", weights_only=True)["parts"]["optimizer"]["state"]
        assert saved.keys() == alone.keys()
        for number, state in alone.items():
            torch.testing.assert_close(saved[number]["exp_avg"], state["exp_avg"], rtol=1e-4, atol=1e-6)
    assert math.fsum(float(state["exp_avg"].abs().sum()) for state in alone.values()) > 0.1


def test_the_losses_and_weights_of_two_workers_are_those_of_one(tmp_path, upstream, two_ranks):
    """But for the biases of the keys, on which attention does not depend: Adam follows what rounding leaves of their gradient."""
    alone = run(stage(), tmp_path / "alone", upstream)
    together = json.loads((two_ranks / "whole-0/reports.json").read_text())
    for (_, expected), (_, found) in zip(alone.reports, together, strict=True):
        assert found == pytest.approx(expected, rel=1e-4)
    expected, found = weights(tmp_path / "alone"), weights(two_ranks / "whole-0")
    for name in expected.keys() - {name for name in expected if name.endswith("k_proj.bias")}:
        torch.testing.assert_close(found[name], expected[name], rtol=1e-3, atol=1e-4, msg=lambda text, name=name: f"{name}: {text}")


def test_rank_0_alone_writes_the_result_and_all_ranks_report_the_same(two_ranks):
    assert files(two_ranks / "whole-1").keys() == {"reports.json"}
    assert (two_ranks / "whole-0/reports.json").read_text() == (two_ranks / "whole-1/reports.json").read_text()
