"""Contract of trainables.contrastive_pretraining and trainables.contrastive."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import torch.distributed as dist
from pydantic import ValidationError
from safetensors.torch import load_file
from torch import nn

from tests.trainables.fake_context import FakeContext
from tests.trainables.gloo_ranks import run_on_ranks
from trainables.contrastive import MomentumContrast
from trainables.contrastive_pretraining import ContrastivePretraining
from trainables.emotion_reference import EmotionReference
from trainables.errors import UserError
from trainables.identity import fingerprint
from trainables.log_mel_features import LogMelFeatures
from trainables.models.weights import load_encoder
from trainables.segment_embeddings import SegmentEmbeddings
from trainables.stage import StopRequested, from_config, to_config

SEGMENTS, FRAMES, MELS = 20, 32, 16
FEATURES = LogMelFeatures(corpus="mdd", unit="session", segment_seconds=0.32, min_seconds=0.1, mels=MELS)
EMOTION = EmotionReference(features=LogMelFeatures(corpus="mosei", unit="utterance", segment_seconds=0.32, mels=MELS))
REFERENCE = SegmentEmbeddings(encoder=EMOTION, features=FEATURES)
SMALL = {
    "features": FEATURES,
    "width": 2,
    "batch_size": 8,
    "epochs": 3,
    "iterations_per_epoch": 1,
    "mask_time_width": 6,
    "mask_mel_width": 3,
    "precision": "float32",
}


def stage(objective="reclr", **changes):
    reference = {} if objective == "simclr" else {"reference": REFERENCE}
    return ContrastivePretraining(**(SMALL | reference | {"objective": objective} | changes))


@pytest.fixture(scope="module")
def upstream(tmp_path_factory) -> Path:
    """Results of the two upstream stages: random features of 5 speakers, random references with a common offset."""
    directory = tmp_path_factory.mktemp("upstream")
    generator = np.random.default_rng(0)
    features = generator.normal(-50, 10, (SEGMENTS, FRAMES, MELS)).astype(np.float16)
    (directory / "features").mkdir()
    np.save(directory / "features/features.npy", features)
    speakers = [f"speaker {row % 5}" for row in range(SEGMENTS)]
    pd.DataFrame({"speaker": speakers}).to_parquet(directory / "features/segments.parquet")
    (directory / "reference").mkdir()
    embeddings = generator.normal(3, 1, (SEGMENTS, 6)).astype(np.float32)
    np.save(directory / "reference/embeddings.npy", embeddings)
    return directory


def context_for(directory, upstream, **changes):
    return FakeContext(directory, {FEATURES: upstream / "features", REFERENCE: upstream / "reference"}, **changes)


def run(which, directory, upstream, **changes):
    context = context_for(directory, upstream, **changes)
    which.run(context)
    return context


def losses(context):
    return [metrics["loss"] for _, metrics in context.reports]


# The defaults are the paper's.


def test_the_defaults_are_the_papers_settings():
    paper = ContrastivePretraining(features=LogMelFeatures(corpus="mdd", unit="session"), objective="simclr")
    assert (paper.epochs, paper.iterations_per_epoch, paper.batch_size, paper.learning_rate) == (200, 2000, 64, 0.1)
    assert (paper.temperature, paper.same_speaker_positives, paper.width) == (0.1, True, 64)
    assert stage("reclr").top_k == stage("coclr").top_k == 5
    assert stage("reclr").lambda_ == 0.4


def test_a_setting_left_out_and_its_default_are_one_stage():
    assert stage("reclr") == stage("reclr", lambda_=0.4, top_k=5, centred_reference=True)
    assert stage("reclr") != stage("reclr", lambda_=0.2)


@pytest.mark.parametrize("objective", ["simclr", "coclr", "reclr"])
def test_a_stage_is_rebuilt_from_its_description(objective):
    assert from_config(json.loads(json.dumps(to_config(stage(objective))))) == stage(objective)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"objective": "simclr", "lambda_": 0.4}, "'simclr' does not use lambda_"),
        ({"objective": "simclr", "top_k": 5}, "'simclr' does not use top_k"),
        ({"objective": "simclr", "reference": REFERENCE}, "'simclr' does not use reference"),
        ({"objective": "coclr", "lambda_": 0.4}, "'coclr' does not use lambda_"),
        ({"objective": "coclr", "top_k": 0}, "say objective='simclr'"),
        ({"objective": "coclr", "reference": None}, "needs reference embeddings"),
        ({"objective": "reclr", "reference": None}, "needs reference embeddings"),
        ({"objective": "reclr", "lambda_": 0.0}, "lambda_"),
        ({"objective": "reclr", "mask_mel_width": 17}, "mask_mel_width is 17, a segment has 16"),
        (
            {"objective": "reclr", "reference": SegmentEmbeddings(encoder=EMOTION, features=EMOTION.features)},
            "reference is of other segments than features: corpus, unit",
        ),
    ],
)
def test_contradictory_settings_are_refused_with_what_to_do(changes, message):
    with pytest.raises(ValidationError, match=message):
        stage(**changes)


@pytest.mark.parametrize(
    ("batch_size", "workers", "advice"),
    [(8, 1, None), (8, 2, None), (8, 4, None), (8, 3, "6 or 9"), (8, 8, "nearest is 16"), (9, 4, "8 or 12"), (4, 3, "is 6")],
)
def test_workers_must_share_the_batch_equally_with_two_segments_each(batch_size, workers, advice):
    answer = stage(batch_size=batch_size).validate_workers(workers)
    assert answer is None if advice is None else advice in answer


# Running it.


@pytest.mark.parametrize("objective", ["simclr", "coclr", "reclr"])
def test_the_result_is_a_trained_encoder_and_its_final_numbers(tmp_path, upstream, objective):
    context = run(stage(objective), tmp_path / "result", upstream)
    encoder = load_encoder(tmp_path / "result")
    assert (encoder.n_mels, encoder.width) == (MELS, 2)
    metrics = json.loads((tmp_path / "result/metrics.json").read_text())
    assert metrics["loss"] == pytest.approx(context.reports[-1][1]["loss"])
    assert set(metrics) == {"loss", "positive_cosine", "negative_cosine"}


def test_objectives_differ(tmp_path, upstream):
    first = {
        objective: losses(run(stage(objective), tmp_path / objective, upstream))[0] for objective in ("simclr", "coclr", "reclr")
    }
    assert len(set(first.values())) == 3


def test_the_learning_rate_follows_a_cosine_down_to_0(tmp_path, upstream):
    context = run(stage(epochs=4), tmp_path / "result", upstream)
    rates = [metrics["learning_rate"] for _, metrics in context.reports]
    assert rates == pytest.approx([0.1 * (1 + math.cos(math.pi * step / 4)) / 2 for step in range(4)])


def test_the_loss_falls_where_speakers_can_be_told_apart(tmp_path, upstream):
    separable = tmp_path / "separable"
    separable.mkdir()
    features = np.load(upstream / "features/features.npy").reshape(4, 5, FRAMES, MELS).copy()
    for speaker in range(5):
        features[:, speaker, :, speaker * 3 : speaker * 3 + 3] += 40
    np.save(separable / "features.npy", features.reshape(SEGMENTS, FRAMES, MELS))
    (separable / "segments.parquet").write_bytes((upstream / "features/segments.parquet").read_bytes())
    context = FakeContext(tmp_path / "result", {FEATURES: separable})
    stage("simclr", epochs=2, iterations_per_epoch=30, learning_rate=0.03, width=4).run(context)
    first, last = losses(context)
    assert last < 0.9 * first
    metrics = context.reports[-1][1]
    assert metrics["positive_cosine"] > metrics["negative_cosine"] + 0.2


def test_the_seed_controls_the_run_and_nothing_else_does(tmp_path, upstream):
    one, again = (run(stage(), tmp_path / name, upstream) for name in ("one", "again"))
    other = run(stage(seed=1), tmp_path / "other", upstream)
    assert losses(one) == losses(again) != losses(other)


def test_masks_change_the_two_views(tmp_path, upstream):
    unmasked = stage("simclr", same_speaker_positives=False, mask_time_stripes=0, mask_mel_stripes=0, epochs=1)
    cosine = run(unmasked, tmp_path / "unmasked", upstream).reports[0][1]["positive_cosine"]
    assert cosine == pytest.approx(1, abs=1e-5)
    masked = stage("simclr", same_speaker_positives=False, epochs=1)
    assert run(masked, tmp_path / "masked", upstream).reports[0][1]["positive_cosine"] < 0.9999


def test_centring_the_references_uses_the_mean_of_the_whole_corpus(tmp_path, upstream):
    centred = tmp_path / "centred"
    centred.mkdir()
    embeddings = np.load(upstream / "reference/embeddings.npy")
    np.save(centred / "embeddings.npy", embeddings - embeddings.mean(axis=0))
    context = FakeContext(tmp_path / "a", {FEATURES: upstream / "features", REFERENCE: centred})
    stage(centred_reference=False, epochs=1).run(context)
    assert losses(run(stage(epochs=1), tmp_path / "b", upstream)) == pytest.approx(losses(context), rel=1e-5)
    assert losses(run(stage(epochs=1, centred_reference=False), tmp_path / "c", upstream)) != pytest.approx(
        losses(context), rel=1e-3
    )


def test_bfloat16_stays_near_float32(tmp_path, upstream):
    half = losses(run(stage(precision="bfloat16"), tmp_path / "half", upstream))
    assert half == pytest.approx(losses(run(stage(), tmp_path / "full", upstream)), rel=0.03)


def test_a_batch_holds_no_segment_twice(tmp_path, upstream):
    batch_of = stage("simclr")._batches(context_for(tmp_path / "result", upstream))
    for step in range(12):
        assert len(batch_of(step).log_mel.unique(dim=0)) == 8


def test_a_batch_larger_than_the_corpus_is_refused_before_training(tmp_path, upstream):
    with pytest.raises(UserError, match=f"batch_size 21 is more than the {SEGMENTS} segments"):
        run(stage(batch_size=21), tmp_path / "result", upstream)


def test_references_of_another_number_of_segments_are_refused(tmp_path, upstream):
    np.save(tmp_path / "embeddings.npy", np.zeros((3, 6), np.float32))
    context = FakeContext(tmp_path / "result", {FEATURES: upstream / "features", REFERENCE: tmp_path})
    with pytest.raises(UserError, match="3 embeddings for 20 segments"):
        stage().run(context)


def test_a_loss_that_is_not_finite_is_reported_with_what_to_do(tmp_path, upstream):
    with pytest.raises(UserError, match="in epoch 2; lower learning_rate"):
        run(stage("simclr", learning_rate=1e38), tmp_path / "result", upstream)


def test_a_run_that_is_interrupted_twice_and_resumed_gives_the_same_bytes(tmp_path, upstream):
    which = stage(epochs=2, iterations_per_epoch=2)
    whole = run(which, tmp_path / "whole", upstream)
    for stop_after in (1, 1):
        with pytest.raises(StopRequested):
            run(which, tmp_path / "cut", upstream, stop_after=stop_after)
        assert not (tmp_path / "cut/encoder.safetensors").exists()
    resumed = run(which, tmp_path / "cut", upstream)
    for name in ("encoder.safetensors", "metrics.json"):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert resumed.reports[-1] == whole.reports[-1]


# Stopped at an epoch, and gone on with from there.

RUNGS = (stage().stopped(1), stage().stopped(2, stage().stopped(1)), stage().stopped(3, stage().stopped(2, stage().stopped(1))))


def climb(directory, upstream, **changes):
    """Run the stages of RUNGS one after the other; the last one's context."""
    results = {FEATURES: upstream / "features", REFERENCE: upstream / "reference"}
    directory.mkdir(exist_ok=True)
    for number, rung in enumerate(RUNGS):
        results[rung] = directory / str(number)
        context = FakeContext(results[rung], results, **changes)
        rung.run(context)
        if context.world_size > 1:
            dist.barrier()  # the next one starts when this one's result is whole
    return context


def test_gone_on_with_from_epoch_to_epoch_it_ends_in_the_bytes_of_one_that_never_stopped(tmp_path, upstream):
    whole = run(stage(), tmp_path / "whole", upstream)
    last = climb(tmp_path / "rungs", upstream)
    for name in ("encoder.safetensors", "encoder.json", "metrics.json"):
        assert (last.directory / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert last.reports == whole.reports[2:], "it trained the last epoch alone, at that epoch's learning rate"


def test_what_other_code_began_is_not_gone_on_with_but_trained_anew(tmp_path, upstream):
    whole = run(stage(), tmp_path / "whole", upstream)
    last = climb(tmp_path / "rungs", upstream, other_code=True)
    assert last.reports == whole.reports
    assert (last.directory / "encoder.safetensors").read_bytes() == (tmp_path / "whole/encoder.safetensors").read_bytes()


def test_interrupted_after_it_went_on_it_still_ends_in_the_same_bytes(tmp_path, upstream):
    two_steps = {"iterations_per_epoch": 2, "epochs": 2}
    first = stage(**two_steps).stopped(1)
    last = stage(**two_steps).stopped(2, first)
    results = {FEATURES: upstream / "features", REFERENCE: upstream / "reference", first: tmp_path / "first"}
    whole = run(stage(**two_steps), tmp_path / "whole", upstream)
    for which, name in ((first, "first"), (last, "last")):
        with pytest.raises(StopRequested):
            which.run(FakeContext(tmp_path / name, results, stop_after=1))
        which.run(FakeContext(tmp_path / name, results))
    assert (tmp_path / "last/encoder.safetensors").read_bytes() == (whole.directory / "encoder.safetensors").read_bytes()


def test_stopped_earlier_it_is_the_same_training_up_to_there(tmp_path, upstream):
    """Its schedule is not that of a shorter training."""
    whole, stopped = run(stage(), tmp_path / "whole", upstream), run(stage().stopped(2), tmp_path / "stopped", upstream)
    assert stopped.reports == whole.reports[:2]
    assert stopped.reports != run(stage(epochs=2), tmp_path / "short", upstream).reports


def test_stopped_at_its_last_epoch_it_is_not_stopped_at_all():
    assert stage().stopped(3) == stage()
    assert stage().stopped(3).last_epoch == 3
    assert stage().stopped(1).last_epoch == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stop_epoch": 3}, "stop_epoch is 3 of 3 epochs"),
        ({"resume": stage(seed=1).stopped(1)}, "resume is another pretraining: seed differ"),
        ({"resume": stage().stopped(2), "stop_epoch": 1}, "resume stops at epoch 2, this stage at 1"),
        ({"resume": stage()}, "resume stops at epoch 3, this stage at 3"),
    ],
)
def test_what_it_goes_on_with_must_be_itself_and_stop_earlier(changes, message):
    with pytest.raises(ValidationError, match=message):
        stage(**changes)


def test_how_it_got_there_is_no_part_of_its_identity_and_how_far_is():
    digests = {"mdd": "m", "mosei": "e"}
    assert fingerprint(RUNGS[2], digests) == fingerprint(stage(), digests)
    assert fingerprint(RUNGS[1], digests) == fingerprint(stage().stopped(2), digests)
    assert len({fingerprint(rung, digests) for rung in RUNGS}) == 3


# The momentum encoder.


def test_the_key_encoder_moves_by_one_minus_momentum_towards_the_query_encoder():
    torch.manual_seed(0)
    settings = {"lambda_": 0.0, "top_k": 0, "temperature": 0.1, "same_speaker_positives": True}
    learner = MomentumContrast(nn.Linear(3, 2), momentum=0.9, **settings)
    before = learner.key.weight.clone()
    with torch.no_grad():
        learner.query.weight.add_(torch.randn(2, 3))
    learner.update_key()
    torch.testing.assert_close(learner.key.weight, 0.9 * before + 0.1 * learner.query.weight)
    assert not learner.key.weight.requires_grad


# Several workers.

OBJECTIVES = ("simclr", "reclr")


def pretrain_on_rank(rank, world_size, directory, upstream):
    for objective in OBJECTIVES:
        context = context_for(directory / f"{objective}-{rank}", upstream, rank=rank, world_size=world_size)
        stage(objective).run(context)
        (context.directory / "reports.json").write_text(json.dumps(context.reports))
    climb(directory / "rungs", upstream, rank=rank, world_size=world_size)


@pytest.fixture(scope="module")
def two_ranks(tmp_path_factory, upstream) -> Path:
    directory = tmp_path_factory.mktemp("two_ranks")
    run_on_ranks(pretrain_on_rank, 2, directory, directory, upstream)
    return directory


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_two_workers_equal_one_with_the_whole_batch(tmp_path, upstream, two_ranks, objective):
    """In the losses of three steps, and in the encoder after them, batch norm's running statistics included."""
    alone = run(stage(objective), tmp_path / "alone", upstream)
    together = json.loads((two_ranks / f"{objective}-0/reports.json").read_text())
    for (_, expected), (_, found) in zip(alone.reports, together, strict=True):
        assert found == pytest.approx(expected, rel=1e-5)
    expected = load_file(tmp_path / "alone/encoder.safetensors")
    found = load_file(two_ranks / f"{objective}-0/encoder.safetensors")
    assert expected.keys() == found.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-4, atol=1e-5, msg=lambda text, name=name: f"{name}: {text}")


def test_two_workers_go_on_from_epoch_to_epoch_as_if_they_had_never_stopped(two_ranks):
    never, stopped = (two_ranks / name / "encoder.safetensors" for name in ("reclr-0", "rungs/2"))
    assert stopped.read_bytes() == never.read_bytes()


def test_rank_0_alone_writes_the_result(two_ranks):
    assert not (two_ranks / "reclr-1/encoder.safetensors").exists()
    assert not (two_ranks / "reclr-1/metrics.json").exists()
