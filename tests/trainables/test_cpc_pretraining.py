"""Contract of trainables/cpc_pretraining.py."""

import json
from typing import get_args

import numpy as np
import pandas as pd
import pytest
import torch
from pydantic import ValidationError

from tests.trainables.fake_context import FakeContext
from tests.trainables.gloo_ranks import run_on_ranks
from tests.trainables.leakage.manifests import utterances
from trainables.chance import ChanceClassifier
from trainables.cpc_pretraining import CpcPretraining, NegativeSource
from trainables.errors import UserError
from trainables.features import frames as frames_module
from trainables.features.frames import FrameTable
from trainables.filterbank_features import FilterbankFeatures
from trainables.leakage.chain import ChainAudit
from trainables.leakage.corpus import AuditedCorpus
from trainables.models.cpc import CpcNetwork
from trainables.protocols.catalogue import SPEAKERS_5_FOLD
from trainables.stage import StopRequested, from_config, to_config
from trainables.training_set import TrainingSet
from trainables.utterances import Utterances

MELS = 6
FRAMES = FilterbankFeatures(corpus="iemocap", unit="utterance", deltas=False, mels=MELS)
TRAINING = TrainingSet(utterances=Utterances(corpus="iemocap"), task="emotion4", protocol=SPEAKERS_5_FOLD)
TRAINS = (1, 2, 4, 5, 7, 8, 10, 11)
"""Rows of the training set."""
LENGTHS = np.array([3, 60, 30, 12, 45, 4, 25, 33, 18, 21, 64, 9])
"""Of the utterances; the first is too short."""
SMALL = {"size": 8, "encoder_layers": 1, "prediction_steps": 3, "negatives": 10, "chunk_frames": 16}
SMALL |= {"batch_size": 4, "epochs": 2, "learning_rate": 5e-3, "precision": "float32"}
FILES = ("cpc.safetensors", "cpc.json", "metrics.json")


def stage(**changes):
    return CpcPretraining(frames=FRAMES, **(SMALL | changes))


def write_upstream(folder, changed=()):
    """Frames that go round in a circle, a place in it for each value, at each utterance's own pace; of ``changed`` other ones."""
    for name in ("", "frames", "training"):
        (folder / name).mkdir()
    random, found = np.random.default_rng(0), []
    for row, length in enumerate(LENGTHS):
        turn = (np.arange(length) * (1 + row % 3) / 12 + random.random())[:, None] + np.arange(MELS) / MELS
        frames = -8 + 2 * np.arange(1, MELS + 1) * np.sin(2 * np.pi * turn) + random.normal(0, 0.1, (length, MELS))
        found.append(frames if row not in changed else 7 - frames**2)
    np.save(folder / "frames/frames.npy", np.concatenate(found).astype(np.float16))
    placed = pd.DataFrame({"first_frame": LENGTHS.cumsum() - LENGTHS, "frames": LENGTHS})
    placed.to_parquet(folder / "frames/segments.parquet", index=False)
    pd.DataFrame({"row": TRAINS}).to_parquet(folder / "training/training.parquet", index=False)
    return folder


@pytest.fixture(scope="module")
def upstream(tmp_path_factory):
    return write_upstream(tmp_path_factory.mktemp("cpc") / "upstream")


def run(which, directory, upstream, **changes):
    context = FakeContext(directory, {FRAMES: upstream / "frames", TRAINING: upstream / "training"}, **changes)
    which.run(context)
    return context


def curve(context, name="loss"):
    return [metrics[name] for _, metrics in context.reports]


def numbers(directory):
    return json.loads((directory / "metrics.json").read_text())


def weights(directory):
    return CpcNetwork.load(directory).state_dict()


def same(one, other):
    return all((one / name).read_bytes() == (other / name).read_bytes() for name in FILES)


def frames_of(upstream, rows):
    turns = np.split(np.load(upstream / "frames/frames.npy").astype(np.float64), LENGTHS.cumsum()[:-1])
    return np.concatenate([turns[row] for row in rows])


def test_the_defaults_are_the_settings_of_the_field():
    default = CpcPretraining(frames=FRAMES)
    # van den Oord et al. 2018, section 3.1: 12 steps, 20480 samples, 8 GPUs with 8 chunks each, Adam with 2e-4
    hop = default.frames.hop
    oord = (default.prediction_steps, default.chunk_frames * hop, default.batch_size, default.learning_rate)
    assert oord == (12, 20480, 8 * 8, 2e-4)
    assert default.negatives_from == "batch"
    # facebookresearch/CPC_audio, cpc_default_config.py: hiddenEncoder, hiddenGar, negativeSamplingExt
    assert (default.size, default.negatives) == (256, 128)


def test_a_stage_is_rebuilt_from_its_description():
    for which in (stage(), stage(within=TRAINING, share=0.5)):
        assert from_config(json.loads(json.dumps(to_config(which)))) == which


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"prediction_steps": 16}, "a chunk of 16 frames has none to predict 16 steps ahead; raise chunk_frames or lower"),
        ({"negatives_from": "others", "batch_size": 1}, "needs another chunk in the batch; give a batch_size of at least 2"),
        (
            {"within": TRAINING.with_upstream({"utterances": Utterances(corpus="casia")})},
            "within divides casia, frames are of iemocap",
        ),
        ({"within": TRAINING, "frames": FRAMES.with_upstream({}, unit="session")}, "give frames of utterances"),
        ({"share": 0.0}, "share"),
    ],
)
def test_settings_that_do_not_fit_are_refused_with_what_to_do(settings, message):
    with pytest.raises(ValidationError, match=message):
        CpcPretraining(**({"frames": FRAMES} | SMALL | settings))


def test_workers_must_share_the_batch_equally():
    assert [stage().validate_workers(workers) for workers in (1, 2, 4)] == [None] * 3
    assert stage().validate_workers(3) == "batch_size 4 cannot be divided among 3 workers; give a multiple of 3"


def test_the_result_is_a_network_that_was_trained_wholly_and_its_final_numbers(tmp_path, upstream):
    context = run(stage(), tmp_path / "result", upstream)
    run(stage(epochs=0), tmp_path / "before", upstream)
    after = weights(tmp_path / "result")
    before = weights(tmp_path / "before")
    assert sorted(name for name, value in before.items() if torch.equal(value, after[name])) == ["mean", "scale"]
    reported = {"loss", "accuracy", "accuracy_first_step", "accuracy_last_step"}
    assert [set(report) for _, report in context.reports] == [reported | {"learning_rate"}] * 2
    found = numbers(tmp_path / "result")
    assert set(found) == reported | {"utterances", "too_short", "hours"}
    assert (found["utterances"], found["too_short"]) == (len(LENGTHS) - 1, 1)
    assert found["hours"] == pytest.approx(LENGTHS[1:].sum() / 100 / 3600)


def test_it_learns_to_tell_what_follows_from_what_does_not(tmp_path, upstream):
    context = run(stage(epochs=25), tmp_path / "result", upstream)
    chance = 1 / (1 + SMALL["negatives"])
    assert curve(context)[-1] < 0.75 * curve(context)[0]
    assert curve(context, "accuracy")[-1] > chance + 0.25
    assert curve(context, "accuracy_first_step")[-1] > curve(context, "accuracy_last_step")[-1] > chance + 0.1


def test_no_epoch_gives_the_network_that_training_begins_with(tmp_path, upstream):
    context = run(stage(epochs=0), tmp_path / "random", upstream)
    run(stage(epochs=1, learning_rate=1e-30), tmp_path / "still", upstream)
    one, other = weights(tmp_path / "random"), weights(tmp_path / "still")
    for name, value in one.items():
        torch.testing.assert_close(other[name], value, rtol=0, atol=1e-20)
    assert context.reports == []
    assert set(numbers(tmp_path / "random")) == {"utterances", "too_short", "hours"}
    run(stage(epochs=0, seed=1), tmp_path / "other", upstream)
    assert not torch.equal(one["predictors.weight"], weights(tmp_path / "other")["predictors.weight"])


@pytest.mark.parametrize("block", [32768, 7])
def test_frames_are_standardised_by_all_frames_that_are_heard(tmp_path, upstream, monkeypatch, block):
    monkeypatch.setattr(frames_module, "_BLOCK", block)
    for which, rows in ((stage(epochs=0), range(1, len(LENGTHS))), (stage(epochs=0, within=TRAINING), TRAINS)):
        run(which, tmp_path / "result", upstream)
        found, frames = weights(tmp_path / "result"), frames_of(upstream, rows)
        np.testing.assert_allclose(found["mean"], frames.mean(axis=0), rtol=1e-5)
        np.testing.assert_allclose(found["scale"], frames.std(axis=0), rtol=1e-5)


def test_a_value_that_is_constant_is_not_blown_up(tmp_path):
    upstream = write_upstream(tmp_path / "upstream")
    frames = np.load(upstream / "frames/frames.npy")
    frames[:, 2] = 0.1
    np.save(upstream / "frames/frames.npy", frames)
    run(stage(epochs=0), tmp_path / "result", upstream)
    assert weights(tmp_path / "result")["scale"][2] == 1


def test_the_seed_controls_the_run_and_nothing_else_does(tmp_path, upstream):
    one, again, other = (
        run(stage(seed=seed), tmp_path / name, upstream) for name, seed in (("one", 0), ("again", 0), ("other", 1))
    )
    assert curve(one) == curve(again) != curve(other)


def test_a_run_that_is_interrupted_twice_and_resumed_gives_the_same_bytes(tmp_path, upstream):
    whole = run(stage(), tmp_path / "whole", upstream)
    for stop_after in (1, 6):
        with pytest.raises(StopRequested):
            run(stage(), tmp_path / "cut", upstream, stop_after=stop_after)
        assert not (tmp_path / "cut/cpc.safetensors").exists()
    resumed = run(stage(), tmp_path / "cut", upstream)
    assert same(tmp_path / "cut", tmp_path / "whole")
    assert resumed.reports[-1] == whole.reports[-1]


def test_two_workers_train_what_one_does(tmp_path, upstream, monkeypatch):
    """Wherever negatives are from; chunks have several lengths, so that a worker's own can be shorter than the batch's longest."""
    monkeypatch.setattr(torch.optim, "Adam", torch.optim.SGD)  # Adam takes the same steps where gradients are of a wrong scale
    run_on_ranks(_one_of_two, 2, tmp_path, tmp_path, upstream)
    for source in get_args(NegativeSource):
        one = run(stage(negatives_from=source, **DESCENT), tmp_path / f"one {source}", upstream)
        curves = [json.loads((tmp_path / f"{source} {rank}.json").read_text()) for rank in (0, 1)]
        assert curves[0] == curves[1]
        assert curves[0]["loss"] == pytest.approx(curve(one), rel=1e-5)
        # Chunks of one utterance may overlap: a query whose negative is its positive's twin is right or wrong by rounding.
        assert curves[0]["accuracy"] == pytest.approx(curve(one, "accuracy"), abs=5e-3)
        before, expected = first_weights(tmp_path, upstream), weights(tmp_path / f"one {source}")
        for name, value in weights(tmp_path / f"two {source}").items():
            torch.testing.assert_close(value, expected[name], rtol=1e-4, atol=1e-5)
            assert name in ("mean", "scale") or (value - before[name]).abs().max() > 1e-3


DESCENT = {"learning_rate": 0.1}


def first_weights(tmp_path, upstream):
    run(stage(epochs=0), tmp_path / "first", upstream)
    return weights(tmp_path / "first")


def _one_of_two(rank, world_size, folder, upstream):
    torch.optim.Adam = torch.optim.SGD  # this process ends with this function
    for source in get_args(NegativeSource):
        which = stage(negatives_from=source, **DESCENT)
        context = run(which, folder / f"two {source}", upstream, rank=rank, world_size=world_size)
        curves = {name: curve(context, name) for name in ("loss", "accuracy")}
        (folder / f"{source} {rank}.json").write_text(json.dumps(curves))


def test_where_negatives_are_from_makes_a_difference(tmp_path, upstream):
    found = [run(stage(negatives_from=source), tmp_path / source, upstream) for source in get_args(NegativeSource)]
    assert len({curve(context)[0] for context in found}) == 3


def test_bfloat16_stays_near_float32(tmp_path, upstream):
    half, full = (run(stage(precision=name), tmp_path / name, upstream) for name in ("bfloat16", "float32"))
    assert curve(half) == pytest.approx(curve(full), rel=0.05)


def test_within_a_training_set_other_utterances_decide_nothing_and_its_own_do(tmp_path, upstream):
    which = stage(within=TRAINING)
    context = run(which, tmp_path / "before", upstream)
    others = write_upstream(tmp_path / "others", changed=set(range(len(LENGTHS))) - set(TRAINS))
    again = run(which, tmp_path / "after", others)
    assert again.reports == context.reports
    assert same(tmp_path / "before", tmp_path / "after")
    assert numbers(tmp_path / "before")["utterances"] == len(TRAINS)
    own = write_upstream(tmp_path / "own", changed=TRAINS[:1])
    assert run(which, tmp_path / "changed", own).reports != context.reports


class ScoredOnTop(ChanceClassifier):
    """A stage that is scored above a pretrained network."""

    network: CpcPretraining


def test_the_audit_states_that_all_speakers_were_heard_and_finds_nothing_within_the_training_set_of_the_scored_fold():
    audit = ChainAudit({role: AuditedCorpus(role, utterances(splits=False)) for role in ("iemocap", "librispeech")})

    def found(**settings):
        settings = {"frames": FRAMES} | settings
        target = {
            "features": Utterances(corpus="iemocap"),
            "strategy": "most_frequent",
            "task": "emotion4",
            "protocol": SPEAKERS_5_FOLD,
        }
        leaks = audit.find(ScoredOnTop(network=CpcPretraining(**settings), **target))
        return {(leak.kind, leak.severity) for leak in leaks}

    assert found() == {("pretraining on test speakers", "stated"), ("normalisation", "stated")}
    assert found(within=TRAINING) == set()
    assert found(within=TRAINING.with_upstream({}, fold=1)) == {("supervised on test speakers", "leak")}


def test_what_it_declares_to_learn_from():
    exposure = stage().exposure()
    assert (exposure.features, exposure.fitted, exposure.normalised, exposure.task) == (FRAMES, "all", "all", None)
    within = stage(within=TRAINING)
    assert (within.exposure().fitted, within.exposure().normalised) == ("nothing", "nothing")
    assert TRAINING in within.chain()  # which declares whom it hears


def test_smaller_shares_are_parts_of_larger_ones_and_are_trained_for_as_many_steps(tmp_path, upstream):
    heard, steps = [], []
    for share in (0.3, 0.6, 1.0):
        which = stage(share=share)
        chunks, steps_per_epoch = which._chunks(FakeContext(tmp_path / "none", {}), FrameTable(upstream / "frames"))
        heard.append(set(chunks.rows.tolist()))
        steps.append(steps_per_epoch)
        assert chunks.utterances + chunks.too_short == round(share * len(LENGTHS))
    assert heard[0] < heard[1] < heard[2] == set(range(1, len(LENGTHS)))
    assert steps == [steps[-1]] * 3
    context = run(stage(share=0.6), tmp_path / "result", upstream)
    found = numbers(tmp_path / "result")
    assert [epoch for epoch, _ in context.reports] == [0, 1]
    assert found["hours"] == pytest.approx(LENGTHS[sorted(heard[1])].sum() / 100 / 3600)


def test_what_a_share_leaves_out_decides_nothing(tmp_path, upstream):
    which = stage(share=0.6)
    chunks, _ = which._chunks(FakeContext(tmp_path / "none", {}), FrameTable(upstream / "frames"))
    run(which, tmp_path / "before", upstream)
    run(
        which, tmp_path / "after", write_upstream(tmp_path / "others", changed=set(range(len(LENGTHS))) - set(chunks.rows.tolist()))
    )
    assert same(tmp_path / "before", tmp_path / "after")


def test_too_little_speech_for_a_batch_is_refused_with_what_to_do(tmp_path, upstream):
    with pytest.raises(
        UserError, match=r"iemocap: batch_size 64 is more than the .*lower batch_size or chunk_frames, or let more speech be heard"
    ):
        run(stage(batch_size=64), tmp_path / "result", upstream)


def test_a_share_with_fewer_chunks_than_a_batch_is_trained_for_as_many_steps_as_the_whole(tmp_path, upstream):
    whole, little = (run(stage(share=share), tmp_path / f"{share}", upstream) for share in (1.0, 0.05))
    assert [step for step, _ in little.reports] == [step for step, _ in whole.reports]
    assert numbers(tmp_path / "0.05")["utterances"] == 1
    assert np.isfinite(numbers(tmp_path / "0.05")["loss"])


def test_a_loss_that_is_not_finite_is_reported_with_what_to_do(tmp_path, upstream):
    with pytest.raises(UserError, match="in epoch 1; lower learning_rate"):
        run(stage(learning_rate=1e30), tmp_path / "result", upstream)
