"""What can be scored without listening: on any features, on both sets, and of the same truth as the rows beside it."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from tests.divided_toys import Runner, Sessions, Told
from trainables.chance import ChanceClassifier
from trainables.identity import identity_of
from trainables.log_mel_features import LogMelFeatures
from trainables.protocols.catalogue import DAIC_DEV_AS_TEST, DAIC_OFFICIAL
from trainables.stage import from_config, to_config

DEV, TEST = ([f"s{number:03d}" for number in range(40) if number % 10 in part] for part in ((6, 7), (8, 9)))


def chance(strategy="most_frequent", **settings):
    return ChanceClassifier(features=Sessions(), strategy=strategy, **{"protocol": DAIC_OFFICIAL, **settings})


def test_any_features_with_units_will_do_and_which_they_are_is_all_that_its_identity_knows_of_them():
    for features in (Sessions(), LogMelFeatures(corpus="mdd", unit="session")):
        stage = ChanceClassifier(features=features, strategy="uniform")
        assert from_config(json.loads(json.dumps(to_config(stage)))) == stage
        assert list(identity_of(stage, {"mdd": "a"})["upstream"]) == ["features"]
        assert (stage.exposure().features.corpus, stage.exposure().features.unit) == ("mdd", "session")
    with pytest.raises(ValidationError, match="Told has no corpus and unit; give a stage of features"):
        ChanceClassifier(features=Told(), strategy="uniform")


@pytest.mark.parametrize("strategy", ["uniform", "most_frequent"])
def test_a_development_set_beside_the_test_set_is_guessed_too_and_one_that_is_scored_is_not_guessed_twice(tmp_path, strategy):
    runner = Runner(tmp_path)
    result = runner.run(chance(strategy))
    for name, units in (("predictions", TEST), ("predictions_dev", DEV)):
        table = pd.read_parquet(result / f"{name}.parquet")
        assert table["unit"].tolist() == units
        assert set(table[["p0", "p1"]].to_numpy().ravel()) == {0.0, 1.0}
        assert strategy == "uniform" or table["predicted"].nunique() == 1
    assert {"f1_positive", "dev_f1_positive"} <= set(json.loads((result / "metrics.json").read_text()))
    for settings in ({"scored_on": "dev"}, {"protocol": DAIC_DEV_AS_TEST}):
        alone = runner.run(chance(strategy, **settings))
        assert pd.read_parquet(alone / "predictions.parquet")["unit"].tolist() == DEV
        assert not (alone / "predictions_dev.parquet").exists()


def test_what_is_reported_of_a_row_with_shuffled_labels_is_about_the_true_classes_in_both_sets(tmp_path):
    runner = Runner(tmp_path)
    plain, shuffled = (runner.run(chance(shuffled_labels=value)) for value in (False, True))
    for name in ("predictions", "predictions_dev"):
        truths = [pd.read_parquet(result / f"{name}.parquet")["truth"].to_numpy() for result in (plain, shuffled)]
        assert np.array_equal(*truths)
