"""Contract of trainables/masked_pretraining.py."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch
from pydantic import ValidationError

from tests.tiny_speech_encoders import write_tiny_encoder
from tests.trainables.fake_context import FakeContext
from tests.trainables.gloo_ranks import run_on_ranks
from trainables.corpora.corpus import CorpusSource
from trainables.errors import UserError
from trainables.initial_encoder import InitialEncoder
from trainables.masked_pretraining import MaskedPretraining
from trainables.models.speech_encoder import SpeechEncoder
from trainables.stage import StopRequested, from_config, to_config
from trainables.utterances import Utterances

RATE, UTTERANCES = 16000, 12
INITIAL = InitialEncoder(architecture="hubert", weights="random", layers=2, hidden_size=16, heads=2)
UNLABELLED = Utterances(corpus="librispeech")
SMALL = {"clusters": 4, "epochs": 2, "crop_seconds": 0.5, "batch_size": 6, "precision": "float32"}
FILES = ("speech_encoder/config.json", "speech_encoder/model.safetensors", "metrics.json")


def stage(**changes):
    return MaskedPretraining(initial=INITIAL, utterances=UNLABELLED, **(SMALL | changes))


class CorpusContext(FakeContext):
    """With one corpus, whose files are as they were planned."""

    def corpus(self, role):
        return _Unchanged(role=role, name=role, reader="generic", root=str(self.directory.parent / "upstream/audio"), digest="0")


class _Unchanged(CorpusSource):
    def verify(self):
        pass


def write_upstream(folder: Path, **settings) -> None:
    """Results of the two upstream stages: a tiny encoder without dropout, and utterances of one of three tones each."""
    silent = {name: 0.0 for name in ("hidden_dropout", "attention_dropout", "activation_dropout", "feat_proj_dropout")}
    SpeechEncoder.load(write_tiny_encoder(folder / "drawn", "hubert", **(silent | settings))).save(folder / "initial")
    (folder / "audio").mkdir()
    (folder / "utterances").mkdir()
    random, rows = np.random.default_rng(0), []
    for number in range(UTTERANCES):
        seconds = 0.3 if number == 0 else 0.45 if number == 1 else 0.9
        time = np.arange(int(seconds * RATE)) / RATE
        sound = 0.2 * np.sin(2 * np.pi * 300 * 3 ** (number % 3) * time) + random.normal(0, 0.01, len(time))
        soundfile.write(folder / f"audio/u{number}.wav", sound, RATE)
        rows.append({"recording": f"u{number}.wav", "start": 0.0, "end": seconds, "seconds": seconds})
    pd.DataFrame(rows).to_parquet(folder / "utterances/segments.parquet")


@pytest.fixture
def upstream(tmp_path):
    write_upstream(tmp_path / "upstream")
    return tmp_path / "upstream"


def run(which, directory, **changes):
    folder = directory.parent / "upstream"
    results = {which.initial: folder / "initial", which.utterances: folder / "utterances"}
    context = CorpusContext(directory, results, **changes)
    which.run(context)
    return context


def curve(context, name="loss"):
    return [metrics[name] for _, metrics in context.reports]


def test_the_defaults_are_huberts_settings():
    default = MaskedPretraining(initial=INITIAL, utterances=UNLABELLED)
    assert (default.clusters, default.mask_span, default.mask_probability) == (100, 10, 0.08)
    assert default.warm_up == 0.08


def test_a_stage_is_rebuilt_from_its_description():
    assert from_config(json.loads(json.dumps(to_config(stage())))) == stage()


def test_crops_without_room_for_two_masked_spans_are_refused_with_what_to_do():
    with pytest.raises(ValidationError, match=r"a crop of 0\.4 s has 19 frames.*raise crop_seconds or lower mask_span"):
        stage(crop_seconds=0.4)


def test_workers_must_share_the_batch_equally():
    assert [stage().validate_workers(workers) for workers in (1, 2, 3, 6)] == [None] * 4
    assert "a multiple of 4" in stage().validate_workers(4)


def test_what_it_learns_is_the_sound_of_all_utterances_and_no_label():
    exposure = stage().exposure()
    assert (exposure.features, exposure.fitted, exposure.task) == (UNLABELLED, "all", None)


def test_the_result_is_an_encoder_that_was_trained_wholly_and_its_final_numbers(tmp_path, upstream):
    context = run(stage(), tmp_path / "result")
    before, after = SpeechEncoder.load(upstream / "initial"), SpeechEncoder.load(tmp_path / "result")
    assert after.model.config.conv_dim == before.model.config.conv_dim
    trained = dict(after.model.named_parameters())
    assert [name for name, value in before.model.named_parameters() if torch.equal(value, trained[name])] == []
    metrics = json.loads((tmp_path / "result/metrics.json").read_text())
    assert set(metrics) == {"loss", "masked_accuracy", "commonest_unit", "utterances", "too_short"}
    assert (metrics["utterances"], metrics["too_short"]) == (UTTERANCES - 1, 1)
    assert 0 <= metrics["masked_accuracy"] <= 1
    assert 1 / 4 <= metrics["commonest_unit"] <= 1
    assert [set(report) for _, report in context.reports] == [{"loss", "masked_accuracy", "learning_rate"}] * 2


@pytest.mark.parametrize("normalised", [False, True])
def test_the_encoder_hears_and_goes_on_to_hear_normalised_sound_if_its_initial_weights_do(tmp_path, normalised):
    write_upstream(tmp_path / "upstream", do_normalize=normalised)
    context = run(stage(), tmp_path / "result")
    described = json.loads((tmp_path / "result/speech_encoder/preprocessor_config.json").read_text())
    assert described["do_normalize"] is normalised
    crops = stage()._crops(context)
    network, _ = stage()._network(context, SpeechEncoder.load(tmp_path / "result"), crops)
    for part in stage()._batches(context, network, crops)(0)[0]:
        deviations = part.samples.std(dim=1, correction=0)
        assert torch.allclose(deviations, torch.ones(()), atol=1e-3) is normalised


def test_it_learns_to_tell_what_is_masked_from_what_is_around(tmp_path, upstream):
    """A tone has its own unit and lasts as long as its utterance."""
    context = run(stage(epochs=20, learning_rate=5e-3, clusters=3), tmp_path / "result")
    commonest = json.loads((tmp_path / "result/metrics.json").read_text())["commonest_unit"]
    assert curve(context, "masked_accuracy")[-1] > commonest + 0.3
    assert curve(context)[-1] < 0.5 * curve(context)[0]


def test_the_learning_rate_rises_and_falls_linearly(tmp_path, upstream):
    which = stage(warm_up=0.25)
    factors = np.array([which._rate(step, 100) for step in range(100)])
    assert factors.argmax() == 24
    assert factors.max() == 1
    np.testing.assert_allclose(np.diff(factors[:25]), 1 / 25)
    np.testing.assert_allclose(np.diff(factors[24:]), -1 / 76)
    assert factors[-1] == pytest.approx(1 / 76)
    last = run(which, tmp_path / "result").reports[-1][1]["learning_rate"]
    steps = 2 * (UTTERANCES - 1 + 10) // 6
    assert 0 < last <= 5e-4 * which._rate(steps - 3, steps)


def test_the_seed_controls_the_run_and_nothing_else_does(tmp_path, upstream):
    one, again, other = (run(stage(seed=seed), tmp_path / name) for name, seed in (("one", 0), ("again", 0), ("other", 1)))
    assert curve(one) == curve(again) != curve(other)


def test_a_run_that_is_interrupted_twice_and_resumed_gives_the_same_bytes(tmp_path):
    write_upstream(tmp_path / "upstream", hidden_dropout=0.1)
    whole = run(stage(), tmp_path / "whole")
    for stop_after in (1, 3):
        with pytest.raises(StopRequested):
            run(stage(), tmp_path / "cut", stop_after=stop_after)
        assert not (tmp_path / "cut/model.safetensors").exists()
    resumed = run(stage(), tmp_path / "cut")
    for name in FILES:
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert resumed.reports[-1] == whole.reports[-1]


def test_two_workers_train_what_one_does(tmp_path, upstream):
    one = run(stage(**TWO), tmp_path / "one")
    run_on_ranks(_one_of_two, 2, tmp_path, tmp_path)
    curves = [json.loads((tmp_path / f"curve{rank}.json").read_text()) for rank in (0, 1)]
    assert curves[0] == curves[1] == pytest.approx(curve(one), rel=1e-4)
    metrics = [json.loads((tmp_path / name / "metrics.json").read_text()) for name in ("one", "two")]
    assert metrics[1] == pytest.approx(metrics[0], rel=1e-3)


TWO = {"masked_weight": 0.7}


def _one_of_two(rank, world_size, folder):
    context = run(stage(**TWO), folder / "two", rank=rank, world_size=world_size)
    (folder / f"curve{rank}.json").write_text(json.dumps(curve(context)))


def test_the_loss_is_a_mean_over_all_frames_of_a_batch_by_their_weights(tmp_path, upstream):
    which = stage(masked_weight=0.3, batch_size=21, epochs=1)  # all crops of an epoch in one step
    context = run(which, tmp_path / "result")
    crops = which._crops(context)
    network, _ = which._network(context, SpeechEncoder.load(upstream / "initial"), crops)
    batch, _ = which._batches(context, network, crops)(0)
    masked = sum(int(part.masked.sum()) for part in batch)
    frames = sum(part.masked.numel() for part in batch)
    assert crops.steps_per_epoch == 1
    assert curve(context)[0] == pytest.approx(network(batch)[0].item() / (0.3 * masked + 0.7 * (frames - masked)), rel=1e-5)


def test_bfloat16_stays_near_float32(tmp_path, upstream):
    half, full = (run(stage(precision=name), tmp_path / name) for name in ("bfloat16", "float32"))
    assert curve(half) == pytest.approx(curve(full), rel=0.05)


def test_more_clusters_than_frames_are_refused_before_training(tmp_path, upstream):
    with pytest.raises(UserError, match="are too few for 2000 clusters; lower clusters"):
        run(stage(clusters=2000), tmp_path / "result")


def test_a_loss_that_is_not_finite_is_reported_with_what_to_do(tmp_path, upstream):
    with pytest.raises(UserError, match="in epoch 1; lower learning_rate"):
        run(stage(learning_rate=1e30), tmp_path / "result")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"conv_kernel": (10, 3, 3, 3, 3, 2, 4)}, "do not make frames of 400 samples every 320"),
        ({"conv_stride": (5, 2, 2, 2, 2, 2, 1)}, "do not make frames of 400 samples every 320"),
        ({"mask_time_prob": 0.0}, "no vector for masked frames"),
    ],
)
def test_an_encoder_whose_frames_are_not_the_units_is_refused(tmp_path, settings, message):
    write_upstream(tmp_path / "upstream", **settings)
    with pytest.raises(UserError, match=message):
        run(stage(), tmp_path / "result")
