"""Stage two: pooling and classifier on an encoder that is fixed; stage one hears what trains in the same fold and nobody else."""

import json
import math

import numpy as np
import pandas as pd
import pytest
import torch
from pydantic import ValidationError
from torch.nn import functional as F

from search_spaces.study import load_study, study
from search_spaces.table import Row
from tests.trainables.fake_context import FakeContext
from tests.trainables.spoken_emotions import (
    CONVOLVED,
    ENCODER,
    ONE_SESSION_OUT,
    OTHER,
    OWN,
    TUNED,
    UTTERANCES,
    Context,
    frames_of,
    write_upstream,
)
from trainables.convolutional_features import ConvolutionalFeatures
from trainables.cross_validation import CrossValidation
from trainables.leakage.exposure import Exposure
from trainables.models.emotion_encoder import EmotionEncoder
from trainables.models.speech_classifier import classification_layers
from trainables.models.speech_encoder import SpeechEncoder
from trainables.numerics import seeded
from trainables.pooled_classifier import PooledClassifier
from trainables.protocols import divide
from trainables.protocols.catalogue import HELD_OUT_30, IEMOCAP_5_SESSIONS, OWN_SPLITS, SPEAKERS_4_FOLD, SPEAKERS_70_30
from trainables.stage import StopRequested, from_config, to_config
from trainables.tasks import TASKS
from trainables.training import EpochOrder
from trainables.units import read_units
from trainables.utterances import Utterances

SMALL = {"epochs": 3, "batch_size": 8, "learning_rate": 0.01, "decay_from": 2, "decay_every": 1, "precision": "float32"}


def stage(**settings):
    given = {"tuned": TUNED, "utterances": UTTERANCES, "task": "emotion4", "protocol": ONE_SESSION_OUT, "convolved": CONVOLVED}
    return PooledClassifier(**{**given, **SMALL, **settings})


@pytest.fixture(scope="module")
def upstream(tmp_path_factory):
    return write_upstream(tmp_path_factory.mktemp("upstream"), dropout=True)


def run(which, upstream, directory, **changes):
    context = Context(directory, {**upstream, which.tuned: upstream[TUNED]}, **changes)
    which.run(context)
    return context


def predictions(directory, name="predictions"):
    return pd.read_parquet(directory / f"{name}.parquet")


def probabilities(directory):
    return predictions(directory)[["p0", "p1", "p2", "p3"]].to_numpy()


def units_of(upstream):
    return read_units(upstream[UTTERANCES], TASKS["emotion4"])


# What is trained.


def test_the_settings_are_the_papers():
    paper = PooledClassifier(tuned=TUNED, utterances=UTTERANCES, task="emotion4", protocol=ONE_SESSION_OUT)
    assert (paper.epochs, paper.batch_size, paper.learning_rate) == (10, 32, 5e-4)
    assert (paper.decay_from, paper.decay) == (6, 0.1), "after 5 epochs, to a tenth"


def test_pooling_and_classifier_alone_are_trained_on_the_fixed_encoder(tmp_path, upstream):
    """Against a loop that encodes every utterance alone, anew in every step."""
    run(stage(seed=3), upstream, tmp_path / "result")
    sets = divide(units_of(upstream), ONE_SESSION_OUT, 3)
    model = EmotionEncoder.load(upstream[TUNED]).eval()
    torch.manual_seed(seeded(3, "initialisation"))
    layers = classification_layers(16, 4)
    optimizer = torch.optim.Adam([model.pooling.weight, *layers.parameters()], lr=0.01)

    def logits(rows):
        found = []
        for row in rows:
            frames = frames_of(upstream, row)
            hidden = model.encoder(frames, torch.tensor([frames.shape[1]])).detach()[0]
            found.append(layers((hidden @ model.pooling.weight).softmax(dim=0) @ hidden))
        return torch.stack(found)

    rows = {name: np.concatenate(part.segments) for name, part in sets.items()}
    order = EpochOrder(len(rows["train"]), 8, 3)
    for step in range(3 * order.steps_per_epoch):
        optimizer.param_groups[0]["lr"] = 0.01 * (1.0, 0.1, 0.01)[step // order.steps_per_epoch]
        batch = order[step].numpy()
        loss = F.cross_entropy(logits(rows["train"][batch]), torch.from_numpy(sets["train"].truth[batch]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert predictions(tmp_path / "result")["unit"].tolist() == sets["test"].table["unit"].tolist()
    expected = logits(rows["test"]).softmax(dim=1).detach().numpy()
    assert probabilities(tmp_path / "result") == pytest.approx(expected, abs=1e-4)


def test_it_learns_emotions_of_unseen_speakers(tmp_path, upstream):
    run(stage(epochs=30, decay_from=31), upstream, tmp_path / "result")
    assert json.loads((tmp_path / "result/metrics.json").read_text())["uar"] > 0.5, "four classes"


def test_every_utterance_of_the_sets_is_encoded_once_and_no_other_one(tmp_path, upstream, monkeypatch):
    encoded, forward = [], SpeechEncoder.forward

    def counting(self, convolved, lengths):
        assert not self.training
        encoded.extend(lengths.tolist())
        return forward(self, convolved, lengths)

    monkeypatch.setattr(SpeechEncoder, "forward", counting)
    which = stage(protocol=HELD_OUT_30, scored_on="dev")
    run(which, upstream, tmp_path / "result")
    sets = which.sets(units_of(upstream))
    frames = pd.read_parquet(upstream[CONVOLVED] / "segments.parquet")["frames"]
    expected = frames[np.concatenate([rows for part in sets.values() for rows in part.segments])]
    assert sorted(encoded) == sorted(expected)
    assert len(expected) < len(units_of(upstream).truth), "or nobody would be in no set"


@pytest.mark.parametrize(("precision", "bytes_each"), [("float32", 4), ("bfloat16", 2)])
def test_the_hidden_layers_lie_on_disk_while_it_runs_and_are_gone_afterwards(tmp_path, upstream, precision, bytes_each):
    found = []

    class Looking(Context):
        def report(self, metrics, step):
            found.append([path.stat().st_size for path in self.directory.glob("*/frames.npy")])

    which = stage(precision=precision)
    which.run(Looking(tmp_path / "result", {**upstream, which.tuned: upstream[TUNED]}))
    table = pd.read_parquet(upstream[CONVOLVED] / "segments.parquet")
    frames = int(table.loc[table["emotion"] != "fru", "frames"].sum())
    assert found == [[pytest.approx(frames * 16 * bytes_each, abs=256)]] * 3
    assert sorted(path.name for path in (tmp_path / "result").iterdir()) == ["metrics.json", "predictions.parquet"]


def test_bfloat16_stays_near_float32(tmp_path, upstream):
    for precision in ("float32", "bfloat16"):
        run(stage(precision=precision), upstream, tmp_path / precision)
    full, half = probabilities(tmp_path / "float32"), probabilities(tmp_path / "bfloat16")
    assert half == pytest.approx(full, abs=0.03)
    assert (half != full).any()


def test_with_a_development_set_the_best_epoch_counts_and_its_scores_stand_beside(tmp_path, upstream):
    settings = {"protocol": OWN_SPLITS, "learning_rate": 0.03, "decay_from": 99}
    context = run(stage(epochs=8, **settings), upstream, tmp_path / "long")
    curve = [metrics["dev_f1_macro"] for _, metrics in context.reports]
    best = curve.index(max(curve))
    assert best < 7, "or this test could not tell the best epoch from the last"
    run(stage(epochs=best + 1, **settings), upstream, tmp_path / "short")
    for name in ("predictions.parquet", "predictions_dev.parquet", "metrics.json"):
        assert (tmp_path / "long" / name).read_bytes() == (tmp_path / "short" / name).read_bytes(), name
    assert json.loads((tmp_path / "long/metrics.json").read_text())["dev_f1_macro"] == max(curve)


@pytest.mark.parametrize("protocol", [ONE_SESSION_OUT, OWN_SPLITS], ids=lambda protocol: protocol.name)
def test_an_interrupted_and_resumed_run_gives_the_same_bytes(tmp_path, upstream, protocol):
    which = stage(protocol=protocol)
    whole = run(which, upstream, tmp_path / "whole")
    utterances = sum(len(part.truth) for part in which.sets(units_of(upstream)).values())
    with pytest.raises(StopRequested):
        run(which, upstream, tmp_path / "cut", stop_after=math.ceil(utterances / 8) + 5)  # in the fifth step of the training
    assert list((tmp_path / "cut").iterdir()) == [], "nothing of the hidden layers is left"
    resumed = run(which, upstream, tmp_path / "cut")
    assert resumed.reports[-1] == whole.reports[-1]
    names = sorted(path.name for path in (tmp_path / "whole").iterdir())
    assert names == sorted(path.name for path in (tmp_path / "cut").iterdir())
    for name in names:
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name


def test_the_seed_controls_the_run_and_nothing_else_does(tmp_path, upstream):
    for name, seed in (("one", 0), ("again", 0), ("other", 1)):
        run(stage(seed=seed), upstream, tmp_path / name)
    assert (probabilities(tmp_path / "one") == probabilities(tmp_path / "again")).all()
    assert (probabilities(tmp_path / "one") != probabilities(tmp_path / "other")).any()


# Who trains.


def folds(protocol=ONE_SESSION_OUT, **settings):
    return CrossValidation(folds=tuple(stage(protocol=protocol, fold=number, **settings) for number in range(protocol.folds)))


def test_the_folds_of_a_cross_validation_are_alike_though_each_has_its_own_stage_one():
    whole = folds()
    assert [(fold.fold, *(source.fold for source in fold.tuned.sources)) for fold in whole.folds] == [(n, n, n) for n in range(4)]
    assert len({fold.tuned for fold in whole.folds}) == 4
    assert from_config(json.loads(json.dumps(to_config(whole)))) == whole


@pytest.mark.parametrize("inner", [None, 1])
def test_stage_one_of_every_fold_learns_from_the_training_utterances_of_that_fold_and_no_others(tmp_path, upstream, inner):
    tested = []
    for which in folds(inner=inner).folds:
        (own,) = (source for source in which.tuned.sources if source.utterances == which.utterances)
        own.run(FakeContext(tmp_path / f"{which.fold}", upstream))
        learnt = set(pd.read_parquet(tmp_path / f"{which.fold}/training.parquet")["unit"])
        sets = which.sets(units_of(upstream))
        assert learnt == set(sets["train"].table["unit"])
        assert not learnt & {unit for name, part in sets.items() if name != "train" for unit in part.table["unit"]}
        tested += sets["test"].table["unit"].tolist()
    assert sorted(tested) == sorted(units_of(upstream).table["unit"]), "every utterance is tested in one fold"


@pytest.mark.parametrize(
    "division",
    [
        {"protocol": SPEAKERS_70_30, "seed": 3},
        {"protocol": HELD_OUT_30, "scored_on": "dev"},
        {"protocol": IEMOCAP_5_SESSIONS, "fold": 4, "inner": 2},
        {"shuffled_labels": True},
    ],
)
def test_whatever_the_division_is_stage_one_has_the_same_on_this_corpus_and_its_own_on_others(division):
    which = stage(**division)
    own, other = which.tuned.sources
    assert own == OWN.with_upstream({}, **{"protocol": which.protocol, **division})
    assert other == OTHER.with_upstream({}, fold=which.fold % 4)


def test_a_study_under_another_protocol_takes_stage_one_with_it():
    spec = load_study("reclr_lambda").table.model_copy(update={"study": "toy", "row_titles": ("row",), "baseline": None})
    toy = study(spec, [(Row(key="two_stage", label=("two-stage",)), lambda seed: folds(seed=seed))], "")
    for protocol in (SPEAKERS_4_FOLD, IEMOCAP_5_SESSIONS):
        last = toy.under(protocol).chains["two_stage"](3)
        divisions = [(fold, fold.tuned.sources[0]) for fold in last.folds]
        assert [(a.fold, a.protocol, a.seed, a.inner) for a, _ in divisions] == [(n, protocol, 3, 0) for n in range(protocol.folds)]
        assert all((a.fold, a.protocol, a.seed, a.inner) == (b.fold, b.protocol, b.seed, b.inner) for a, b in divisions)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"utterances": Utterances(corpus="mosei"), "convolved": None},
            "emotion4 of iemocap, casia6 of casia; .* emotion4 of mosei",
        ),
        ({"task": "emotion5"}, "emotion4 of iemocap, casia6 of casia; .* emotion5 of iemocap"),
        ({"convolved": ConvolutionalFeatures(encoder=ENCODER, utterances=OTHER.utterances)}, "convolved is of another encoder or"),
        (
            {"convolved": ConvolutionalFeatures(encoder=ENCODER.model_copy(update={"seed": 1}), utterances=UTTERANCES)},
            "another encoder",
        ),
        ({"protocol": OWN_SPLITS, "fold": 1}, "fold 1"),
    ],
)
def test_what_does_not_fit_stage_one_is_refused(settings, message):
    with pytest.raises(ValidationError, match=message):
        stage(**settings)


def test_it_says_what_it_learns_from_and_what_it_would_convolve():
    assert stage().exposure() == Exposure(UTTERANCES, "training", "emotion4")
    assert stage(inner=0).exposure().selected == stage(protocol=OWN_SPLITS).exposure().selected == "dev"
    assert stage(convolved=None).repeated() == {"convolved": (CONVOLVED, 1)}
    assert stage().repeated() == {}
    assert stage().validate_workers(2) is not None
