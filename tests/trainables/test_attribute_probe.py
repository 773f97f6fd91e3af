"""Contract of trainables/attribute_probe.py."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from tests.divided_toys import Told
from tests.trainables.fake_context import FakeContext
from trainables.attribute_probe import AttributeProbe
from trainables.attributes import ATTRIBUTES, rated_units
from trainables.cross_validation import CrossValidation
from trainables.errors import UserError
from trainables.filterbank_features import FilterbankFeatures
from trainables.leakage.exposure import Exposure
from trainables.protocols import divide
from trainables.protocols.catalogue import OWN_SPLITS, SPEAKERS_5_FOLD
from trainables.turn_statistics import TurnStatistics

FEATURES = TurnStatistics(filterbanks=FilterbankFeatures(corpus="iemocap", unit="utterance"))


def probe(**settings):
    return AttributeProbe(**{"features": FEATURES, "protocol": SPEAKERS_5_FOLD, **settings})


def write(folder, spoilt=(), effect=1.0, **columns):
    """Ninety units of two turns by 15 speakers, in 6 dimensions of unlike scale; each attribute moves one of them."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    ratings = rng.uniform(1, 5, (90, 3))
    rows = [
        {
            "unit": f"u{number:02d}",
            "position": turn,
            "speaker": f"v{number % 15:02d}",
            "split": ("train", "train", "train", "dev", "test")[number % 5],
            **dict(zip(ATTRIBUTES, ratings[number], strict=True)),
        }
        for number in range(90)
        for turn in range(2)
    ]
    table = pd.DataFrame(rows).assign(session="s", seconds=1.0)
    vectors = rng.standard_normal((180, 6))
    vectors[:, :3] += effect * table[list(ATTRIBUTES)].to_numpy()
    vectors = vectors * [1, 10, 100, 1, 0.01, 1] + 7
    chosen = table["speaker"].isin(spoilt).to_numpy()
    vectors[chosen] = 1000 * rng.standard_normal(vectors[chosen].shape)
    table.loc[chosen, list(ATTRIBUTES)] = 5.0
    table.assign(**columns).to_parquet(folder / "segments.parquet", index=False)
    np.save(folder / "embeddings.npy", vectors.astype(np.float32))
    return folder


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return write(tmp_path_factory.mktemp("corpus") / "whole")


def run(stage, corpus, directory, name="predictions"):
    stage.run(FakeContext(directory, {FEATURES: corpus}))
    return pd.read_parquet(directory / f"{name}.parquet")


def metrics(directory):
    return json.loads((directory / "metrics.json").read_text())


def said(table):
    return table[[f"{name}_predicted" for name in ATTRIBUTES]].to_numpy()


def ridge(known, ratings, unknown):
    """Ridge regression by its normal equations, each attribute's penalty chosen by fits without each unit in turn."""
    mean, scale = known.mean(axis=0), known.std(axis=0)
    known, unknown = (known - mean) / scale, (unknown - mean) / scale

    def fitted(inputs, outputs, penalty, asked):
        centre, level = inputs.mean(axis=0), outputs.mean()
        gram = (inputs - centre).T @ (inputs - centre) + penalty * np.eye(inputs.shape[1])
        return level + (asked - centre) @ np.linalg.solve(gram, (inputs - centre).T @ (outputs - level))

    found = []
    for outputs in ratings.T:
        errors = {}
        for penalty in 10.0 ** np.arange(-1, 5.5, 0.5):
            left_out = [np.arange(len(known)) != unit for unit in range(len(known))]
            guesses = [fitted(known[rest], outputs[rest], penalty, known[~rest])[0] for rest in left_out]
            errors[penalty] = np.square(guesses - outputs).mean()
        found.append(fitted(known, outputs, min(errors, key=errors.get), unknown))
    return np.stack(found, axis=1)


def test_ridge_is_that_of_means_standardised_by_the_training_units_with_penalties_chosen_by_leaving_one_out(corpus, tmp_path):
    """Against an independent formulation."""
    vectors = np.load(corpus / "embeddings.npy").astype(np.float64)
    sets = divide(rated_units(corpus), SPEAKERS_5_FOLD, 3, fold=1)
    known, unknown = (np.array([vectors[rows].mean(axis=0) for rows in sets[name].segments]) for name in ("train", "test"))
    found = run(probe(fold=1, seed=3), corpus, tmp_path / "out")
    assert found["unit"].tolist() == sets["test"].table["unit"].tolist()
    assert found[list(ATTRIBUTES)].equals(sets["test"].table[list(ATTRIBUTES)])
    expected = ridge(known, sets["train"].table[list(ATTRIBUTES)].to_numpy(), unknown)
    np.testing.assert_allclose(said(found), expected, atol=1e-4)


def test_the_mean_is_that_of_the_training_units_and_agrees_with_nothing(corpus, tmp_path):
    found = run(probe(model="mean"), corpus, tmp_path / "out")
    training = divide(rated_units(corpus), SPEAKERS_5_FOLD, 0)["train"].table[list(ATTRIBUTES)]
    np.testing.assert_allclose(said(found), np.tile(training.mean(), (len(found), 1)), rtol=1e-6)
    scores = metrics(tmp_path / "out")
    assert [scores[name] for name in ("ccc", *(f"ccc_{name}" for name in ATTRIBUTES))] == [0, 0, 0, 0], "exactly"
    assert scores["mae_valence"] > 0


def test_ridge_beats_the_mean_on_planted_attributes_and_not_where_nothing_is_planted(corpus, tmp_path):
    run(probe(), corpus, tmp_path / "planted")
    scores = metrics(tmp_path / "planted")
    assert min(scores[f"ccc_{name}"] for name in ATTRIBUTES) > 0.6
    run(probe(), write(tmp_path / "nothing planted", effect=0), tmp_path / "nothing")
    assert abs(metrics(tmp_path / "nothing")["ccc"]) < 0.2


def test_a_development_set_beside_the_test_set_is_predicted_too(corpus, tmp_path):
    found = run(probe(protocol=OWN_SPLITS), corpus, tmp_path / "out", "predictions_dev")
    assert found["unit"].tolist() == divide(rated_units(corpus), OWN_SPLITS, 0)["dev"].table["unit"].tolist()
    assert {"ccc", "dev_ccc", "dev_ccc_valence"} <= metrics(tmp_path / "out").keys()


def test_a_cross_validation_scores_the_pooled_folds_and_has_their_mean_beside_it(corpus, tmp_path):
    folds = tuple(probe(fold=fold) for fold in range(5))
    parts = [run(stage, corpus, tmp_path / str(stage.fold)) for stage in folds]
    whole = CrossValidation(folds=folds)
    directory = tmp_path / "whole"
    whole.run(FakeContext(directory, {stage: tmp_path / str(stage.fold) for stage in folds}))
    pooled = pd.concat(parts)
    x, y = pooled["valence"].to_numpy(), pooled["valence_predicted"].to_numpy()
    expected = 2 * np.cov(x, y, bias=True)[0, 1] / (x.var() + y.var() + (x.mean() - y.mean()) ** 2)
    found = metrics(directory)
    assert len(pooled) == 90
    assert found["ccc_valence"] == pytest.approx(expected)
    assert found["ccc_fold_mean"] == pytest.approx(np.mean([metrics(tmp_path / str(fold))["ccc"] for fold in range(5)]))


def test_it_learns_from_the_training_units_alone_as_it_declares(corpus, tmp_path):
    assert probe().exposure() == Exposure(FEATURES, "training", "attributes", normalised="training")
    assert probe(model="mean").exposure() == Exposure(FEATURES, "training", "attributes")
    sets = divide(rated_units(corpus), SPEAKERS_5_FOLD, 0)
    tested = sorted(sets["test"].table["speaker"].unique())
    before = run(probe(), corpus, tmp_path / "before").set_index("unit")
    kept = before.index[before["speaker"] == tested[0]]
    other = write(tmp_path / "other test speakers", spoilt=tested[1:])
    after = run(probe(), other, tmp_path / "after").set_index("unit")
    pd.testing.assert_frame_equal(after.loc[kept], before.loc[kept])
    other = write(tmp_path / "another training speaker", spoilt=[sets["train"].table["speaker"].iloc[0]])
    assert not run(probe(), other, tmp_path / "control").set_index("unit").loc[kept].equals(before.loc[kept])


def test_units_without_a_rating_are_told_by_name(tmp_path):
    gaps = np.where(np.arange(180) // 2 == 7, np.nan, 3.0)
    with pytest.raises(UserError, match="label 'dominance' is missing for 'u07'; fill it in or delete them"):
        run(probe(), write(tmp_path / "corpus", dominance=gaps), tmp_path / "out")


def test_features_without_units_and_a_permutation_of_classes_are_refused():
    with pytest.raises(ValidationError, match="Told has no corpus and unit; give a stage of turn features"):
        probe(features=Told())
    with pytest.raises(ValidationError, match="shuffled_labels permutes classes, and ratings are none"):
        probe(shuffled_labels=True)
