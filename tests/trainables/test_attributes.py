"""Contract of trainables/attributes.py."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from pydantic import ValidationError

from trainables.attributes import (
    ATTRIBUTES,
    attribute_columns,
    attribute_values,
    rated_units,
    require_attributes,
    require_weights,
)
from trainables.errors import UserError
from trainables.leakage.sets import manifest_units
from trainables.linear_probe import LinearProbe
from trainables.protocols import divide
from trainables.protocols.catalogue import SPEAKERS_5_FOLD
from trainables.tasks import TASKS
from trainables.training_set import TrainingSet
from trainables.units import Units
from trainables.utterances import Utterances


def features(folder, **columns):
    """Three units, one of them of two segments."""
    table = pd.DataFrame({"unit": ["b", "b", "a", "c"], "position": [1, 0, 0, 0], "seconds": 5.0, "speaker": "s", "split": ""})
    ratings = {"valence": [1.0, 1.0, 2.0, 3.0], "activation": [4.0, 4.0, 5.0, 6.0], "dominance": [7.0, 7.0, 1.5, 2.5]}
    table.assign(**ratings | columns).dropna(axis=1, how="all").to_parquet(folder / "segments.parquet", index=False)
    return folder


def units(**columns):
    table = pd.DataFrame({"unit": ["u1", "u2"], **columns})
    return Units(table, (), np.zeros(len(table), dtype=np.int64), TASKS["attributes"])


def test_all_units_are_rated_units_and_their_values_are_activation_valence_and_dominance_in_this_order(tmp_path):
    found = rated_units(features(tmp_path))
    assert found.table["unit"].tolist() == ["a", "b", "c"]
    assert (found.truth.tolist(), found.task) == ([0, 0, 0], TASKS["attributes"])
    expected = torch.tensor([[5.0, 2.0, 1.5], [4.0, 1.0, 7.0], [6.0, 3.0, 2.5]])
    assert torch.equal(attribute_values(found), expected)
    assert torch.equal(attribute_values(found, ("dominance", "activation")), expected[:, [2, 0]])


def test_units_that_lack_an_attribute_are_told_by_name_all_attributes_at_once(tmp_path):
    gaps = {"activation": [np.nan, np.nan, 5.0, 6.0], "valence": [1.0, 1.0, 2.0, np.nan], "dominance": np.nan}
    with pytest.raises(UserError) as told:
        rated_units(features(tmp_path, **gaps))
    assert told.value.messages == (
        "label 'activation' is missing for 'b'; fill it in or delete them",
        "label 'valence' is missing for 'c'; fill it in or delete them",
        "label 'dominance' is missing; give it",
    )


def test_sets_that_lack_an_attribute_are_told_together_with_what_else_can_be_done():
    rated = {"activation": [1.0, 2.0], "valence": [1.0, 2.0]}
    sets = {"train": units(**rated), "test": units(**rated | {"valence": [np.nan, 2.0]})}
    require_attributes({"train": sets["train"]}, ("activation", "valence"))
    with pytest.raises(UserError) as told:
        require_attributes(sets, ATTRIBUTES, "the labels", "set attributes=False")
    assert told.value.messages == (
        "label 'valence' is missing for 'u1'; fill it in, delete them, or set attributes=False",
        "label 'dominance' is missing; give it, or set attributes=False",
    )


def test_an_attribute_of_a_file_is_a_column_with_its_prediction_beside_it():
    table = pd.DataFrame(columns=["unit", "valence", "valence_predicted", "note", "truth", "predicted", "p0"])
    assert attribute_columns(table) == ["valence"]


@pytest.mark.parametrize(("alpha", "beta"), [(0, 0), (1, 0), (0, 1), (1 / 3, 1 / 3), (0.58, 0.42), (0.1 + 0.2, 0.7)])
def test_weights_may_leave_dominance_anything_down_to_nothing(alpha, beta):
    require_weights(alpha, beta)


@pytest.mark.parametrize(("alpha", "beta"), [(0.6, 0.5), (-0.1, 0.5), (0.5, -0.1), (0, 1.01)])
def test_weights_that_are_negative_or_exceed_1_together_are_refused(alpha, beta):
    with pytest.raises(ValueError, match=f"alpha={alpha} and beta={beta} leave dominance .*at most 1 in sum"):
        require_weights(alpha, beta)


def test_describing_a_stage_with_attributes_imports_nothing_heavy():
    heavy = "{'numpy', 'pandas', 'scipy', 'sklearn', 'torch'}"
    code = f"import sys, trainables.attribute_probe; found = {heavy} & set(sys.modules); sys.exit(str(found) if found else 0)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_rated_units_can_be_a_training_set_and_are_no_classes_to_tell_apart():
    settings = {"task": "attributes", "protocol": SPEAKERS_5_FOLD}
    assert TrainingSet(utterances=Utterances(corpus="iemocap"), **settings).exposure().task == "attributes"
    with pytest.raises(ValidationError, match="'emotion8'"):
        LinearProbe(features=Utterances(corpus="iemocap"), **settings)


def test_the_leakage_audit_divides_rated_units_as_the_stages_do(tmp_path):
    units = [f"u{number:02d}" for number in range(20)]
    manifest = pd.DataFrame({"segment": units, "speaker": [f"s{number % 7}" for number in range(20)], "talker": "subject"})
    manifest = manifest.assign(session="x", split="", **{name: np.linspace(1, 7, 20) for name in ATTRIBUTES})
    manifest.assign(unit=units, position=0, seconds=1.0).to_parquet(tmp_path / "segments.parquet", index=False)
    of_stage = divide(rated_units(tmp_path), SPEAKERS_5_FOLD, 0, fold=2)
    of_audit = divide(manifest_units(manifest, "utterance", TASKS["attributes"]), SPEAKERS_5_FOLD, 0, fold=2)
    assert [part.table["unit"].tolist() for part in of_stage.values()] == [
        part.table["unit"].tolist() for part in of_audit.values()
    ]
    assert 0 < len(of_stage["test"].truth) < 20
