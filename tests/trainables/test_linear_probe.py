"""Contract of trainables/linear_probe.py."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError
from scipy.optimize import minimize

from tests.divided_toys import Told
from tests.trainables.fake_context import FakeContext
from trainables.filterbank_features import FilterbankFeatures
from trainables.linear_probe import LinearProbe
from trainables.protocols import divide
from trainables.protocols.catalogue import OWN_SPLITS, SPEAKERS_5_FOLD
from trainables.tasks import TASKS
from trainables.turn_statistics import TurnStatistics
from trainables.units import read_units

FEATURES = TurnStatistics(filterbanks=FilterbankFeatures(corpus="iemocap", unit="utterance"))
CODES = ("ang", "hap", "sad")  # of emotion4, which has a fourth class


def probe(**settings):
    return LinearProbe(**{"features": FEATURES, "task": "emotion4", "protocol": SPEAKERS_5_FOLD, **settings})


def write(folder, spoilt=(), effect=1.5):
    """Ninety units of two turns by 15 speakers, in 5 dimensions of unlike scale; a class moves one of them."""
    folder.mkdir()
    rng, rows = np.random.default_rng(0), []
    for number in range(90):
        speaker, split = f"v{number % 15:02d}", ("train", "train", "train", "dev", "test")[number % 5]
        emotion = CODES[min(2, number // 15 % 4)]  # sad twice as often
        rows += [
            {"unit": f"u{number:02d}", "position": turn, "seconds": 1.0, "speaker": speaker, "split": split, "emotion": emotion}
            for turn in range(2)
        ]
    table = pd.DataFrame(rows).assign(session="s")
    vectors = rng.standard_normal((180, 5))
    for dimension, code in enumerate(CODES):
        vectors[:, dimension] += effect * (table["emotion"] == code)
    vectors = vectors * [1, 10, 100, 1, 0.01] + 7
    chosen = table["speaker"].isin(spoilt).to_numpy()
    vectors[chosen] = 1000 * rng.standard_normal(vectors[chosen].shape)
    table.loc[chosen, "emotion"] = "sad"
    table.to_parquet(folder / "segments.parquet", index=False)
    np.save(folder / "embeddings.npy", vectors.astype(np.float32))
    return folder


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return write(tmp_path_factory.mktemp("corpus") / "whole")


def run(stage, corpus, directory, name="predictions"):
    stage.run(FakeContext(directory, {FEATURES: corpus}))
    return pd.read_parquet(directory / f"{name}.parquet")


def fitted_otherwise(known, truth, unknown):
    """Class probabilities of a multinomial model whose classes weigh the same, found by a general minimiser."""
    mean, scale = known.mean(axis=0), known.std(axis=0)
    known, unknown = ((part - mean) / scale for part in (known, unknown))
    classes = sorted(set(truth.tolist()))
    hot = np.stack([truth == number for number in classes], axis=1)
    balance = (len(truth) / (len(classes) * hot.sum(axis=0)))[hot.argmax(axis=1)]

    def log_probabilities(theta, inputs):
        weights = theta.reshape(known.shape[1] + 1, -1)
        scores = inputs @ weights[:-1] + weights[-1]
        return scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))

    def loss(theta):
        penalty = np.square(theta.reshape(known.shape[1] + 1, -1)[:-1]).sum() / 2
        return penalty - 0.1 * (balance * log_probabilities(theta, known)[hot]).sum()

    found = minimize(loss, np.zeros((known.shape[1] + 1) * len(classes)), tol=1e-10)
    return np.exp(log_probabilities(found.x, unknown))


def test_it_is_a_penalised_regression_of_means_standardised_by_the_training_units_with_equally_heavy_classes(corpus, tmp_path):
    """Against an independent formulation, of every fold."""
    units, vectors = read_units(corpus, TASKS["emotion4"]), np.load(corpus / "embeddings.npy").astype(np.float64)
    for fold in range(2):
        sets = divide(units, SPEAKERS_5_FOLD, 3, fold=fold)
        known, unknown = (np.array([vectors[rows].mean(axis=0) for rows in sets[name].segments]) for name in ("train", "test"))
        found = run(probe(fold=fold, seed=3), corpus, tmp_path / str(fold))
        assert found["unit"].tolist() == sets["test"].table["unit"].tolist()
        assert found["truth"].tolist() == sets["test"].truth.tolist()
        expected = fitted_otherwise(known, sets["train"].truth, unknown)
        np.testing.assert_allclose(found[["p0", "p1", "p2"]], expected, atol=1e-3)


def test_a_class_that_the_corpus_does_not_have_has_probability_0(corpus, tmp_path):
    found = run(probe(), corpus, tmp_path / "out")
    assert (found["p3"] == 0).all()
    np.testing.assert_allclose(found[["p0", "p1", "p2"]].sum(axis=1), 1)


def test_a_development_set_beside_the_test_set_is_predicted_too(corpus, tmp_path):
    stage = probe(protocol=OWN_SPLITS)
    found = run(stage, corpus, tmp_path / "out", "predictions_dev")
    assert found["unit"].tolist() == divide(read_units(corpus, TASKS["emotion4"]), OWN_SPLITS, 0)["dev"].table["unit"].tolist()
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert {"uar", "dev_uar"} <= metrics.keys()


def test_it_tells_planted_classes_and_not_shuffled_ones(corpus, tmp_path):
    def uar(stage, name):
        run(stage, corpus, tmp_path / name)
        return json.loads((tmp_path / name / "metrics.json").read_text())["uar"]

    assert uar(probe(), "planted") > 0.75
    assert np.mean([uar(probe(shuffled_labels=True, seed=seed), f"shuffled {seed}") for seed in range(4)]) < 0.5  # chance: 1/3


def test_it_learns_from_the_training_units_alone_as_it_declares(corpus, tmp_path):
    assert (exposure := probe().exposure()).fitted == exposure.normalised == "training"
    assert (exposure.features, exposure.task, exposure.selected) == (FEATURES, "emotion4", "nothing")
    sets = divide(read_units(corpus, TASKS["emotion4"]), SPEAKERS_5_FOLD, 0)
    tested = sorted(sets["test"].table["speaker"].unique())
    before = run(probe(), corpus, tmp_path / "before").set_index("unit")
    kept = before.index[before["speaker"] == tested[0]]
    other = write(tmp_path / "other test speakers", spoilt=tested[1:])
    after = run(probe(), other, tmp_path / "after").set_index("unit")
    pd.testing.assert_frame_equal(after.loc[kept], before.loc[kept])
    other = write(tmp_path / "another training speaker", spoilt=[sets["train"].table["speaker"].iloc[0]])
    assert not run(probe(), other, tmp_path / "control").set_index("unit").loc[kept].equals(before.loc[kept])


def test_features_without_units_are_refused():
    with pytest.raises(ValidationError, match="Told has no corpus and unit; give a stage of turn features"):
        probe(features=Told())
