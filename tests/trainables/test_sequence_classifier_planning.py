"""What all that reads a chain knows of the batched job of a sequence classifier: identities, studies, plans, the audit."""

import json

import pytest
from pydantic import ValidationError

from orchestrator.artifacts import ArtifactStore
from orchestrator.audit import audit
from orchestrator.plan import make_plan
from search_spaces.scale import Scale
from search_spaces.study import Study
from search_spaces.table import Column, Row, TableSpec
from tests.tiny_corpora import write_tiny_corpora
from tests.toys import toy_setting
from tests.trainables.session_turns import FEATURES, Turns, classifier
from trainables.corpora.registry import open_corpora
from trainables.cross_validation import CrossValidation
from trainables.filterbank_features import FilterbankFeatures
from trainables.identity import fingerprint
from trainables.leakage.exposure import Exposure
from trainables.protocols.catalogue import DAIC_OFFICIAL, HELD_OUT_30, SPEAKERS_5_FOLD, SPEAKERS_70_30
from trainables.seed_batch import SeedBatch
from trainables.sequence_classifier import SequenceClassifier
from trainables.stage import from_config, to_config
from trainables.turn_statistics import TurnStatistics

DIGESTS = {"mdd": "d" * 16}


@pytest.fixture(scope="module")
def setting(tmp_path_factory):
    return toy_setting(tmp_path_factory.mktemp("runs") / "store")


def batch_name(**settings):
    return fingerprint(classifier(**settings).training(), DIGESTS)


def test_the_identity_of_the_training_is_what_decides_it_and_not_who_asks():
    assert batch_name(seed=1) == batch_name(seed=2) == batch_name(seed=2, scored_on="dev")
    folds = {"protocol": SPEAKERS_5_FOLD, "fold": 1, "inner": 0}
    assert batch_name(**folds) == batch_name(**folds, scored_on="dev")
    assert batch_name(protocol=HELD_OUT_30) != batch_name(protocol=HELD_OUT_30, scored_on="dev"), "who trains is another set"
    other = [{"seed": 4}, {"together": 2}, {"cell": "gru"}, {"shuffled_labels": True}, {"balanced": False}, folds]
    names = [batch_name(), *(batch_name(**settings) for settings in other)]
    assert len(set(names)) == len(names)
    assert batch_name(seed=-1) != batch_name(seed=0)
    assert classifier(seed=-1).training().first_seed == -4


def test_the_identity_of_a_classifier_holds_that_of_its_training(monkeypatch):
    stage = classifier(seed=1)
    assert list(stage.upstream()) == ["features.0", "training"]
    assert fingerprint(stage, DIGESTS) != fingerprint(classifier(seed=2), DIGESTS)
    before = fingerprint(stage, DIGESTS)
    monkeypatch.setattr(SeedBatch, "version", 2)
    assert fingerprint(stage, DIGESTS) != before


def test_a_chain_survives_json_new_settings_and_another_scale():
    stage = classifier(seed=5)
    assert from_config(json.loads(json.dumps(to_config(stage)))) == stage
    assert from_config(json.loads(json.dumps(to_config(stage.training())))) == stage.training()
    changed = stage.with_upstream({"features.0": Turns(first_dimension=1)}, epochs=7)
    assert (changed.training().epochs, changed.training().features, changed.training().first_seed) == (7, changed.features, 4)
    overlay = {"SequenceClassifier": {"hidden_size": 3, "together": 2}, "Turns": {"dropped": 2}}
    scaled = Scale("small", 2, overlay).apply(SequenceClassifier(features=(FEATURES,), seed=5, epochs=9))
    training = scaled.upstream()["training"]
    assert (training.hidden_size, training.epochs, training.seeds, training.first_seed) == (3, 9, 2, 4)
    assert training.features == scaled.features == (Turns(dropped=2),)


def study():
    columns = (Column(metric="f1_macro", title="F1", percent=False, higher_is_better=True),)
    rows = (Row(key="toy", label=("toy",)),)
    table = TableSpec(
        study="toy", title="Toy", source="nowhere", row_titles=("row",), rows=rows, columns=columns, headline="f1_macro"
    )
    return Study(table, {"toy": lambda seed: classifier(seed=seed)}, "none")


def test_a_study_can_be_asked_under_another_protocol_and_each_fold_has_its_training():
    last = study().under(SPEAKERS_5_FOLD).chains["toy"](1)
    assert isinstance(last, CrossValidation)
    trainings = [stage for stage in last.chain() if isinstance(stage, SeedBatch)]
    assert [(stage.protocol, stage.fold) for stage in trainings] == [(SPEAKERS_5_FOLD, fold) for fold in range(5)]
    drawn = study().under(SPEAKERS_70_30).chains["toy"](1)
    assert drawn.training().protocol == SPEAKERS_70_30


def test_a_plan_counts_the_training_of_a_block_once(setting):
    plan = make_plan(study(), Scale("toy", 2), tuple(range(6)), setting, ArtifactStore(setting.store))
    kinds = [type(stage.stage).__name__ for stage in plan.stages]
    assert [kinds.count(kind) for kind in ("Turns", "SeedBatch", "SequenceClassifier")] == [1, 2, 6]
    assert sorted(stage.trials for stage in plan.stages if isinstance(stage.stage, SeedBatch)) == [2, 4]
    assert plan.unshared == 18


@pytest.mark.parametrize("protocol", [DAIC_OFFICIAL, SPEAKERS_70_30, SPEAKERS_5_FOLD], ids=str)
def test_the_audit_looks_at_the_job_and_finds_no_leak_in_that_it_trains_other_seeds_too(tmp_path, monkeypatch, protocol):
    role = "daic_woz" if protocol == DAIC_OFFICIAL else "mdd"
    features = TurnStatistics(filterbanks=FilterbankFeatures(corpus=role, unit="session"))
    targets = [SequenceClassifier(features=(features,), protocol=protocol, seed=seed) for seed in range(3)]
    corpora = open_corpora(str(write_tiny_corpora(tmp_path / "corpora")), tmp_path, [role])

    def about_chains():
        found = audit(targets, corpora, tmp_path)
        return [
            sentence for sentence in (*found.leaks, *found.stated) if "training of seeds" in sentence or "classifier" in sentence
        ]

    assert about_chains() == []
    careless = Exposure(features=features, fitted="all", task="depression")
    monkeypatch.setattr(SeedBatch, "exposure", lambda self: careless)
    assert any("training of seeds has heard" in sentence for sentence in about_chains())


def test_features_of_two_corpora_or_of_none_are_refused_before_anything_runs():
    with pytest.raises(ValidationError, match="features must describe the turns of one corpus"):
        classifier(features=(FEATURES, Turns(corpus="mosei")))
    with pytest.raises(ValidationError, match="features must describe the turns of one corpus"):
        classifier(features=(classifier(),))
    with pytest.raises(ValidationError, match="at least 1 item"):
        classifier(features=())
