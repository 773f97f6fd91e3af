"""Session stages in a search: the test speakers have no part in development, and the probe is the classifier's cheap stand-in."""

import json

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError
from sklearn.metrics import f1_score

from tests.trainables.fake_context import FakeContext
from trainables.chance import ChanceClassifier
from trainables.emotion_reference import EmotionReference
from trainables.log_mel_features import LogMelFeatures
from trainables.protocols import divide
from trainables.protocols.catalogue import HELD_OUT_30, SPEAKERS_70_30
from trainables.protocols.draws import hold_out
from trainables.segment_embeddings import SegmentEmbeddings
from trainables.session_classifier import SessionClassifier
from trainables.session_probe import SessionProbe
from trainables.tasks import TASKS
from trainables.units import read_units

FEATURES = LogMelFeatures(corpus="mdd", unit="session")
ENCODER = EmotionReference(features=LogMelFeatures(corpus="mosei", unit="utterance"))
EMBEDDINGS = SegmentEmbeddings(encoder=ENCODER, features=FEATURES)
HELD_OUT = HELD_OUT_30.model_copy(update={"holdout_seed": 4})
DEVELOPMENT = {"protocol": HELD_OUT, "scored_on": "dev"}


def write(folder, effect=2.0):
    """Embeddings of 40 sessions of 3 segments; the depressed are shifted in one of 8 dimensions."""
    folder.mkdir()
    rng, rows = np.random.default_rng(0), []
    for session in range(40):
        for position in range(3):
            unit = {"unit": f"s{session:02d}", "position": position, "seconds": 5.0, "speaker": f"p{session:02d}", "split": ""}
            rows.append({**unit, "session": unit["unit"], "depressed": float(session % 2)})
    table = pd.DataFrame(rows)
    embeddings = rng.standard_normal((120, 8))
    embeddings[:, 0] += effect * table["depressed"].to_numpy()
    table.to_parquet(folder / "segments.parquet", index=False)
    np.save(folder / "embeddings.npy", embeddings.astype(np.float32))
    return folder


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return write(tmp_path_factory.mktemp("corpus") / "whole")


def run(stage, corpus, directory):
    stage.run(FakeContext(directory, {FEATURES: corpus, EMBEDDINGS: corpus}))
    return directory


def classifier(**settings):
    return SessionClassifier(embeddings=EMBEDDINGS, **{"hidden_size": 4, "epochs": 3, **settings})


def guesser(**settings):
    return ChanceClassifier(features=FEATURES, strategy="uniform", **settings)


def probe(**settings):
    return SessionProbe(embeddings=EMBEDDINGS, **{"protocol": HELD_OUT, **settings})


def content(directory):
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def spoilt(corpus, folder, speakers):
    """A copy in which these speakers have the other diagnosis and quite other embeddings."""
    folder.mkdir()
    table, embeddings = pd.read_parquet(corpus / "segments.parquet"), np.load(corpus / "embeddings.npy")
    chosen = table["speaker"].isin(speakers).to_numpy()
    table.loc[chosen, "depressed"] = 1 - table.loc[chosen, "depressed"]
    embeddings[chosen] = 1000 * np.random.default_rng(1).standard_normal(embeddings[chosen].shape)
    table.to_parquet(folder / "segments.parquet", index=False)
    np.save(folder / "embeddings.npy", embeddings)
    return folder


DEVELOPING = {
    "classifier": classifier(**DEVELOPMENT),
    "chance": guesser(**DEVELOPMENT),
    "probe": probe(),
}


@pytest.mark.parametrize("name", DEVELOPING)
def test_development_is_blind_to_the_test_speakers_labels_and_embeddings(tmp_path, corpus, name):
    held_out = hold_out(read_units(corpus, TASKS["depression"]), 0.3, 4)
    tested, others = (set(held_out[part].table["speaker"]) for part in ("test", "train"))
    assert (len(tested), len(others)) == (12, 28)
    before = content(run(DEVELOPING[name], corpus, tmp_path / "before"))
    changed = spoilt(corpus, tmp_path / "other_test_speakers", tested)
    assert content(run(DEVELOPING[name], changed, tmp_path / "after")) == before
    changed = spoilt(corpus, tmp_path / "other_speakers", set(sorted(others)[::3]))
    assert content(run(DEVELOPING[name], changed, tmp_path / "control")) != before


@pytest.mark.parametrize("build", [classifier, guesser])
def test_the_sets_are_those_of_the_division_with_the_same_settings(tmp_path, corpus, build):
    units = read_units(corpus, TASKS["depression"])
    scored = {}
    for number, settings in enumerate([DEVELOPMENT, {"protocol": HELD_OUT}, {"protocol": SPEAKERS_70_30}]):
        directory = run(build(seed=2, **settings), corpus, tmp_path / str(number))
        found = pd.read_parquet(directory / "predictions.parquet")
        expected = divide(units, seed=2, **settings)[settings.get("scored_on", "test")]
        assert found["unit"].tolist() == expected.table["unit"].tolist()
        assert found["truth"].tolist() == expected.truth.tolist()
        scored[number] = set(found["speaker"])
    assert not scored[0] & scored[1]


def test_the_final_score_trains_on_everybody_who_is_not_tested(tmp_path, corpus):
    """Spoiling any of them, development speakers included, changes it."""
    final = classifier(protocol=HELD_OUT)
    before = content(run(final, corpus, tmp_path / "before"))
    developed = divide(read_units(corpus, TASKS["depression"]), seed=0, **DEVELOPMENT)
    for part in ("train", "dev"):
        one = {developed[part].table["speaker"].iloc[0]}
        assert content(run(final, spoilt(corpus, tmp_path / part, one), tmp_path / f"{part}_result")) != before


@pytest.mark.parametrize("build", [classifier, guesser])
def test_contradictory_settings_are_refused_before_anything_runs(build):
    with pytest.raises(ValidationError, match="'speakers-70-30' has no development set here"):
        build(scored_on="dev")
    with pytest.raises(ValidationError, match="fold 1: protocol 'speakers-70-30' has folds 0 to 0"):
        build(fold=1)


def test_the_probes_score_is_the_mean_over_the_classifiers_divisions(tmp_path, corpus):
    """Against an independent formulation: a penalised logistic regression found by Newton's method."""
    units, embeddings = read_units(corpus, TASKS["depression"]), np.load(corpus / "embeddings.npy").astype(np.float64)

    def predicted(training, scored):
        known, unknown = (np.array([embeddings[rows].mean(axis=0) for rows in part.segments]) for part in (training, scored))
        mean, scale = known.mean(axis=0), known.std(axis=0)
        known, unknown = (np.c_[(part - mean) / scale, np.ones(len(part))] for part in (known, unknown))
        balance = len(training.truth) / (2 * np.bincount(training.truth)[training.truth])
        penalty, theta = np.diag([1.0] * 8 + [0.0]), np.zeros(9)
        for _ in range(50):
            p = 1 / (1 + np.exp(-known @ theta))
            gradient = known.T @ (balance * (p - training.truth)) + penalty @ theta
            theta -= np.linalg.solve(known.T @ (known * (balance * p * (1 - p))[:, None]) + penalty, gradient)
        return (unknown @ theta > 0).astype(int)

    sets = [divide(units, seed=seed, **DEVELOPMENT) for seed in range(4)]
    expected = [f1_score(part["dev"].truth, predicted(part["train"], part["dev"]), average="macro") for part in sets]
    metrics = json.loads((run(probe(seeds=4), corpus, tmp_path / "result") / "metrics.json").read_text())
    assert metrics["f1_macro"] == pytest.approx(np.mean(expected))
    of_class_1 = {"f1_positive", "precision_positive", "recall_positive"}
    assert set(metrics) == {"f1_macro", "f1_micro", "uar"} | of_class_1, "of classes alone: there are no probabilities"


def test_the_probe_tells_good_embeddings_from_empty_ones(tmp_path, corpus):
    good = json.loads((run(probe(), corpus, tmp_path / "good") / "metrics.json").read_text())
    empty = write(tmp_path / "empty", effect=0.0)
    chance = json.loads((run(probe(), empty, tmp_path / "chance") / "metrics.json").read_text())
    assert good["f1_macro"] > 0.85 > 0.7 > chance["f1_macro"]
