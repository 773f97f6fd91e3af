"""A sequence classifier is one seed of a batched job: it equals one trained alone."""

import json
import threading

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_sequence, pad_packed_sequence

from orchestrator.execution.job import StageFailed
from orchestrator.execution.local import LocalExecutor
from tests.toys import toy_setting
from tests.trainables.fake_context import FakeContext
from tests.trainables.session_turns import FEATURES, SESSIONS, WIDTH, Turns, classifier, predictions, run
from trainables.cross_validation import CrossValidation
from trainables.leakage.exposure import Exposure
from trainables.metrics import classification_scores
from trainables.numerics import seeded
from trainables.protocols.catalogue import SPEAKERS_5_FOLD, SPEAKERS_70_30
from trainables.seed_batch import SeedBatch, seeds_in_a_group
from trainables.seed_training import class_weights
from trainables.stage import StopRequested
from trainables.tasks import TASKS
from trainables.training import EpochOrder
from trainables.units import read_units


@pytest.fixture(scope="module")
def setting(tmp_path_factory):
    return toy_setting(tmp_path_factory.mktemp("runs") / "store")


def one_by_one(stage, directory, sets):
    """The same question asked of a packed module by plain PyTorch: mean loss of each epoch, probabilities of the scored units."""
    vectors = np.load(directory / "embeddings.npy")
    known = vectors[np.concatenate(sets["train"].segments)].astype(np.float64)
    vectors = torch.from_numpy(((vectors - known.mean(axis=0)) / known.std(axis=0)).astype(np.float32))
    torch.manual_seed(seeded(stage.seed, "initialisation"))
    module = {"lstm": nn.LSTM, "gru": nn.GRU}[stage.cell]
    layer = module(vectors.shape[1], stage.hidden_size, batch_first=True, bidirectional=True)
    head = nn.Linear(2 * stage.hidden_size, 2)

    def logits(units):
        sequences = [vectors[torch.from_numpy(segments)] for segments in units]
        states, lengths = pad_packed_sequence(layer(pack_sequence(sequences, enforce_sorted=False))[0], batch_first=True)
        return head(torch.stack([row[:length].mean(dim=0) for row, length in zip(states, lengths, strict=True)]))

    training, labels = sets["train"].segments, torch.from_numpy(sets["train"].truth)
    balance = len(labels) / (2.0 * torch.bincount(labels))[labels] if stage.balanced else torch.ones(len(labels))
    optimizer = torch.optim.Adam([*layer.parameters(), *head.parameters()], lr=stage.learning_rate)
    order, losses = EpochOrder(len(labels), stage.batch_size, stage.seed), []
    for step in range(stage.epochs * order.steps_per_epoch):
        batch = order[step]
        each = F.cross_entropy(logits([training[number] for number in batch.tolist()]), labels[batch], reduction="none")
        loss = (balance[batch] * each).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    with torch.inference_mode():
        said = logits(sets[stage.scored_on].segments).softmax(dim=1)
    return np.reshape(losses, (stage.epochs, -1)).mean(axis=1), said


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"cell": "gru", "features": (FEATURES, Turns(first_dimension=WIDTH))},
        {"protocol": SPEAKERS_70_30, "balanced": False, "shuffled_labels": True},
        {"protocol": SPEAKERS_5_FOLD, "fold": 2, "batch_size": 100},
    ],
    ids=["named", "gru on two features", "drawn, shuffled labels", "folds"],
)
def test_every_seed_of_a_block_is_what_a_packed_module_trained_alone_comes_to(setting, tmp_path, settings):
    for seed in (4, 6):
        stage = classifier(seed=seed, **settings)
        results = [run(setting, features)[0] for features in stage.features]
        vectors = np.concatenate([np.load(result / "embeddings.npy") for result in results], axis=1)
        np.save(tmp_path / "embeddings.npy", vectors)
        sets = stage.sets(read_units(results[0], TASKS["depression"]))
        losses, said = one_by_one(stage, tmp_path, sets)
        found = pd.read_parquet(run(setting, stage.training())[0] / "losses.parquet").query(f"seed == {seed}")
        assert found["epoch"].tolist() == list(range(5))
        np.testing.assert_allclose(found["loss"], losses, rtol=0, atol=1e-5)
        table = predictions(setting, stage)
        assert table.index.tolist() == sets["test"].table["unit"].tolist()
        np.testing.assert_allclose(table.to_numpy(), said, rtol=0, atol=1e-5)


def test_seeds_whose_divisions_are_of_unlike_size_are_each_trained_for_their_own_epochs(setting, tmp_path):
    """Eight sessions are of one speaker, so that how many a drawn division trains on depends on the seed."""
    stage = classifier(protocol=SPEAKERS_70_30, batch_size=3, epochs=4)
    source = run(setting, FEATURES)[0]
    table = pd.read_parquet(source / "segments.parquet")
    one = table["unit"].isin([f"s{number:02d}" for number in (0, 1, 2, 3, 12, 13, 14, 15)])
    table.loc[one, "speaker"] = "p00"
    table.to_parquet(tmp_path / "segments.parquet", index=False)
    np.save(tmp_path / "embeddings.npy", np.load(source / "embeddings.npy"))
    units = read_units(tmp_path, TASKS["depression"])
    stage.training().run_part([0, 1, 2, 3], FakeContext(tmp_path, {FEATURES: tmp_path}))
    found, sizes = pd.read_parquet(tmp_path / "predictions.parquet"), set()
    for seed in range(4):
        own = stage.with_upstream({}, seed=seed)
        sets = own.sets(units)
        sizes.add(len(sets["train"].truth) // 3)
        losses, said = one_by_one(own, tmp_path, sets)
        curve = pd.read_parquet(tmp_path / "losses.parquet").query(f"seed == {seed}")["loss"]
        np.testing.assert_allclose(curve, losses, rtol=0, atol=1e-5)
        np.testing.assert_allclose(found[found["seed"] == seed][["p0", "p1"]], said, rtol=0, atol=1e-5)
    assert len(sizes) > 1


def test_a_seed_alone_says_what_it_says_in_a_block(setting):
    for seed in (0, 3):
        block, alone = (predictions(setting, classifier(seed=seed, together=together)) for together in (4, 1))
        np.testing.assert_allclose(block, alone, rtol=0, atol=1e-5)


def test_one_training_serves_every_seed_of_the_block_and_both_scored_sets(setting):
    def executed(**chosen):
        return [name.split("/")[0] for name in run(setting, classifier(epochs=3, **chosen))[1]]

    assert executed()[-2:] == ["SeedBatch", "SequenceClassifier"]
    for chosen in ({"seed": 3}, {"scored_on": "dev"}, {"seed": 2, "scored_on": "dev"}):
        assert executed(**chosen) == ["SequenceClassifier"]


def test_a_cross_validation_pools_the_folds(setting):
    folds = tuple(classifier(protocol=SPEAKERS_5_FOLD, fold=fold, seed=1, epochs=1) for fold in range(5))
    found = pd.read_parquet(run(setting, CrossValidation(folds=folds))[0] / "predictions.parquet")
    assert sorted(found["unit"]) == [f"s{number:02d}" for number in range(SESSIONS)]


def test_what_a_stage_declares_is_what_it_does(setting):
    """Other test sessions leave what is learnt as it was; other training sessions do not."""
    stage = classifier()
    assert stage.exposure() == Exposure(features=FEATURES, fitted="training", task="depression", normalised="training")
    assert stage.training().exposure() == Exposure(features=FEATURES)
    curves = {}
    for spoilt in ("", "test", "dev", "train"):
        changed = stage.with_upstream({"features.0": Turns(spoilt=spoilt)})
        result = run(setting, changed.training())[0]
        said = pd.read_parquet(result / "predictions.parquet")
        kept = said[said["set"] == ("test" if spoilt == "dev" else "dev")].drop(columns=["set"])
        curves[spoilt] = (pd.read_parquet(result / "losses.parquet"), kept.reset_index(drop=True))
    assert all(curves["test"][part].equals(curves[""][part]) for part in (0, 1))
    assert curves["dev"][0].equals(curves[""][0])
    assert not curves["train"][0].equals(curves[""][0])


def test_scores_of_both_sets_can_be_recomputed_from_the_predictions_and_the_curve_is_that_of_the_seed(setting, tmp_path):
    stage = classifier(seed=2, epochs=30)
    result, _ = run(setting, stage)
    metrics = json.loads((result / "metrics.json").read_text())
    sets = stage.sets(read_units(run(setting, FEATURES)[0], TASKS["depression"]))
    for name, prefix, part in (("predictions", "", "test"), ("predictions_dev", "dev_", "dev")):
        table = pd.read_parquet(result / f"{name}.parquet")
        assert table["unit"].tolist() == sets[part].table["unit"].tolist()
        assert table["truth"].tolist() == sets[part].truth.tolist()
        scores = classification_scores(table["truth"].to_numpy(), table["predicted"].to_numpy())
        assert scores.items() <= {key.removeprefix(prefix): value for key, value in metrics.items()}.items()
    assert metrics["f1_macro"] > 0.8, "it learns what is planted"
    on_dev = run(setting, stage.with_upstream({}, scored_on="dev"))[0]
    assert not (on_dev / "predictions_dev.parquet").exists()
    assert pd.read_parquet(on_dev / "predictions.parquet").equals(pd.read_parquet(result / "predictions_dev.parquet"))
    training = run(setting, stage.training())[0]
    context = FakeContext(tmp_path / "again", {FEATURES: run(setting, FEATURES)[0], stage.training(): training})
    stage.run(context)
    losses = pd.read_parquet(training / "losses.parquet").query("seed == 2")
    assert context.reports == [(epoch, {"loss": loss}) for epoch, loss in zip(losses["epoch"], losses["loss"], strict=True)]
    assert losses["loss"].iloc[-1] < 0.5 * losses["loss"].iloc[0]


def test_the_job_says_of_each_seed_every_unit_that_the_seed_was_not_trained_on(setting):
    stage = classifier(protocol=SPEAKERS_70_30)
    said = pd.read_parquet(run(setting, stage.training())[0] / "predictions.parquet")
    units = read_units(run(setting, FEATURES)[0], TASKS["depression"])
    trained = {seed: set(stage.with_upstream({}, seed=seed).sets(units)["train"].table["unit"]) for seed in range(4)}
    assert len({frozenset(names) for names in trained.values()}) == 4
    for seed, table in said.groupby("seed"):
        assert sorted(table["unit"]) == sorted(set(units.table["unit"]) - trained[seed])
        assert set(table["set"]) == {"test"}
        np.testing.assert_allclose(table["p0"] + table["p1"], 1, rtol=1e-6)


def test_shuffled_labels_are_trained_on_and_never_scored_on(setting):
    stage = classifier(shuffled_labels=True, seed=1)
    units = read_units(run(setting, FEATURES)[0], TASKS["depression"])
    trained = stage.training().sets(units, 1)["train"]
    assert trained.truth.tolist() == stage.sets(units)["train"].truth.tolist()
    assert trained.truth.tolist() != classifier(seed=1).sets(units)["train"].truth.tolist()
    truth = dict(zip(units.table["unit"], units.truth, strict=True))
    assert stage.sets(units)["dev"].truth.tolist() != classifier(seed=1).sets(units)["dev"].truth.tolist()
    for name in ("predictions", "predictions_dev"):
        found = pd.read_parquet(run(setting, stage)[0] / f"{name}.parquet")
        assert found["truth"].tolist() == [truth[unit] for unit in found["unit"]], name


def test_classes_weigh_equally_much_and_a_unit_1_on_average():
    labels = torch.tensor([0, 0, 0, 1, 0, 0, 2, 2])
    weights = class_weights(labels, 4)
    of_class = torch.zeros(4).index_add(0, labels, weights[labels])
    torch.testing.assert_close(of_class, torch.tensor([8 / 3, 8 / 3, 8 / 3, 0.0]))


def test_a_block_that_is_stopped_goes_on_with_the_groups_that_are_missing(tmp_path, monkeypatch):
    monkeypatch.setattr("orchestrator.execution.context._PROGRESS_SECONDS", 0.0)
    trained, stopping, run_part = [], threading.Event(), SeedBatch.run_part
    monkeypatch.setattr(SeedBatch, "run_part", lambda self, work, context: (trained.append(work), run_part(self, work, context)))
    stage = classifier(hidden_size=160, together=5, epochs=2)
    whole = predictions(toy_setting(tmp_path / "whole"), stage)
    assert trained == [[0, 1], [2, 3], [4]]
    setting = toy_setting(tmp_path / "stopped")
    run(setting, FEATURES)
    executor = LocalExecutor(setting, lambda *call: None, lambda name, done: done > 0.4 and stopping.set(), stopping)
    with pytest.raises(StopRequested):
        executor.finish_chain(stage.training())
    begun = len(trained)
    assert begun < 6
    pd.testing.assert_frame_equal(predictions(setting, stage), whole)
    assert sorted(trained[3:]) == [[0, 1], [2, 3], [4]]


def test_groups_are_of_at_least_two_seeds_and_of_more_the_smaller_the_model_is():
    sizes = [seeds_in_a_group(hidden) for hidden in (16, 32, 64, 128, 256)]
    assert sizes == sorted(sizes, reverse=True)
    assert (sizes[1], sizes[-1]) == (10, 2)


def test_features_of_other_turns_are_refused_with_both_named(setting):
    stage = classifier(features=(FEATURES, Turns(dropped=1)))
    with pytest.raises(StageFailed, match=r"describes \d+ turns and .* \d+, not the same ones"):
        run(setting, stage)


def test_a_training_that_diverges_is_told_to_the_user(setting):
    with pytest.raises(StageFailed, match="not finite"):
        run(setting, classifier(learning_rate=1e38))
